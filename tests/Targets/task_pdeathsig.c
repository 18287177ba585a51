// A child that wants a signal when its parent dies still wants it, and gets it.
#include "target.h"
#include <sys/prctl.h>

static volatile int go;
static int ends[2];

static void on_go(int signal)
{
    (void)signal;
    go = 1;
}

static void on_death(int signal)
{
    char byte = signal;
    MUST(write(ends[1], &byte, 1));
    _exit(0);
}

static void grandchild(void)
{
    signal(SIGUSR2, on_death);
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    MUST(write(ends[1], "r", 1));
    for (;;)
        usleep(10000);
}

int main(int argc __attribute__((unused)), char **argv)
{
    char byte = 0;
    begin(argv);
    MUST(pipe(ends));
    int child = fork();
    if (!child) {
        signal(SIGTERM, on_go);
        if (!fork())
            grandchild();
        while (!go)
            usleep(10000);
        _exit(0);
    }
    MUST(read(ends[0], &byte, 1));
    ready();
    kill(child, SIGTERM);
    CHECK(readable(ends[0], 5000));
    CHECK(read(ends[0], &byte, 1) == 1 && byte == SIGUSR2);
    return finish();
}
