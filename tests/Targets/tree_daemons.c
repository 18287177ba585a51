// Sessions and process groups whose leaders have exited, with more than one process in them: daemons that forked twice.
#include "target.h"
#include <sys/mman.h>
#include <sys/prctl.h>

enum { PROCESSES = 7 };
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

static void stay(int number, int parent)
{
    while (parent && getppid() != parent)
        usleep(1000);
    tell(&was[number]);
    was[number].told = 1;
    while (!*go)
        usleep(10000);
    struct place now = { 0 };
    tell(&now);
    int status, wrong = now.pid != was[number].pid || now.parent != was[number].parent || now.group != was[number].group
        || now.session != was[number].session;
    while (wait(&status) > 0)
        wrong |= status;
    _exit(wrong);
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    was = (struct place *)shared;
    go = (int *)(shared + 2048);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int root = getpid();

    // A session whose leader ends: two daemons in it, of which one has a child, and one is in a group whose leader ends too.
    if (MUST(fork()) == 0) {
        setsid();
        if (MUST(fork()) == 0) {
            if (MUST(fork()) == 0)
                stay(1, 0);
            stay(0, root);
        }
        int leader = MUST(fork());
        if (leader == 0) {
            setpgid(0, 0);
            for (;;)
                pause();
        }
        MUST(setpgid(leader, leader));
        if (MUST(fork()) == 0) {
            MUST(setpgid(0, leader));
            was[2].told = -1;
            stay(2, root);
        }
        while (was[2].told == 0 || was[1].told == 0)
            usleep(1000);
        kill(leader, SIGKILL);
        waitpid(leader, NULL, 0);
        _exit(0);
    }
    wait(NULL);

    // A group in the root's own session, of two, whose leader ends.
    int leader = MUST(fork());
    if (leader == 0) {
        setpgid(0, 0);
        for (;;)
            pause();
    }
    MUST(setpgid(leader, leader));
    for (int i = 3; i < 5; i++)
        if (MUST(fork()) == 0) {
            MUST(setpgid(0, leader));
            stay(i, 0);
        }
    while (was[3].told != 1 || was[4].told != 1)
        usleep(1000);
    kill(leader, SIGKILL);
    waitpid(leader, NULL, 0);

    // A session that a daemon made which then left it to its child.
    if (MUST(fork()) == 0) {
        setsid();
        if (MUST(fork()) == 0)
            stay(5, root);
        _exit(0);
    }
    while (wait(NULL) < 0 && errno == EINTR)
        ;
    if (MUST(fork()) == 0)
        stay(6, 0);
    for (int i = 0; i < PROCESSES; i++)
        while (was[i].told != 1)
            usleep(1000);
    ready();
    *go = 1;
    int ended = 0, status;
    sigset_t pending;
    while (ended < PROCESSES - 1) {
        if (wait(&status) < 0)
            break;
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        ended++;
    }
    CHECK(ended >= PROCESSES - 1);
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGCHLD));
    return finish();
}
