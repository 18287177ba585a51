// A session, a process group within it, a session below it, and an orphan that a subreaper took in: all are whose they were.
#include "target.h"
#include <sys/mman.h>
#include <sys/prctl.h>

enum { PROCESSES = 5 };
struct place { volatile int pid, parent, group, session, told; };
static struct place *was;
static volatile int *go;

static void tell(struct place *place)
{
    place->pid = getpid();
    place->parent = getppid();
    place->group = getpgrp();
    place->session = getsid(0);
}

static void stay(int number)
{
    while (number == 3 && getppid() != was[0].pid)
        usleep(1000);
    tell(&was[number]);
    was[number].told = 1;
    while (!*go)
        usleep(10000);
    struct place now = { 0 };
    tell(&now);
    _exit(now.pid != was[number].pid || now.parent != was[number].parent || now.group != was[number].group || now.session != was[number].session);
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    was = (struct place *)shared;
    go = (int *)(shared + 2048);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    tell(&was[0]);
    int pids[PROCESSES] = { 0 };
    for (int i = 1; i < PROCESSES; i++) {
        int joined = i == 2 ? pids[1] : 0;
        pids[i] = MUST(fork());
        if (pids[i] == 0) {
            if (i <= 2)
                MUST(setpgid(0, joined));                  // a group of two
            if (i == 3) {                                  // its parent ends
                if (MUST(fork()))
                    _exit(0);
            }
            if (i == 4)
                MUST(setsid());
            stay(i);
        }
        if (i == 3)
            MUST(waitpid(pids[i], NULL, 0));
        while (!was[i].told)
            usleep(1000);
    }
    pids[3] = was[3].pid;
    ready();
    CHECK(was[1].group == pids[1] && was[2].group == pids[1] && was[3].group == was[0].group && was[4].session == pids[4]);
    CHECK(getpid() == was[0].pid && getpgrp() == was[0].group && getsid(0) == was[0].session && was[3].parent == getpid());
    *go = 1;
    for (int i = 1; i < PROCESSES; i++) {
        int status = 0;
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        if (status)
            differ("process %d is elsewhere: status %x", i, status);
    }
    return finish();
}
