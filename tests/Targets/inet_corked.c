// UDP_CORK of a socket that has nothing to be put together: what is sent after that waits for the end of it, in one datagram.
#include "inet.h"
#include <netinet/udp.h>

int main(int argc, char **argv)
{
    begin(argv);
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0)), six = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    MUST(bind(fd, (void *)&a, sizeof(a)));
    MUST(getsockname(fd, (void *)&a, &(socklen_t){ sizeof(a) }));
    MUST(connect(fd, (void *)&a, sizeof(a)));
    set(fd, IPPROTO_UDP, UDP_CORK, 1);
    set(six, IPPROTO_UDP, UDP_CORK, 1);
    ready();
    char data[16] = "";
    CHECK(get(fd, IPPROTO_UDP, UDP_CORK) == 1 && get(six, IPPROTO_UDP, UDP_CORK) == 1);
    CHECK(send(fd, "one", 3, 0) == 3 && send(fd, " whole", 6, 0) == 6 && !readable(fd, 20));
    set(fd, IPPROTO_UDP, UDP_CORK, 0);
    CHECK(readable(fd, 5000) && recv(fd, data, sizeof(data), 0) == 9 && !strcmp(data, "one whole"));
    return finish();
}
