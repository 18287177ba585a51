// options: --tcp-established
// only-restored
// Connections that no one has accepted yet, of clients in the tree that have spoken already: with a little, with more than the windows
// hold, and with nothing; one that has ended, one that was reset; IPv4, IPv6, mapped; at a listener that waits for data. All are accepted
// afterwards in their order, with what came, and go on.
#include "inet.h"

enum { CLIENTS = 9 };
static const int families[CLIENTS] = { AF_INET, AF_INET, AF_INET, AF_INET, AF_INET, AF_INET6, AF_INET6, AF_INET, AF_INET };
static const int at[CLIENTS] = { 0, 0, 0, 0, 0, 1, 1, 2, 3 };
static char sent[1 << 22];

int main(int argc, char **argv)
{
    begin(argv);
    int listeners[4] = { listening(AF_INET, 0), listening(AF_INET6, 0), listening(AF_INET6, 1), listening(AF_INET, 0) }, c[CLIENTS];
    struct linger abort = { 1, 0 };
    set(listeners[3], IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    int deferred = get(listeners[3], IPPROTO_TCP, TCP_DEFER_ACCEPT);
    struct sockaddr_in6 a, names[CLIENTS], peer;
    size_t full = 0;
    for (int i = 0; i < CLIENTS; i++) {
        socklen_t n = name_of(listeners[at[i]], families[i], &a);
        c[i] = MUST(socket(families[i], SOCK_STREAM, 0));
        MUST(connect(c[i], (void *)&a, n));
        MUST(getsockname(c[i], (void *)&names[i], &(socklen_t){ sizeof(names[i]) }));
        if (i == 1)
            full = fill(c[i], sent, sizeof(sent), 5);
        else if (i != 2 && i != 6)
            MUST(send(c[i], "early", 5, 0));
        if (i == 3)
            close(c[i]);
        if (i == 4) {
            MUST(setsockopt(c[i], SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)));
            close(c[i]);
        }
        usleep(20000);
    }
    ready();
    for (int i = 0; i < CLIENTS; i++) {
        socklen_t n = sizeof(peer);
        char b[8];
        int s = readable(listeners[at[i]], 30000) ? accept(listeners[at[i]], (void *)&peer, &n) : -1;
        CHECK(s >= 0 && (i == 4 || peer.sin6_port == names[i].sin6_port));
        if (i == 1)
            CHECK(drains(s, sent, full));
        else if (i != 2 && i != 6)
            CHECK(drains(s, "early", 5));
        if (i == 3)
            CHECK(recv(s, b, 1, 0) == 0 && send(s, "late", 4, MSG_NOSIGNAL) == 4);
        else if (i == 4)
            CHECK(recv(s, b, 1, 0) == -1 && errno == ECONNRESET);
        else {
            goes_on(s, c[i]);
            goes_on(c[i], s);
            close(c[i]);
            CHECK(readable(s, 30000) && recv(s, b, 1, 0) == 0);
        }
    }
    for (int i = 0; i < 4; i++)
        CHECK(!readable(listeners[i], 0));
    CHECK(get(listeners[3], IPPROTO_TCP, TCP_DEFER_ACCEPT) == deferred);
    return finish();
}
