// expect-refusal: tcp-established
// A TCP connection to itself, and no option for it: refused, and it goes on.
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
    int server = MUST(accept(listener, NULL, NULL));
    MUST(send(client, "before", 6, 0));
    ready();
    char buffer[8] = { 0 };
    CHECK(recv(server, buffer, 6, MSG_WAITALL) == 6 && !memcmp(buffer, "before", 6));
    CHECK(send(server, "after", 5, 0) == 5 && recv(client, buffer, 5, MSG_WAITALL) == 5 && !memcmp(buffer, "after", 5));
    return finish();
}
