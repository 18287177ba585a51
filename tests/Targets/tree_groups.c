// Process groups in the orders that a shell makes them: a leader that has gone to another group while its group goes on, two that
// changed places, with a third in one of the groups, a zombie that leads a group, children that a session leader had before its session, a stopped member.
#include "target.h"
#include <sys/mman.h>

enum { ROOT, LEFT, MEMBER, SWAP_A, SWAP_B, ZOMBIE, IN_ZOMBIES, OLD, NEW, OF_NEW, STOPPED, COUNT };
struct place { volatile int pid, parent, group, session, ready; };
static struct place *was;
static volatile int *go;

static void tell(struct place *place)
{
    place->pid = getpid();
    place->parent = getppid();
    place->group = getpgrp();
    place->session = getsid(0);
}

static void stay(int me)
{
    struct place now = { 0 };
    while (*go < 1)
        usleep(1000);
    tell(&was[me]);
    was[me].ready = 1;
    while (*go < 2)
        usleep(5000);
    tell(&now);
    _exit(memcmp(&now, &was[me], 4 * sizeof(int)) != 0);
}

static int start(int me)
{
    int pid = MUST(fork());
    if (!pid)
        stay(me);
    return pid;
}

int main(int argc __attribute__((unused)), char **argv)
{
    int pids[COUNT] = { 0 }, status, ends[2];
    begin(argv);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    was = (struct place *)shared;
    go = (int *)(shared + 2048);
    MUST(pipe(ends));
    for (int i = LEFT; i <= SWAP_B; i++)
        MUST(setpgid(pids[i] = start(i), 0));
    MUST(setpgid(pids[MEMBER], pids[LEFT]));
    MUST(setpgid(pids[LEFT], getpgrp()));
    // Each is in the other's group, by way of a third.
    int keeper = MUST(fork());
    if (!keeper)
        for (;;)
            pause();
    MUST(setpgid(keeper, pids[SWAP_A]));
    MUST(setpgid(pids[SWAP_A], pids[SWAP_B]));
    MUST(setpgid(pids[SWAP_B], pids[SWAP_A]));
    pids[ZOMBIE] = MUST(fork());
    if (!pids[ZOMBIE])
        _exit(33);
    MUST(setpgid(pids[ZOMBIE], 0));
    MUST(setpgid(pids[IN_ZOMBIES] = start(IN_ZOMBIES), pids[ZOMBIE]));
    siginfo_t info;
    MUST(waitid(P_PID, pids[ZOMBIE], &info, WEXITED | WNOWAIT));
    pids[NEW] = MUST(fork());
    if (!pids[NEW]) {
        int old = start(OLD);
        MUST(setsid());
        int later = start(OF_NEW);
        MUST(setpgid(later, later));
        MUST(write(ends[1], &old, sizeof old));
        MUST(write(ends[1], &later, sizeof later));
        while (*go < 1)
            usleep(1000);
        tell(&was[NEW]);
        was[NEW].ready = 1;
        while (*go < 2)
            usleep(5000);
        struct place now = { 0 };
        tell(&now);
        int wrong = memcmp(&now, &was[NEW], 4 * sizeof(int)) != 0;
        while (wait(&status) > 0)
            wrong |= status;
        _exit(wrong);
    }
    MUST(read(ends[0], &pids[OLD], sizeof(int)));
    MUST(read(ends[0], &pids[OF_NEW], sizeof(int)));
    MUST(setpgid(pids[STOPPED] = start(STOPPED), pids[LEFT]));
    *go = 1;
    tell(&was[ROOT]);
    for (int i = LEFT; i < COUNT; i++)
        while (i != ZOMBIE && !was[i].ready)
            usleep(1000);
    MUST(kill(pids[STOPPED], SIGTSTP));
    MUST(waitpid(pids[STOPPED], &status, WUNTRACED));
    ready();
    CHECK(was[MEMBER].group == pids[LEFT] && was[LEFT].group == getpgrp() && was[STOPPED].group == pids[LEFT]);
    CHECK(was[SWAP_A].group == pids[SWAP_B] && was[SWAP_B].group == pids[SWAP_A]);
    CHECK(was[IN_ZOMBIES].group == pids[ZOMBIE] && was[OLD].session == getsid(0) && was[OF_NEW].session == pids[NEW]);
    CHECK(getpgid(pids[ZOMBIE]) == pids[ZOMBIE] && getpgid(keeper) == pids[SWAP_A]);
    *go = 2;
    usleep(20000);
    CHECK(waitpid(pids[STOPPED], &status, WNOHANG) == 0);
    kill(pids[STOPPED], SIGCONT);
    for (int i = LEFT; i < COUNT; i++) {
        if (i == OLD || i == OF_NEW)
            continue;
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        if (status != (i == ZOMBIE ? 33 << 8 : 0))
            differ("process %d is elsewhere: status %x", i, status);
    }
    kill(keeper, SIGKILL);
    waitpid(keeper, NULL, 0);
    return finish();
}
