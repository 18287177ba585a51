// options: --tcp-established
// Connections that no one has accepted yet, their clients in the tree: accepted afterwards in their order, with their names.
#include "inet.h"

int main(int argc, char **argv)
{
    begin(argv);
    int listener = listening(AF_INET, 0), dual = listening(AF_INET6, 1), c[4];
    struct sockaddr_in6 a, names[4], peer;
    for (int i = 0; i < 4; i++) {
        socklen_t n = name_of(i == 3 ? dual : listener, AF_INET, &a);
        c[i] = MUST(socket(AF_INET, SOCK_STREAM | (i == 1 ? SOCK_NONBLOCK : 0), 0));
        (void)!connect(c[i], (void *)&a, n);
        MUST(readable(i == 3 ? dual : listener, 5000) - 1);
        MUST(getsockname(c[i], (void *)&names[i], &(socklen_t){ sizeof(names[i]) }));
    }
    ready();
    for (int i = 0; i < 4; i++) {
        socklen_t n = sizeof(peer);
        int s = readable(i == 3 ? dual : listener, 30000) ? accept(i == 3 ? dual : listener, (void *)&peer, &n) : -1;
        CHECK(s >= 0 && peer.sin6_port == names[i].sin6_port);
        CHECK(send(c[i], "asks", 4, 0) == 4 && drains(s, "asks", 4) && send(s, "told", 4, 0) == 4 && drains(c[i], "told", 4));
    }
    CHECK((fcntl(c[1], F_GETFL) & O_NONBLOCK) && !(fcntl(c[0], F_GETFL) & O_NONBLOCK) && !readable(listener, 0));
    return finish();
}
