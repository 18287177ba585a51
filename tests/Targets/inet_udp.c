// UDP: bound, connected and talking to each other, IPv6, UDP-Lite; options, flags, a duplicate.
#include "target.h"
#include <arpa/inet.h>
#include <sys/socket.h>

static int get(int fd, int level, int option)
{
    int v = -1;
    socklen_t n = sizeof(v);
    return getsockopt(fd, level, option, &v, &n) == 0 ? v : -1;
}

static int made(int family, int protocol, struct sockaddr_in6 *self)
{
    int fd = MUST(socket(family, SOCK_DGRAM, protocol));
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t n = sizeof(*self);
    MUST(family == AF_INET ? bind(fd, (void *)&a4, sizeof(a4)) : bind(fd, (void *)&a6, sizeof(a6)));
    MUST(getsockname(fd, (void *)self, &n));
    return fd;
}

static int same_name(int fd, int peer, struct sockaddr_in6 *wanted)
{
    struct sockaddr_in6 a = { 0 };
    socklen_t n = sizeof(a);
    int r = peer ? getpeername(fd, (void *)&a, &n) : getsockname(fd, (void *)&a, &n);
    return r == 0 && a.sin6_port == wanted->sin6_port && (n == sizeof(struct sockaddr_in) ? !memcmp(&a, wanted, 8) : !memcmp(&a, wanted, sizeof(a)));
}

static int talks(int from, int to)
{
    char c = 0;
    return send(from, "u", 1, 0) == 1 && readable(to, 1000) && recv(to, &c, 1, 0) == 1 && c == 'u';
}

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_in6 na, nb, n6, nc, nl, nm;
    int a = made(AF_INET, 0, &na), b = made(AF_INET, 0, &nb), c = made(AF_INET6, 0, &n6), d = made(AF_INET6, 0, &nc);
    int l = made(AF_INET, IPPROTO_UDPLITE, &nl), m = made(AF_INET, IPPROTO_UDPLITE, &nm), fresh = MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;
    MUST(connect(a, (void *)&nb, 16));
    MUST(connect(b, (void *)&na, 16));
    MUST(connect(c, (void *)&nc, sizeof(nc)));
    MUST(connect(l, (void *)&nm, 16));
    MUST(setsockopt(fresh, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
    MUST(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
    MUST(setsockopt(b, IPPROTO_IP, IP_TOS, &(int){ 16 }, sizeof(int)));
    MUST(fcntl(d, F_SETFL, O_NONBLOCK));
    int copy = MUST(dup3(a, 90, O_CLOEXEC));
    ready();
    CHECK(same_name(a, 0, &na) && same_name(a, 1, &nb) && same_name(b, 0, &nb) && same_name(b, 1, &na));
    CHECK(same_name(c, 0, &n6) && same_name(c, 1, &nc) && same_name(d, 0, &nc) && same_name(l, 0, &nl) && same_name(l, 1, &nm));
    CHECK(talks(a, b) && talks(b, copy) && talks(c, d) && talks(l, m));
    CHECK(recv(d, &one, 1, 0) == -1 && errno == EAGAIN && getpeername(d, (void *)&na, &(socklen_t){ sizeof(na) }) == -1 && errno == ENOTCONN);
    CHECK(get(fresh, SOL_SOCKET, SO_BROADCAST) == 1 && get(a, SOL_SOCKET, SO_BROADCAST) == 0 && get(l, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDPLITE);
    CHECK(get(b, IPPROTO_IP, IP_PKTINFO) == 1 && get(b, IPPROTO_IP, IP_TOS) == 16 && get(a, IPPROTO_IP, IP_TOS) == 0);
    CHECK(fcntl(a, F_GETFD) == 0 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    return finish();
}
