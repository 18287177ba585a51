// Packet sockets: protocol, interface, options, memberships, fanout and a filter; shared with a child, duplicated, closed on exec.
#include "target.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

static int protocol;

static int get(int fd, int option)
{
    int value = -1;
    socklen_t n = sizeof(value);
    return getsockopt(fd, SOL_PACKET, option, &value, &n) ? -errno : value;
}

static void set(int fd, int option, int value)
{
    MUST(setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)));
}

static struct sockaddr_ll named(int fd)
{
    struct sockaddr_ll a = { 0 };
    socklen_t n = sizeof(a);
    getsockname(fd, (void *)&a, &n);
    return a;
}

static void give(int lo, char text)
{
    char frame[64] = { text };
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = lo };
    int fd = MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
    MUST(sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)));
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argv);
    protocol = own_numbers();
    int lo = MUST(if_nametoindex("lo"));
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = lo };
    int bound = MUST(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), fresh = MUST(socket(AF_PACKET, SOCK_RAW, 0));
    int any = MUST(socket(AF_PACKET, SOCK_RAW, htons(protocol + 1))), twin = MUST(dup(bound)), one, two, value;
    // No frame whose first byte is X.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'X', 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = { 4, code };
    MUST(setsockopt(bound, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
    MUST(bind(bound, (void *)&a, sizeof(a)));
    set(bound, PACKET_AUXDATA, 1);
    set(bound, PACKET_ORIGDEV, 1);
    set(bound, PACKET_TIMESTAMP, 8);
    set(bound, PACKET_COPY_THRESH, 100);
    set(bound, PACKET_IGNORE_OUTGOING, 1);
    set(fresh, PACKET_VERSION, TPACKET_V2);
    set(fresh, PACKET_RESERVE, 32);
    set(fresh, PACKET_VNET_HDR, 1);
    set(fresh, PACKET_LOSS, 1);
    set(fresh, PACKET_QDISC_BYPASS, 1);
    struct packet_mreq group = { lo, PACKET_MR_MULTICAST, 6, { 1, 0, 0x5e, 0, 0, 9 } };
    MUST(setsockopt(any, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group)));
    MUST(setsockopt(any, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group)));
    a.sll_protocol = htons(protocol + 2);
    MUST(bind(one = MUST(socket(AF_PACKET, SOCK_DGRAM, 0)), (void *)&a, sizeof(a)));
    MUST(bind(two = MUST(socket(AF_PACKET, SOCK_DGRAM, 0)), (void *)&a, sizeof(a)));
    value = protocol | PACKET_FANOUT_LB << 16 | PACKET_FANOUT_FLAG_DEFRAG << 16;
    set(one, PACKET_FANOUT, value);
    set(two, PACKET_FANOUT, value);
    int child = MUST(fork()), status;
    if (child == 0) {
        wait_for_wake();
        char byte;
        _exit(!(readable(bound, 2000) && recv(bound, &byte, 1, 0) == 1 && byte == 'C'));
    }
    ready();
    struct sockaddr_ll now = named(bound);
    CHECK(now.sll_ifindex == lo && now.sll_protocol == htons(protocol) && fcntl(bound, F_GETFD) == FD_CLOEXEC);
    CHECK(get(bound, PACKET_AUXDATA) == 1 && get(bound, PACKET_ORIGDEV) == 1 && get(bound, PACKET_TIMESTAMP) == 8);
    CHECK(get(bound, PACKET_IGNORE_OUTGOING) == 1 && (fcntl(bound, F_GETFL) & O_NONBLOCK));
    CHECK(get(fresh, PACKET_VERSION) == TPACKET_V2 && get(fresh, PACKET_RESERVE) == 32 && get(fresh, PACKET_VNET_HDR) == 1);
    CHECK(get(fresh, PACKET_LOSS) == 1 && get(fresh, PACKET_QDISC_BYPASS) == 1 && named(fresh).sll_protocol == 0);
    CHECK(named(any).sll_protocol == htons(protocol + 1) && named(any).sll_ifindex == 0);
    CHECK(get(one, PACKET_FANOUT) == value && get(two, PACKET_FANOUT) == value);
    CHECK(setsockopt(any, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &group, sizeof(group)) == 0);
    CHECK(setsockopt(any, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &group, sizeof(group)) == 0);
    errno = 0;
    CHECK(setsockopt(any, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &group, sizeof(group)) < 0 || errno == 0);
    give(lo, 'X');
    give(lo, 'A');
    char byte = 0;
    CHECK(readable(twin, 2000) && recv(twin, &byte, 1, 0) == 1 && byte == 'A');
    kill(child, SIGUSR1);
    give(lo, 'C');
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
