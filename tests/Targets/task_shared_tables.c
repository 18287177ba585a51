// Processes with memory of their own that share descriptor tables and directories: a child with its parent, two children with each other
// after the parent has turned away (unshare), one that shares the directory alone.
#include "target.h"
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { FIRST, SECOND, THIRD, FOURTH, COUNT };
struct meeting { volatile int running[COUNT], go, done[COUNT], fd; };
static struct meeting *meeting;

static int same(int one, int other, int type)
{
    return syscall(SYS_kcmp, one, other, type, 0, 0) == 0;
}

static void child(int me)
{
    char path[32];
    meeting->running[me] = 1;
    while (meeting->go <= me)
        usleep(1000);
    if (me == FIRST) {
        meeting->fd = open("/proc/self/stat", O_RDONLY);
        chdir("/proc/self");
        umask(0123);
    }
    if (me == SECOND)
        _exit(fcntl(meeting->fd, F_GETFD) < 0 || !getcwd(path, sizeof path) || strncmp(path, "/proc/", 6) || umask(0) != 0123);
    if (me == THIRD)
        _exit(dup2(0, 99) != 99);
    if (me == FOURTH)
        _exit(chdir("/dev") || fcntl(99, F_GETFD) >= 0);
    meeting->done[me] = 1;
    for (;;)
        pause();
}

static int start(int me, int flags)
{
    int pid = MUST(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
    if (!pid)
        child(me);
    while (!meeting->running[me])
        usleep(1000);
    return pid;
}

int main(int argc __attribute__((unused)), char **argv)
{
    int pids[COUNT + 1], was[COUNT + 1][COUNT + 1][2], status;
    static const int types[] = { KCMP_FILES, KCMP_FS };
    char path[512];
    begin(argv);
    meeting = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(chdir("/"));
    pids[FIRST] = start(FIRST, CLONE_FILES | CLONE_FS);
    pids[SECOND] = start(SECOND, CLONE_FILES | CLONE_FS);
    MUST(unshare(CLONE_FILES | CLONE_FS));
    pids[THIRD] = start(THIRD, CLONE_FILES);
    pids[FOURTH] = start(FOURTH, CLONE_FS);
    pids[COUNT] = getpid();
    for (int i = 0; i <= COUNT; i++)
        for (int k = 0; k <= COUNT; k++)
            for (int t = 0; t < 2; t++)
                was[i][k][t] = same(pids[i], pids[k], types[t]);
    ready();
    for (int i = 0; i <= COUNT; i++)
        for (int k = 0; k <= COUNT; k++)
            for (int t = 0; t < 2; t++)
                if (was[i][k][t] != same(pids[i], pids[k], types[t]))
                    differ("%d and %d: %d, was %d for type %d", i, k, !was[i][k][t], was[i][k][t], types[t]);
    meeting->go = 1;
    while (!meeting->done[FIRST])
        usleep(1000);
    CHECK(fcntl(meeting->fd, F_GETFD) < 0);
    meeting->go = COUNT;
    for (int i = SECOND; i < COUNT; i++)
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(fcntl(99, F_GETFD) == 0);
    CHECK(getcwd(path, sizeof path) && !strcmp(path, "/dev"));
    kill(pids[FIRST], SIGKILL);
    return finish();
}
