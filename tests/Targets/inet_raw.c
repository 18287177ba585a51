// Raw sockets: ICMP with a filter, any protocol, with their own headers, IPv6 with a checksum, bound and connected.
#include "inet.h"
#include <linux/icmp.h>
#include <netinet/icmp6.h>

static int pings(int fd)
{
    struct { struct icmphdr h; char data[8]; } echo = { { .type = ICMP_ECHO, .un.echo = { htons(77), htons(1) } }, "payload" };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(echo) / 2; i++)
        sum += ((unsigned short *)&echo)[i];
    sum = (sum & 0xffff) + (sum >> 16);
    echo.h.checksum = (unsigned short)~(sum + (sum >> 16));
    char got[100];
    if (sendto(fd, &echo, sizeof(echo), 0, (void *)&a, sizeof(a)) != sizeof(echo))
        return 0;
    while (readable(fd, 5000) && recv(fd, got, sizeof(got), MSG_DONTWAIT) >= 28)
        if (got[20] == ICMP_ECHOREPLY && got[24] == 0 && got[25] == 77)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int icmp = MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), header = MUST(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)), own = MUST(socket(AF_INET, SOCK_RAW, 253));
    int six = MUST(socket(AF_INET6, SOCK_RAW, 253)), icmp6 = MUST(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)), shut = MUST(socket(AF_INET, SOCK_RAW, 254));
    struct icmp_filter filter = { ~(1u << ICMP_ECHOREPLY) }, now = { 0 };
    struct icmp6_filter filter6, now6;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, b;
    MUST(setsockopt(icmp, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)));
    ICMP6_FILTER_SETBLOCKALL(&filter6);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter6);
    MUST(setsockopt(icmp6, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof(filter6)));
    MUST(bind(own, (void *)&a, sizeof(a)));
    set(shut, IPPROTO_IP, IP_HDRINCL, 1);
    set(shut, IPPROTO_IP, IP_NODEFRAG, 1);
    set(six, SOL_RAW, IPV6_CHECKSUM, 2);
    ready();
    socklen_t n = sizeof(now);
    CHECK(getsockopt(icmp, SOL_RAW, ICMP_FILTER, &now, &n) == 0 && now.data == filter.data && pings(icmp));
    n = sizeof(now6);
    CHECK(getsockopt(icmp6, IPPROTO_ICMPV6, ICMP6_FILTER, &now6, &n) == 0 && !memcmp(&now6, &filter6, n));
    CHECK(get(header, IPPROTO_IP, IP_HDRINCL) == 1 && get(own, IPPROTO_IP, IP_HDRINCL) == 0 && get(shut, IPPROTO_IP, IP_HDRINCL) == 1);
    CHECK(get(shut, IPPROTO_IP, IP_NODEFRAG) == 1 && get(six, SOL_RAW, IPV6_CHECKSUM) == 2 && get(own, SOL_SOCKET, SO_PROTOCOL) == 253);
    n = sizeof(b);
    CHECK(getsockname(own, (void *)&b, &n) == 0 && b.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && get(six, SOL_SOCKET, SO_TYPE) == SOCK_RAW);
    char got[40];
    CHECK(sendto(own, "raw", 3, 0, (void *)&a, sizeof(a)) == 3 && readable(own, 5000) && recv(own, got, sizeof(got), 0) == 23 && !memcmp(got + 20, "raw", 3));
    return finish();
}
