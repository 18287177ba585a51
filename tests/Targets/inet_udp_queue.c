// Datagrams that wait: with their senders, of IPv4, IPv6 and mapped, an empty one, a long one; UDP-Lite; and the destination of each.
#include "inet.h"
#include <netinet/udp.h>

static int bound(int family, int protocol, int any, struct sockaddr_in6 *self)
{
    int fd = MUST(socket(family, SOCK_DGRAM, protocol));
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = any ? INADDR_ANY : htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    socklen_t n = sizeof(*self);
    if (any)
        a6.sin6_addr = in6addr_any;
    MUST(family == AF_INET ? bind(fd, (void *)&a4, sizeof(a4)) : bind(fd, (void *)&a6, sizeof(a6)));
    memset(self, 0, sizeof(*self));
    MUST(getsockname(fd, (void *)self, &n));
    return fd;
}

static void send_to(int from, const struct sockaddr_in6 *to, int family, const char *address, const void *data, size_t length)
{
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = to->sin6_port };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = to->sin6_port };
    if (family == AF_INET)
        inet_pton(AF_INET, address, &a4.sin_addr);
    else
        inet_pton(AF_INET6, address, &a6.sin6_addr);
    MUST(family == AF_INET ? sendto(from, data, length, 0, (void *)&a4, sizeof(a4)) : sendto(from, data, length, 0, (void *)&a6, sizeof(a6)));
}

static char got[70000];

static int comes(int fd, const void *data, size_t length, int port)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof(a);
    ssize_t r = recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, (void *)&a, &n);
    return r == (ssize_t)length && !memcmp(got, data, length) && a.sin6_port == port;
}

int main(int argc, char **argv)
{
    begin(argv);
    static char large[60000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 7);
    struct sockaddr_in6 n4, n6, nd, nl, na, nb, nc, nm;
    int v4 = bound(AF_INET, 0, 1, &n4), v6 = bound(AF_INET6, 0, 0, &n6), dual = bound(AF_INET6, 0, 1, &nd);
    int lite = bound(AF_INET, IPPROTO_UDPLITE, 0, &nl), a = bound(AF_INET, 0, 0, &na), b = bound(AF_INET6, 0, 0, &nb);
    int c = bound(AF_INET, IPPROTO_UDPLITE, 0, &nc), m = bound(AF_INET, 0, 0, &nm);
    MUST(connect(m, (void *)&na, sizeof(struct sockaddr_in)));
    send_to(a, &n4, AF_INET, "127.0.0.1", "first", 5);
    send_to(a, &n4, AF_INET, "127.0.0.7", large, sizeof(large));
    send_to(b, &n6, AF_INET6, "::1", "sixth", 5);
    send_to(b, &n6, AF_INET6, "::1", "seventh", 7);
    send_to(a, &nd, AF_INET, "127.0.0.1", "mapped", 6);
    send_to(b, &nd, AF_INET6, "::1", "both", 4);
    send_to(c, &nl, AF_INET, "127.0.0.1", "lite", 4);
    send_to(a, &nm, AF_INET, "127.0.0.1", "from the peer", 13);
    set(v4, IPPROTO_IP, IP_PKTINFO, 1);
    set(lite, IPPROTO_UDPLITE, 10, 20);
    set(a, IPPROTO_UDP, UDP_SEGMENT, 500);
    ready();
    CHECK(comes(v4, "first", 5, na.sin6_port));
    struct iovec v = { got, sizeof(got) };
    char control[200];
    struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    CHECK(recvmsg(v4, &message, MSG_DONTWAIT) == sizeof(large) && !memcmp(got, large, sizeof(large)));
    struct cmsghdr *h = CMSG_FIRSTHDR(&message);
    CHECK(h && h->cmsg_type == IP_PKTINFO && ((struct in_pktinfo *)CMSG_DATA(h))->ipi_addr.s_addr == htonl(0x7f000007));
    CHECK(comes(v6, "sixth", 5, nb.sin6_port) && comes(v6, "seventh", 7, nb.sin6_port) && !readable(v6, 0));
    CHECK(comes(dual, "mapped", 6, na.sin6_port) && comes(dual, "both", 4, nb.sin6_port) && comes(lite, "lite", 4, nc.sin6_port));
    CHECK(comes(m, "from the peer", 13, na.sin6_port) && !readable(v4, 0) && !readable(dual, 0) && !readable(lite, 0) && !readable(m, 0));
    CHECK(get(v4, IPPROTO_IP, IP_PKTINFO) == 1 && get(v6, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 0 && get(dual, IPPROTO_IP, IP_PKTINFO) == 0);
    CHECK(get(lite, IPPROTO_UDPLITE, 10) == 20 && get(a, IPPROTO_UDP, UDP_SEGMENT) == 500);
    send_to(m, &n4, AF_INET, "127.0.0.1", "new", 3);
    CHECK(readable(v4, 5000) && comes(v4, "new", 3, nm.sin6_port));
    return finish();
}
