// Further kinds of descriptors in flight, held by nobody, with what waits in them: each is received after the restore and does what it did.
#include "flight.h"
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <sys/fanotify.h>
#include <sys/mman.h>

#define PIDFD_THREAD O_EXCL
enum { FAN, MAP, FROZEN, QUEUE, NAMESPACE, NULL_, ENDED, THREAD, TERMINAL, SEALED, RAW, LITE, SIX, PACKET, RING, GROUP, NAMED, GONE,
       COUNT };

static int tid;

static long bpf(int command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int element(int command, int map, int key, long *value)
{
    union bpf_attr a = { .map_fd = map, .key = (unsigned long)&key, .value = (unsigned long)value };
    return bpf(command, &a);
}

static void *sleeper(void *nothing)
{
    tid = syscall(SYS_gettid);
    while (1)
        pause();
    return nothing;
}

static int bound_udp(int family, int protocol, struct sockaddr_in6 *self)
{
    int fd = MUST(socket(family, SOCK_DGRAM, protocol));
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    MUST(family == AF_INET ? bind(fd, (void *)&a4, sizeof(a4)) : bind(fd, (void *)&a6, sizeof(a6)));
    memset(self, 0, sizeof(*self));
    MUST(getsockname(fd, (void *)self, &(socklen_t){ sizeof(*self) }));
    return fd;
}

static void send_frame(int lo, unsigned short protocol)
{
    char frame[64] = "frame";
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = lo };
    int fd = MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
    MUST(sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)));
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argv);
    int s[2], f[COUNT], got[64], status, lo = MUST(if_nametoindex("lo"));
    long value = 77;
    char data[65], name[64];
    struct stat st, other;
    pthread_t thread;
    f[FAN] = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
    if (f[FAN] < 0)
        return skip("no fanotify here");
    MUST(fanotify_mark(f[FAN], FAN_MARK_ADD, FAN_OPEN | FAN_ONDIR, AT_FDCWD, work));
    union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 9, .map_name = "flight" };
    f[MAP] = MUST(bpf(BPF_MAP_CREATE, &map));
    MUST(element(BPF_MAP_UPDATE_ELEM, f[MAP], 5, &value));
    f[FROZEN] = MUST(bpf(BPF_MAP_CREATE, &map));
    MUST(element(BPF_MAP_UPDATE_ELEM, f[FROZEN], 6, &value));
    MUST(bpf(BPF_MAP_FREEZE, &(union bpf_attr){ .map_fd = f[FROZEN] }));
    snprintf(name, sizeof(name), "/firn-flight-%d-%ld", getpid(), (long)time(NULL));
    f[QUEUE] = MUST(mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0640, &(struct mq_attr){ .mq_maxmsg = 3, .mq_msgsize = 60 }));
    MUST(mq_unlink(name));
    MUST(mq_send(f[QUEUE], "queued", 6, 2));
    f[NAMESPACE] = MUST(open("/proc/self/ns/uts", O_RDONLY));
    f[NULL_] = MUST(open("/dev/null", O_RDWR | O_APPEND));
    pid_t child = MUST(fork());
    if (child == 0)
        _exit(0);
    f[ENDED] = MUST(syscall(SYS_pidfd_open, child, 0));
    MUST(waitpid(child, &status, 0));
    pthread_create(&thread, NULL, sleeper, NULL);
    while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
        usleep(1000);
    f[THREAD] = MUST(syscall(SYS_pidfd_open, tid, PIDFD_THREAD));
    f[TERMINAL] = MUST(posix_openpt(O_RDWR | O_NOCTTY));
    MUST(grantpt(f[TERMINAL]));
    MUST(unlockpt(f[TERMINAL]));
    int slave = MUST(open(ptsname(f[TERMINAL]), O_RDWR | O_NOCTTY));
    MUST(write(slave, "output", 6));
    close(slave);
    f[SEALED] = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
    MUST(write(f[SEALED], "sealed", 6));
    MUST(fcntl(f[SEALED], F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
    f[RAW] = MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    MUST(setsockopt(f[RAW], IPPROTO_IP, IP_TTL, &(int){ 33 }, sizeof(int)));
    struct sockaddr_in6 lite, six;
    f[LITE] = bound_udp(AF_INET, IPPROTO_UDPLITE, &lite);
    f[SIX] = bound_udp(AF_INET6, 0, &six);
    MUST(sendto(f[SIX], "waits", 5, 0, (void *)&six, sizeof(six)));
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88B9), .sll_ifindex = lo };
    f[PACKET] = MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
    MUST(bind(f[PACKET], (void *)&a, sizeof(a)));
    f[RING] = MUST(socket(AF_PACKET, SOCK_RAW, 0));
    MUST(setsockopt(f[RING], SOL_PACKET, PACKET_VERSION, &(int){ TPACKET_V2 }, sizeof(int)));
    struct tpacket_req ring = { 4096, 2, 2048, 4 };
    MUST(setsockopt(f[RING], SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)));
    f[GROUP] = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    MUST(setsockopt(f[GROUP], SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){ RTNLGRP_LINK }, sizeof(int)));
    struct sockaddr_un u = { .sun_family = AF_UNIX };
    snprintf(u.sun_path, sizeof(u.sun_path), "%s", in_work("grams"));
    f[NAMED] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    MUST(bind(f[NAMED], (void *)&u, sizeof(u)));
    MUST(sendto(f[NAMED], "to itself", 9, 0, (void *)&u, sizeof(u)));
    MUST(mkdir(in_work("removed"), 0700));
    f[GONE] = MUST(open(in_work("removed/file"), O_CREAT | O_RDWR, 0600));
    MUST(write(f[GONE], "gone", 4));
    MUST(unlink(in_work("removed/file")));
    MUST(rmdir(in_work("removed")));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    send_fds(s[0], "all", 3, f, COUNT);
    for (int i = 0; i < COUNT; i++)
        close(f[i]);
    ready();
    CHECK(receive_fds(s[1], data, 64, got, NULL) == COUNT && !strcmp(data, "all"));
    struct fanotify_event_metadata event[4];
    int directory = open(work, O_RDONLY | O_DIRECTORY), told = read(got[FAN], event, sizeof(event));
    CHECK(directory >= 0 && told > 0 && (event[0].mask & FAN_OPEN));
    for (struct fanotify_event_metadata *e = event; FAN_EVENT_OK(e, told); e = FAN_EVENT_NEXT(e, told))
        if (e->fd >= 0)
            close(e->fd);
    value = 0;
    CHECK(element(BPF_MAP_LOOKUP_ELEM, got[MAP], 5, &value) == 0 && value == 77 && element(BPF_MAP_UPDATE_ELEM, got[MAP], 1, &value) == 0);
    value = 0;
    CHECK(element(BPF_MAP_LOOKUP_ELEM, got[FROZEN], 6, &value) == 0 && value == 77);
    CHECK(element(BPF_MAP_UPDATE_ELEM, got[FROZEN], 1, &value) < 0);
    unsigned priority = 0;
    CHECK(mq_receive(got[QUEUE], data, 60, &priority) == 6 && priority == 2 && !memcmp(data, "queued", 6));
    CHECK(mq_receive(got[QUEUE], data, 60, &priority) == -1 && errno == EAGAIN);
    CHECK(fstat(got[QUEUE], &st) == 0 && (st.st_mode & 0777) == 0640);
    CHECK(fstat(got[NAMESPACE], &st) == 0 && stat("/proc/self/ns/uts", &other) == 0 && st.st_ino == other.st_ino);
    CHECK(fstat(got[NULL_], &st) == 0 && S_ISCHR(st.st_mode) && read(got[NULL_], data, 1) == 0 && (fcntl(got[NULL_], F_GETFL) & O_APPEND));
    CHECK(readable(got[ENDED], 0) && syscall(SYS_pidfd_send_signal, got[ENDED], 0, NULL, 0) == -1 && errno == ESRCH);
    CHECK(!readable(got[THREAD], 0) && (fcntl(got[THREAD], F_GETFL) & PIDFD_THREAD));
    CHECK(syscall(SYS_pidfd_send_signal, got[THREAD], 0, NULL, 0) == 0);
    CHECK(readable(got[TERMINAL], 0) && read(got[TERMINAL], data, 64) == 6 && !memcmp(data, "output", 6));
    CHECK(pread(got[SEALED], data, 64, 0) == 6 && fcntl(got[SEALED], F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW));
    int ttl = 0;
    CHECK(getsockopt(got[RAW], IPPROTO_IP, IP_TTL, &ttl, &(socklen_t){ sizeof(ttl) }) == 0 && ttl == 33);
    CHECK(sendto(got[LITE], "lite", 4, 0, (void *)&lite, sizeof(lite)) == 4 && readable(got[LITE], 5000));
    CHECK(recv(got[LITE], data, 64, 0) == 4);
    CHECK(readable(got[SIX], 0) && recv(got[SIX], data, 64, 0) == 5 && !memcmp(data, "waits", 5));
    send_frame(lo, 0x88B9);
    CHECK(readable(got[PACKET], 5000) && recv(got[PACKET], data, 64, 0) == 64 && !strcmp(data, "frame"));
    a.sll_protocol = htons(0x88BA);
    char *frames = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, got[RING], 0);
    CHECK(frames != MAP_FAILED && bind(got[RING], (void *)&a, sizeof(a)) == 0);
    send_frame(lo, 0x88BA);
    CHECK(readable(got[RING], 5000) && frames != MAP_FAILED && (((volatile struct tpacket2_hdr *)frames)->tp_status & TP_STATUS_USER));
    unsigned groups = 0;
    CHECK(getsockopt(got[GROUP], SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, &groups, &(socklen_t){ sizeof(groups) }) == 0 && groups == 1);
    CHECK(recv(got[NAMED], data, 64, MSG_DONTWAIT) == 9 && !memcmp(data, "to itself", 9));
    CHECK(pread(got[GONE], data, 4, 0) == 4 && !memcmp(data, "gone", 4) && fstat(got[GONE], &st) == 0 && st.st_nlink == 0);
    return finish();
}
