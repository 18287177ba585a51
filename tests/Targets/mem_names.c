// Names of anonymous memory (PR_SET_VMA_ANON_NAME): private and shared, one name for two; a child has changed one.
#include "mem_target.h"
#include <sys/prctl.h>

static volatile unsigned char *flags;

static int name(void *at, const char *given) { return prctl(0x53564d41, 0, at, 8 * PAGE, given); }

int main(int argc, char **argv)
{
    begin(argv);
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *private = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *shared = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (name(private, "one of mine"))
        return skip("the kernel has no names for anonymous memory (CONFIG_ANON_VMA_NAME)");
    MUST(name(shared, "of all"));
    fill(private, 8 * PAGE, 1);
    fill(shared, 8 * PAGE, 2);
    pid_t child = MUST(fork());
    if (child == 0) {
        MUST(name(private, "another"));
        flags[1] = 1;
        while (!flags[0])
            usleep(1000);
        _exit(!(strstr(mapping(private), "[anon:another]") && strstr(mapping(shared), "[anon_shmem:of all]") && filled(private, 8 * PAGE, 1)));
    }
    while (!flags[1])
        usleep(1000);
    ready();
    CHECK(strstr(mapping(private), "[anon:one of mine]") && strstr(mapping(shared), "[anon_shmem:of all]"));
    CHECK(filled(private, 8 * PAGE, 1) && filled(shared, 8 * PAGE, 2));
    flags[0] = 1;
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
