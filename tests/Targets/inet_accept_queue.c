// expect-refusal: tcp-accept-queue
// A TCP connection waits to be accepted, its client is closed: refused, and still there afterwards.
#include "target.h"
#include <arpa/inet.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(a);
    int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&a, sizeof(a)));
    MUST(listen(listener, 3));
    MUST(getsockname(listener, (void *)&a, &n));
    MUST(connect(client, (void *)&a, sizeof(a)));
    close(client);
    ready();
    char c;
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0 && recv(server, &c, 1, 0) == 0);
    return finish();
}
