// options: --tcp-established
// expect-refusal: tcp-nested
// A connection in a network namespace of a child's own: refused, and it goes on.
#include "inet.h"
#include <net/if.h>
#include <sched.h>

int main(int argc, char **argv)
{
    begin(argv);
    int up[2];
    MUST(pipe(up));
    pid_t child = MUST(fork());
    if (child == 0) {
        struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        int client, server;
        MUST(unshare(CLONE_NEWNET));
        int listener = listening(AF_INET, 0);
        MUST(ioctl(listener, SIOCSIFFLAGS, &lo));
        connected(listener, AF_INET, &client, &server);
        MUST(write(up[1], "", 1));
        wait_for_wake();
        _exit(!(send(client, "on", 2, 0) == 2 && drains(server, "on", 2)));
    }
    char c;
    MUST(read(up[0], &c, 1));
    ready();
    int status = 1;
    MUST(kill(child, SIGUSR1));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
