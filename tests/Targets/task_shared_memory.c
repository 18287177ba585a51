// Processes that share their parent's memory without being threads of it (CLONE_VM), with or without descriptors, directories and
// signal handlers; one whose end sends no signal, one with a child that was forked, one in a session of its own.
#include "target.h"
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { A, B, C, D, COUNT };
static const int flags[COUNT] = {
    CLONE_VM | SIGCHLD,
    CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD,
    CLONE_VM | CLONE_FS,
    CLONE_VM | CLONE_FILES | SIGUSR2,
};
static int pid[COUNT], forked, shared_fd;
static volatile int running[COUNT], go, done[COUNT], counter, signals;
static char stacks[COUNT][65536];

static int same(int one, int other, int type)
{
    return syscall(SYS_kcmp, one, other, type, 0, 0) == 0;
}

static void on_signal(int number __attribute__((unused)))
{
    signals++;
}

static int child(void *argument)
{
    int me = (int)(long)argument;
    if (me == C)
        setsid();
    if (me == A) {
        int own = fork();
        if (!own)
            for (;;)
                pause();
        forked = own;
    }
    running[me] = 1;
    while (go <= me)
        usleep(1000);
    counter += 1 << (8 * me);
    if (me == A)
        chdir("/");
    if (me == B) {
        chdir(work);
        shared_fd = open("/dev/null", O_RDONLY);
        signal(SIGALRM, on_signal);
    }
    if (me == D)
        fcntl(shared_fd, F_SETFD, 0);
    done[me] = 1;
    syscall(SYS_exit, 40 + me);
    return 0;
}

int main(int argc __attribute__((unused)), char **argv)
{
    sigset_t set;
    siginfo_t info;
    char directory[512];
    int was[COUNT + 2][COUNT + 2][4], pids[COUNT + 2], status;
    static const int types[] = { KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND };
    begin(argv);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    MUST(chdir("/proc"));
    for (int i = 0; i < COUNT; i++) {
        pid[i] = MUST(clone(child, stacks[i] + sizeof stacks[i], flags[i], (void *)(long)i));
        while (!running[i])
            usleep(1000);
    }
    memcpy(pids, pid, sizeof pid);
    pids[COUNT] = getpid();
    pids[COUNT + 1] = forked;
    for (int i = 0; i < COUNT + 2; i++)
        for (int k = 0; k < COUNT + 2; k++)
            for (int t = 0; t < 4; t++)
                was[i][k][t] = same(pids[i], pids[k], types[t]);
    ready();
    for (int i = 0; i < COUNT + 2; i++)
        for (int k = 0; k < COUNT + 2; k++)
            for (int t = 0; t < 4; t++)
                if (was[i][k][t] != same(pids[i], pids[k], types[t]))
                    differ("%d and %d: %d, was %d for type %d", i, k, !was[i][k][t], was[i][k][t], types[t]);
    CHECK(getsid(pid[C]) == pid[C] && getsid(pid[A]) == getsid(0));
    for (int i = 0; i < COUNT; i++) {
        go = i + 1;
        while (!done[i])
            usleep(1000);
        if (i == A)
            CHECK(getcwd(directory, sizeof directory) && !strcmp(directory, "/proc"));
        if (i == B) {
            CHECK(getcwd(directory, sizeof directory) && !strcmp(directory, work));
            CHECK(fcntl(shared_fd, F_GETFD) == 0);
            raise(SIGALRM);
            CHECK(signals == 1);
        }
    }
    CHECK(counter == 0x01010101);
    CHECK(waitpid(pid[A], &status, 0) == pid[A] && WIFEXITED(status) && WEXITSTATUS(status) == 40 + A);
    CHECK(waitpid(pid[B], &status, 0) == pid[B] && WEXITSTATUS(status) == 40 + B);
    CHECK(waitpid(pid[C], &status, __WCLONE) == pid[C] && WEXITSTATUS(status) == 40 + C);
    CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_pid == pid[D]);
    CHECK(waitpid(pid[D], &status, __WALL) == pid[D] && WEXITSTATUS(status) == 40 + D);
    kill(forked, SIGKILL);
    return finish();
}
