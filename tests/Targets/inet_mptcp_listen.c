// options: --tcp-established
// only-restored
// Listeners of MPTCP, as Go programs have them: with options, IPv4 and dual; one that is bound and doesn't listen, one that is neither.
// Connections of clients without MPTCP, accepted and not, with data; shared with a child, duplicated, close-on-exec. New clients with MPTCP
// get it.
#include "inet.h"
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

static int multipath(int family, int dual, int backlog)
{
    int fd = socket(family, SOCK_STREAM, IPPROTO_MPTCP);
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
    if (fd < 0)
        return fd;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    MUST(dual ? bind(fd, (void *)&a6, sizeof(a6)) : bind(fd, (void *)&a4, sizeof(a4)));
    if (backlog)
        MUST(listen(fd, backlog));
    return fd;
}

static void talks(int client, int server)
{
    CHECK(send(client, "asks", 4, 0) == 4 && drains(server, "asks", 4) && send(server, "told", 4, 0) == 4 && drains(client, "told", 4));
}

int main(int argc, char **argv)
{
    begin(argv);
    int fresh = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    if (fresh < 0)
        return skip("this kernel has no MPTCP");
    int listener = multipath(AF_INET, 0, 7), dual = multipath(AF_INET6, 1, 9), bound = multipath(AF_INET, 0, 0), client, server, c[3];
    MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
    MUST(fcntl(dual, F_SETFD, FD_CLOEXEC));
    int copy = MUST(dup(dual));
    struct sockaddr_in6 a, name[2];
    socklen_t n, m = sizeof(name[0]);
    connected(dual, AF_INET, &client, &server);
    MUST(getsockname(bound, (void *)&name[0], &m));
    static char sent[1 << 20];
    size_t full = 0;
    for (int i = 0; i < 3; i++) {
        n = name_of(i == 2 ? dual : listener, AF_INET, &a);
        c[i] = MUST(socket(AF_INET, SOCK_STREAM, 0));
        MUST(connect(c[i], (void *)&a, n));
        if (i == 1)
            full = fill(c[i], sent, sizeof(sent), 3);
        else
            MUST(send(c[i], "early", 5, 0));
        usleep(10000);
    }
    pid_t child = MUST(fork());
    if (child == 0) {
        wait_for_wake();
        int s = readable(copy, 30000) ? accept(copy, NULL, NULL) : -1;
        CHECK(drains(s, "early", 5) && send(s, "late", 4, 0) == 4);
        _exit(differs[0] != 0);
    }
    ready();
    MUST(kill(child, SIGUSR1));
    int status = 1;
    CHECK(drains(c[2], "late", 4) && waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 2; i++) {
        int s = readable(listener, 30000) ? accept(listener, NULL, NULL) : -1;
        CHECK(i ? drains(s, sent, full) : drains(s, "early", 5));
        talks(c[i], s);
    }
    talks(client, server);
    CHECK(accept(listener, NULL, NULL) == -1 && errno == EAGAIN && fcntl(dual, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
    int all[4] = { listener, dual, bound, fresh };
    for (int i = 0; i < 4; i++) {
        CHECK(get(all[i], SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP && get(all[i], SOL_SOCKET, SO_ACCEPTCONN) == (i < 2));
        CHECK(i == 3 || (get(all[i], SOL_SOCKET, SO_REUSEADDR) == 1 && get(all[i], SOL_SOCKET, SO_KEEPALIVE) == 1));
        CHECK(i == 3 || (get(all[i], IPPROTO_TCP, TCP_NODELAY) == 1 && get(all[i], IPPROTO_TCP, TCP_KEEPIDLE) == 15));
    }
    m = sizeof(name[1]);
    CHECK(getsockname(bound, (void *)&name[1], &m) == 0 && !memcmp(&name[0], &name[1], sizeof(struct sockaddr_in)));
    MUST(listen(bound, 3));
    for (int i = 0; i < 3; i++) {
        n = name_of(all[i], AF_INET, &a);
        CHECK((client = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)) >= 0 && connect(client, (void *)&a, n) == 0);
        server = readable(all[i], 30000) ? accept(all[i], NULL, NULL) : -1;
        CHECK(get(server, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP && get(server, IPPROTO_TCP, TCP_IS_MPTCP) == 1);
        talks(client, server);
    }
    return finish();
}
