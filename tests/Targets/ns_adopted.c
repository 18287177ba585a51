// Orphans of the first process of a pid namespace, which is no subreaper by prctl(2): one in a session of its own with a child, one in the
// session and group of a leader that is gone, and one that has ended.
// contain: pui
#include "target.h"
#include <sys/mman.h>
#include <sys/prctl.h>

enum { ORPHANS = 3, CHILD = ORPHANS, TASKS };
static volatile struct { int pid, session, group, up, go; } *was;

static void stay(int me, int parent)
{
    while (parent && getppid() != parent)
        usleep(1000);
    was[me].pid = getpid();
    was[me].session = getsid(0);
    was[me].group = getpgrp();
    int own = getppid();
    was[me].up = 1;
    while (!was[me].go)
        usleep(10000);
    int wrong = getpid() != was[me].pid || getsid(0) != was[me].session || getpgrp() != was[me].group || getppid() != own, status;
    while (wait(&status) > 0)
        wrong |= status;
    _exit(wrong ? 1 : me == CHILD ? 0 : 10 + me);
}

int main(int argc __attribute__((unused)), char **argv)
{
    int reaper = 1, status, seen = 0;
    siginfo_t info;
    begin(argv);
    if (getpid() != 1)
        return skip("it is to be the first process of its namespace");
    was = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (MUST(fork()) == 0) {
        setsid();
        if (MUST(fork()) == 0) {
            setsid();
            if (MUST(fork()) == 0)
                stay(CHILD, 0);
            stay(0, 1);
        }
        if (MUST(fork()) == 0)
            stay(1, 1);
        int third = MUST(fork());
        if (third == 0) {
            while (getppid() != 1)
                usleep(1000);
            _exit(10 + 2);
        }
        was[2].pid = third;
        _exit(0);
    }
    MUST(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
    while (!was[0].up || !was[1].up || !was[CHILD].up)
        usleep(1000);
    MUST(waitid(P_PID, was[2].pid, &info, WEXITED | WNOWAIT));
    while (waitpid(was[1].session, &status, 0) < 0)
        ;
    ready();
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &reaper) == 0 && reaper == 0);
    CHECK(was[1].session == was[1].group && kill(was[1].session, 0) == -1 && was[0].session == was[0].pid);
    CHECK(waitid(P_PID, was[2].pid, &info, WEXITED | WNOWAIT) == 0 && info.si_code == CLD_EXITED && info.si_status == 12);
    was[CHILD].go = was[0].go = was[1].go = 1;
    for (pid_t pid; (pid = wait(&status)) > 0; seen++)
        for (int i = 0; i < ORPHANS; i++)
            if (pid == was[i].pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 10 + i))
                differ("orphan %d: %x", i, status);
    CHECK(seen == ORPHANS);
    return finish();
}
