// PR_SET_MEMORY_MERGE: mappings that are there and those to come may be merged (KSM), but for one that was taken out. A child has
// inherited it, another has ended it.
#include "mem_target.h"
#include <sys/prctl.h>

enum { SET = 67, GET = 68 };
static volatile unsigned char *flags;

static int merges(unsigned char *in, unsigned char *out, int wanted)
{
    unsigned char *fresh = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int good = prctl(GET, 0, 0, 0, 0) == wanted && has_flag(in, "mg") == wanted && !has_flag(out, "mg") && has_flag(fresh, "mg") == wanted;
    munmap(fresh, 8 * PAGE);
    return good && filled(in, 8 * PAGE, 1) && filled(out, 8 * PAGE, 2);
}

int main(int argc, char **argv)
{
    begin(argv);
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *in = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *out = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(in, 8 * PAGE, 1);
    fill(out, 8 * PAGE, 2);
    if (prctl(SET, 1, 0, 0, 0))
        return skip("the kernel has no PR_SET_MEMORY_MERGE");
    MUST(madvise(out, 8 * PAGE, MADV_UNMERGEABLE));
    pid_t child[2];
    for (int i = 0; i < 2; i++)
        if ((child[i] = MUST(fork())) == 0) {
            if (i)
                MUST(prctl(SET, 0, 0, 0, 0));
            flags[1 + i] = 1;
            while (!flags[0])
                usleep(1000);
            _exit(!merges(in, out, !i));
        }
    while (!flags[1] || !flags[2])
        usleep(1000);
    ready();
    CHECK(merges(in, out, 1));
    flags[0] = 1;
    for (int i = 0, status; i < 2; i++)
        CHECK(waitpid(child[i], &status, 0) == child[i] && status == 0);
    return finish();
}
