// options: --tcp-established
// TCP connections within the tree: IPv4, IPv6, mapped; with data on its way in both directions, more of it than the windows hold; one
// shared with a child, duplicated, close-on-exec; with options, and with data behind a cork.
#include "inet.h"

struct pair { int client, server; struct sockaddr_in6 names[4]; };
enum { PAIRS = 4 };
static const int families[PAIRS] = { AF_INET, AF_INET6, AF_INET6, AF_INET };
static char sent[2][1 << 23];

static void names(struct pair *p, struct sockaddr_in6 *a)
{
    memset(a, 0, 4 * sizeof(*a));
    socklen_t n;
    for (int i = 0; i < 4; i++) {
        n = sizeof(*a);
        int fd = i < 2 ? p->client : p->server;
        MUST(i & 1 ? getpeername(fd, (void *)&a[i], &n) : getsockname(fd, (void *)&a[i], &n));
    }
}

int main(int argc, char **argv)
{
    begin(argv);
    struct pair pairs[PAIRS];
    int listeners[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        listeners[i] = listening(families[i], i == 2);
        connected(listeners[i], i == 2 ? AF_INET : families[i], &pairs[i].client, &pairs[i].server);
        names(&pairs[i], pairs[i].names);
    }
    set(pairs[1].client, IPPROTO_TCP, TCP_NODELAY, 1);
    set(pairs[1].client, IPPROTO_TCP, TCP_KEEPIDLE, 33);
    set(pairs[1].server, SOL_SOCKET, SO_RCVBUF, 30000);
    set(pairs[1].client, SOL_SOCKET, SO_SNDBUF, 60000);
    int receive = get(pairs[1].server, SOL_SOCKET, SO_RCVBUF), lock = get(pairs[1].server, SOL_SOCKET, SO_BUF_LOCK);
    size_t full[2] = { fill(pairs[0].client, sent[0], sizeof(sent[0]), 1), fill(pairs[0].server, sent[1], sizeof(sent[1]), 2) };
    set(pairs[2].client, IPPROTO_TCP, TCP_CORK, 1);
    MUST(send(pairs[2].client, "behind the cork", 15, 0));
    MUST(send(pairs[3].client, "to the child", 12, 0));
    MUST(fcntl(pairs[3].server, F_SETFD, FD_CLOEXEC));
    int copy = MUST(dup2(pairs[3].server, 77));
    pid_t child = MUST(fork());
    if (child == 0) {
        char c[13] = { 0 };
        wait_for_wake();
        _exit(!(recv(copy, c, 12, MSG_WAITALL) == 12 && !strcmp(c, "to the child") && send(copy, "from the child", 14, 0) == 14));
    }
    ready();
    for (int i = 0; i < PAIRS; i++) {
        struct sockaddr_in6 now[4];
        names(&pairs[i], now);
        CHECK(!memcmp(now, pairs[i].names, sizeof(now)));
        CHECK(get(pairs[i].server, SOL_SOCKET, SO_REUSEADDR) == get(listeners[i], SOL_SOCKET, SO_REUSEADDR));
    }
    CHECK(drains(pairs[0].server, sent[0], full[0]));
    CHECK(drains(pairs[0].client, sent[1], full[1]));
    goes_on(pairs[0].client, pairs[0].server);
    goes_on(pairs[0].server, pairs[0].client);
    goes_on(pairs[1].client, pairs[1].server);
    CHECK(get(pairs[1].client, IPPROTO_TCP, TCP_NODELAY) == 1 && get(pairs[1].client, IPPROTO_TCP, TCP_KEEPIDLE) == 33);
    CHECK(get(pairs[1].server, SOL_SOCKET, SO_RCVBUF) == receive && get(pairs[1].server, SOL_SOCKET, SO_BUF_LOCK) == lock);
    CHECK(get(pairs[2].client, IPPROTO_TCP, TCP_CORK) == 1);
    set(pairs[2].client, IPPROTO_TCP, TCP_CORK, 0);
    CHECK(drains(pairs[2].server, "behind the cork", 15));
    goes_on(pairs[2].server, pairs[2].client);
    CHECK(fcntl(pairs[3].server, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
    MUST(kill(child, SIGUSR1));
    CHECK(drains(pairs[3].client, "from the child", 14));
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    // The listeners go on to listen, and what ends on one side ends on the other.
    for (int i = 0; i < PAIRS; i++) {
        int client = -1, server = -1;
        char c;
        connected(listeners[i], i == 2 ? AF_INET : families[i], &client, &server);
        goes_on(client, server);
        close(pairs[i].client);
        CHECK(readable(pairs[i].server, 30000) && recv(pairs[i].server, &c, 1, 0) == 0);
    }
    return finish();
}
