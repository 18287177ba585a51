// Memory that processes share who are no parent and child: two children of one parent, and a grandchild whose parent has ended. By a memfd
// that is mapped through /proc, a file of POSIX shared memory, and shared anonymous memory of a grandparent.
#include "mem_target.h"
#include <sys/prctl.h>

static volatile unsigned char *flags;

static void live(unsigned char *object, unsigned char *posix, int who)
{
    fill(object + who * PAGE, PAGE, 10 + who);
    fill(posix + who * PAGE, PAGE, 20 + who);
    flags[who] = 1;
    while (!flags[0])
        usleep(1000);
    int good = 1;
    for (int other = 1; other <= 3; other++)
        good &= filled(object + other * PAGE, PAGE, 10 + other) && filled(posix + other * PAGE, PAGE, 20 + other);
    object[(3 + who) * PAGE] = (unsigned char)(30 + who);
    flags[10 + who] = good ? 1 : 2;
    while (flags[0] != 2)
        usleep(1000);
    for (int other = 1; other <= 3; other++)
        good &= object[(3 + other) * PAGE] == 30 + other;
    flags[20 + who] = good ? 1 : 2;
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    begin(argv);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile int *first = (volatile int *)(flags + 64);
    pid_t children[3] = { 0 };
    for (int who = 1; who <= 3; who++) {
        pid_t pid = MUST(fork());
        if (pid == 0) {
            char path[64];
            unsigned char *object, *posix;
            if (who == 3 && MUST(fork()))
                _exit(0);
            snprintf(path, sizeof(path), "/proc/%d/fd/%d", first[0], first[1]);
            int fd = who == 1 ? MUST(memfd_create("shared", 0)) : MUST(open(path, O_RDWR));
            MUST(ftruncate(fd, 8 * PAGE));
            object = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (who == 1) {
                first[1] = fd;
                first[0] = getpid();
            } else
                close(fd);
            fd = MUST(open(in_work("posix"), O_CREAT | O_RDWR, 0600));
            MUST(ftruncate(fd, 8 * PAGE));
            posix = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            close(fd);
            first[3 + who] = getpid();
            live(object, posix, who);
        }
        while (!flags[who])
            usleep(1000);
        if (who == 3)
            waitpid(pid, NULL, 0);
        children[who - 1] = first[3 + who];
    }
    ready();
    flags[0] = 1;
    for (int who = 1; who <= 3; who++) {
        while (!flags[10 + who])
            usleep(1000);
        CHECK(flags[10 + who] == 1);
    }
    flags[0] = 2;
    for (int who = 1; who <= 3; who++) {
        while (!flags[20 + who])
            usleep(1000);
        CHECK(flags[20 + who] == 1);
        kill(children[who - 1], SIGKILL);
    }
    while (wait(NULL) > 0)
        ;
    return finish();
}
