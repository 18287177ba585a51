// Options that only Firn's images have: of sockets, IP, IPv6, TCP, UDP; a filter that is locked; multicast groups with sources.
#include "inet.h"
#include <linux/filter.h>
#include <netinet/udp.h>

struct option { int family, type, level, name, value; };
static const struct option options[] = {
    { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_TIMESTAMP, 1 }, { AF_INET6, SOCK_DGRAM, SOL_SOCKET, SO_TIMESTAMPNS, 1 },
    { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_RXQ_OVFL, 1 }, { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_PEEK_OFF, 3 },
    { AF_INET, SOCK_STREAM, SOL_SOCKET, SO_ZEROCOPY, 1 }, { AF_INET, SOCK_STREAM, SOL_SOCKET, SO_BUSY_POLL, 20 },
    { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO }, { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVERR, 1 },
    { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVTTL, 1 }, { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVTOS, 1 },
    { AF_INET, SOCK_STREAM, IPPROTO_IP, IP_MINTTL, 9 }, { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_TTL, 4 },
    { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP, 0 }, { AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_ALL, 0 },
    { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 13 }, { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 14 },
    { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVERR, 1 }, { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },
    { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 }, { AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_TCLASS, 32 },
    { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_DONTFRAG, 1 }, { AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2 },
    { AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_SYNCNT, 3 }, { AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_LINGER2, 11 },
    { AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT, 7000 }, { AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 5000 },
    { AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_MAXSEG, 700 }, { AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_INQ, 1 },
    { AF_INET6, SOCK_DGRAM, IPPROTO_UDP, UDP_SEGMENT, 900 }, { AF_INET6, SOCK_DGRAM, IPPROTO_UDP, UDP_NO_CHECK6_TX, 1 },
};
enum { COUNT = sizeof(options) / sizeof(options[0]) };

static int has_filter(int fd)
{
    struct sock_filter f[4];
    socklen_t n = 4;
    return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, f, &n) == 0 && n == 2 && f[0].code == (BPF_LD | BPF_W | BPF_LEN) && f[1].k == 77;
}

int main(int argc, char **argv)
{
    begin(argv);
    int fds[COUNT], before[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = MUST(socket(options[i].family, options[i].type, 0));
        set(fds[i], options[i].level, options[i].name, options[i].value);
        before[i] = get(fds[i], options[i].level, options[i].name);
    }
    char algorithm[16] = "reno", now[16] = { 0 };
    int tcp = MUST(socket(AF_INET, SOCK_STREAM, 0)), locked = MUST(socket(AF_INET, SOCK_DGRAM, 0)), open_ = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    MUST(setsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, algorithm, 4));
    struct sock_filter code[2] = { { BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 }, { BPF_RET | BPF_K, 0, 0, 77 } };
    struct sock_fprog filter = { 2, code };
    MUST(setsockopt(locked, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
    MUST(setsockopt(open_, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
    set(locked, SOL_SOCKET, SO_LOCK_FILTER, 1);
    // Groups: any source, all but one, only one.
    int member = MUST(socket(AF_INET, SOCK_DGRAM, 0)), member6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0)), none = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct ip_mreqn any = { .imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_ifindex = 1 };
    struct ip_mreq_source only = { .imr_multiaddr.s_addr = inet_addr("239.1.2.4"), .imr_interface.s_addr = inet_addr("127.0.0.1"), .imr_sourceaddr.s_addr = inet_addr("10.1.1.1") };
    MUST(setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &any, sizeof(any)));
    MUST(setsockopt(member, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &only, sizeof(only)));
    struct ipv6_mreq six = { .ipv6mr_interface = 1 };
    inet_pton(AF_INET6, "ff15::77", &six.ipv6mr_multiaddr);
    MUST(setsockopt(member6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &six, sizeof(six)));
    ready();
    for (int i = 0; i < COUNT; i++)
        if (get(fds[i], options[i].level, options[i].name) != before[i])
            differ("option %d: %d, not %d", i, get(fds[i], options[i].level, options[i].name), before[i]);
    CHECK(getsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, now, &(socklen_t){ 16 }) == 0 && !strcmp(now, "reno"));
    CHECK(has_filter(locked) && has_filter(open_) && get(locked, SOL_SOCKET, SO_LOCK_FILTER) == 1 && get(open_, SOL_SOCKET, SO_LOCK_FILTER) == 0);
    CHECK(setsockopt(locked, SOL_SOCKET, SO_DETACH_FILTER, &filter, sizeof(filter)) == -1 && errno == EPERM);
    CHECK(setsockopt(none, IPPROTO_IP, IP_DROP_MEMBERSHIP, &any, sizeof(any)) == -1);
    CHECK(setsockopt(member, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &only, sizeof(only)) == 0);
    CHECK(setsockopt(member, IPPROTO_IP, IP_DROP_MEMBERSHIP, &any, sizeof(any)) == 0);
    CHECK(setsockopt(member6, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &six, sizeof(six)) == 0);
    return finish();
}
