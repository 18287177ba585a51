// options: --tcp-established
// Connections in network namespaces that the root is not in: two namespaces with the same addresses and ports, with data on its way in
// both directions, and a connection that no one has accepted yet.
#include "inet.h"
#include <net/if.h>
#include <sched.h>

static void up(int fd)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &lo));
}

static int fixed(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind(fd, (void *)&a, sizeof(a)));
    return fd;
}

// Both children have all the same: only the namespace tells them apart.
static int child(int seed, int told)
{
    static char sent[2][1 << 22];
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7001), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    MUST(unshare(CLONE_NEWNET));
    int listener = fixed(7001), client = fixed(7002), waiting = fixed(7003);
    up(listener);
    MUST(listen(listener, 5));
    MUST(connect(client, (void *)&a, sizeof(a)));
    int server = MUST(accept(listener, NULL, NULL));
    size_t full[2] = { fill(client, sent[0], sizeof(sent[0]), seed), fill(server, sent[1], sizeof(sent[1]), seed + 9) };
    MUST(connect(waiting, (void *)&a, sizeof(a)));
    MUST(write(told, "", 1));
    wait_for_wake();
    CHECK(drains(server, sent[0], full[0]) && drains(client, sent[1], full[1]));
    CHECK(send(client, "on", 2, 0) == 2 && drains(server, "on", 2) && send(server, "back", 4, 0) == 4 && drains(client, "back", 4));
    int late = readable(listener, 30000) ? accept(listener, NULL, NULL) : -1;
    CHECK(send(waiting, "asks", 4, 0) == 4 && drains(late, "asks", 4));
    if (differs[0])
        fprintf(stderr, "%s", differs);
    return differs[0] != 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int told[2];
    char c;
    pid_t children[2];
    MUST(pipe(told));
    for (int i = 0; i < 2; i++)
        if ((children[i] = MUST(fork())) == 0)
            _exit(child(i + 1, told[1]));
    MUST(read(told[0], &c, 1));
    MUST(read(told[0], &c, 1));
    ready();
    for (int i = 0; i < 2; i++) {
        int status = 1;
        MUST(kill(children[i], SIGUSR1));
        CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    return finish();
}
