// options: --tcp-established
// dump-options: --skip-in-flight
// only-restored
// Connections that no one has accepted yet are left out: the listener goes on, their clients find them reset; accepted ones go on.
#include "inet.h"

int main(int argc, char **argv)
{
    begin(argv);
    int listener = listening(AF_INET, 0), client, server, waiting = MUST(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in6 a;
    socklen_t n = name_of(listener, AF_INET, &a);
    connected(listener, AF_INET, &client, &server);
    MUST(connect(waiting, (void *)&a, n));
    MUST(send(waiting, "early", 5, 0));
    ready();
    char b;
    CHECK(send(client, "going on", 8, 0) == 8 && drains(server, "going on", 8));
    CHECK(!readable(listener, 0));
    CHECK(readable(waiting, 30000) && recv(waiting, &b, 1, 0) == -1 && errno == ECONNRESET);
    connected(listener, AF_INET, &client, &server);
    CHECK(send(client, "new", 3, 0) == 3 && drains(server, "new", 3));
    return finish();
}
