// TCP listeners: IPv4, IPv6 alone, both at once, one port for two; backlog and options; a socket only bound, one only made.
#include "target.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int get(int fd, int level, int option)
{
    int v = -1;
    socklen_t n = sizeof(v);
    return getsockopt(fd, level, option, &v, &n) == 0 ? v : -1;
}

static void set(int fd, int level, int option, int v)
{
    MUST(setsockopt(fd, level, option, &v, sizeof(v)));
}

static int port(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof(a);
    return getsockname(fd, (struct sockaddr *)&a, &n) == 0 ? ntohs(a.sin6_port) : -1;
}

static int made(int family, int v6only, int reuse, int at)
{
    int fd = MUST(socket(family, SOCK_STREAM, 0));
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(at) };
    if (family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
    if (reuse)
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    MUST(family == AF_INET ? bind(fd, (void *)&a4, sizeof(a4)) : bind(fd, (void *)&a6, sizeof(a6)));
    return fd;
}

static int reaches(int listener, int family, int at)
{
    int c = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(at), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int r = family == AF_INET ? connect(c, (void *)&a4, sizeof(a4)) : connect(c, (void *)&a6, sizeof(a6));
    int s = r == 0 && readable(listener, 1000) ? accept(listener, NULL, NULL) : -1;
    char b = 0;
    return s >= 0 && send(c, "q", 1, 0) == 1 && recv(s, &b, 1, 0) == 1 && b == 'q';
}

int main(int argc, char **argv)
{
    begin(argv);
    int v4 = made(AF_INET, 0, 0, 0), v6 = made(AF_INET6, 1, 0, 0), both = made(AF_INET6, 0, 0, 0), r1 = made(AF_INET, 0, 1, 0);
    int r2 = made(AF_INET, 0, 1, port(r1)), bound = made(AF_INET, 0, 0, 0), fresh = MUST(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
    set(v4, SOL_SOCKET, SO_REUSEADDR, 1);
    set(v4, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(v4, IPPROTO_TCP, TCP_KEEPIDLE, 77);
    set(v4, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fresh, SOL_SOCKET, SO_RCVBUF, 50000);
    set(fresh, SOL_SOCKET, SO_PRIORITY, 3);
    set(bound, IPPROTO_IP, IP_TTL, 33);
    MUST(listen(v4, 9) | listen(v6, 8) | listen(both, 7) | listen(r1, 6) | listen(r2, 5));
    int p4 = port(v4), p6 = port(v6), p = port(both), pb = port(bound), buffer = get(fresh, SOL_SOCKET, SO_RCVBUF), copy = MUST(dup2(v4, 80));
    ready();
    CHECK(port(v4) == p4 && port(v6) == p6 && port(both) == p && port(bound) == pb && port(r1) == port(r2));
    CHECK(reaches(copy, AF_INET, p4) && reaches(v6, AF_INET6, p6) && !reaches(v6, AF_INET, p6) && reaches(both, AF_INET, p) && reaches(both, AF_INET6, p));
    CHECK(get(v4, SOL_SOCKET, SO_REUSEADDR) == 1 && get(v6, SOL_SOCKET, SO_REUSEADDR) == 0 && get(r1, SOL_SOCKET, SO_REUSEPORT) == 1);
    CHECK(get(v4, SOL_SOCKET, SO_KEEPALIVE) == 1 && get(v4, IPPROTO_TCP, TCP_KEEPIDLE) == 77 && get(v4, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(get(v6, IPPROTO_IPV6, IPV6_V6ONLY) == 1 && get(both, IPPROTO_IPV6, IPV6_V6ONLY) == 0 && get(bound, IPPROTO_IP, IP_TTL) == 33);
    CHECK(get(fresh, SOL_SOCKET, SO_RCVBUF) == buffer && get(fresh, SOL_SOCKET, SO_PRIORITY) == 3 && (fcntl(fresh, F_GETFL) & O_NONBLOCK));
    struct tcp_info info = { 0 };
    socklen_t n = sizeof(info);
    CHECK(getsockopt(v4, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_state == TCP_LISTEN && info.tcpi_sacked == 9);
    CHECK(listen(bound, 1) == 0 && reaches(bound, AF_INET, pb) && get(fresh, SOL_SOCKET, SO_ACCEPTCONN) == 0);
    return finish();
}
