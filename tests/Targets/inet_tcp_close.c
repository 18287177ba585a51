// options: --tcp-close
// only-restored
// Connections that are found closed, and the listener that goes on, at the same port; also what a FIN has come for, and what was over.
#include "inet.h"

int main(int argc, char **argv)
{
    begin(argv);
    int listener = listening(AF_INET, 0), listener6 = listening(AF_INET6, 1), c[4], s[4];
    struct sockaddr_in6 names[4], now;
    for (int i = 0; i < 4; i++) {
        connected(i & 1 ? listener6 : listener, i == 1 ? AF_INET6 : AF_INET, &c[i], &s[i]);
        MUST(getsockname(s[i], (void *)&names[i], &(socklen_t){ sizeof(names[i]) }));
        MUST(send(c[i], "lost", 4, 0));
    }
    MUST(shutdown(c[2], SHUT_WR));
    close(c[3]);
    ready();
    for (int i = 0; i < 4; i++) {
        struct pollfd p = { s[i], POLLIN, 0 };
        char b;
        CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) && state_of(s[i]) == TCP_CLOSE);
        CHECK(recv(s[i], &b, 1, 0) == -1 && errno == ENOTCONN && send(s[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        CHECK(getsockname(s[i], (void *)&now, &(socklen_t){ sizeof(now) }) == 0 && now.sin6_port == names[i].sin6_port);
        close(s[i]);
    }
    for (int i = 0; i < 2; i++) {
        int client, server;
        connected(i ? listener6 : listener, AF_INET, &client, &server);
        CHECK(send(client, "new", 3, 0) == 3 && drains(server, "new", 3));
    }
    return finish();
}
