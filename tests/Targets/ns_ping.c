// Ping sockets (SOCK_DGRAM of ICMP), which certain groups may have: IPv4 and IPv6, with their identifier, connected, in flight; and
// TCP beside them.
// contain: pn
// options: --tcp-established
#include "flight.h"
#include "inet.h"
#include <netinet/ip_icmp.h>
#include <net/if.h>
#include <netinet/icmp6.h>

static int pings(int fd, int family, int id)
{
    struct { struct icmphdr h; char data[8]; } echo = { { .type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST, .un.echo = { 0, htons(1) } }, "payload" }, got;
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    if (sendto(fd, &echo, sizeof(echo), 0, family == AF_INET ? (void *)&a4 : (void *)&a6, family == AF_INET ? sizeof(a4) : sizeof(a6)) != sizeof(echo))
        return 0;
    return readable(fd, 5000) && recv(fd, &got, sizeof(got), 0) == sizeof(got) && !strcmp(got.data, "payload") && got.h.un.echo.id == htons(id);
}

int main(int argc, char **argv)
{
    begin(argv);
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int any = MUST(socket(AF_INET, SOCK_DGRAM, 0)), range = MUST(open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY)), client, server;
    MUST(ioctl(any, SIOCSIFFLAGS, &lo));
    MUST(write(range, "0 0", 3));
    close(range);
    int v4 = MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)), v6 = MUST(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    int joined = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP)), fresh = MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(4242), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, now;
    struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(4243), .sin6_addr = in6addr_loopback };
    MUST(bind(v4, (void *)&a, sizeof(a)));
    MUST(bind(v6, (void *)&b, sizeof(b)));
    a.sin_port = 0;
    MUST(connect(joined, (void *)&a, sizeof(a)));
    set(v4, IPPROTO_IP, IP_TTL, 9);
    set(v4, IPPROTO_IP, IP_RECVTTL, 1);
    int pair[2], flying = MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)), flown = -1;
    char data[8];
    a.sin_port = htons(4244);
    MUST(bind(flying, (void *)&a, sizeof(a)));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    send_fds(pair[0], "ping", 4, &flying, 1);
    close(flying);
    connected(listening(AF_INET, 0), AF_INET, &client, &server);
    MUST(send(client, "within", 6, 0));
    ready();
    CHECK(pings(v4, AF_INET, 4242) && pings(v6, AF_INET6, 4243) && get(v4, IPPROTO_IP, IP_TTL) == 9 && get(v4, IPPROTO_IP, IP_RECVTTL) == 1);
    CHECK(getsockname(v4, (void *)&now, &(socklen_t){ sizeof(now) }) == 0 && ntohs(now.sin_port) == 4242);
    CHECK(get(fresh, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_ICMP && fcntl(joined, F_GETFD) == FD_CLOEXEC);
    CHECK(receive_fds(pair[1], data, 7, &flown, NULL) == 1 && pings(flown, AF_INET, 4244));
    CHECK(drains(server, "within", 6) && send(server, "back", 4, 0) == 4 && drains(client, "back", 4));
    return finish();
}
