// tun and tap: attached and not attached, two queues of one device of which one rests, a device that stays without a descriptor; shared
// with a child, duplicated, closed on exec; in flight, held by nobody.
// contain: pn
#include "flight.h"
#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>

static int attach(const char *name, short flags)
{
    struct ifreq r = { .ifr_flags = flags };
    strcpy(r.ifr_name, name);
    int fd = MUST(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    MUST(ioctl(fd, TUNSETIFF, &r));
    return fd;
}

static void configure(const char *name, const char *address)
{
    struct ifreq r = { 0 };
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    strcpy(r.ifr_name, name);
    struct sockaddr_in *a = (void *)&r.ifr_addr;
    a->sin_family = AF_INET;
    inet_pton(AF_INET, address, &a->sin_addr);
    MUST(ioctl(fd, SIOCSIFADDR, &r));
    inet_pton(AF_INET, "255.255.255.0", &a->sin_addr);
    MUST(ioctl(fd, SIOCSIFNETMASK, &r));
    r.ifr_flags = IFF_UP;
    MUST(ioctl(fd, SIOCSIFFLAGS, &r));
    close(fd);
}

static int flags_of(int fd, char *name)
{
    struct ifreq r = { 0 };
    if (ioctl(fd, TUNGETIFF, &r))
        return -errno;
    strcpy(name, r.ifr_name);
    return (unsigned short)r.ifr_flags;
}

// The next UDP packet that the kernel gives to a program which is a device: the offset of the text in it.
static int gives(int fd, const char *text, int header)
{
    char packet[2048];
    for (int i = 0; i < 20 && readable(fd, 2000); i++) {
        ssize_t n = read(fd, packet, sizeof(packet));
        if (n > header + 28 && packet[header] == 0x45 && packet[header + 9] == IPPROTO_UDP && !memcmp(packet + header + 28, text, strlen(text)))
            return 1;
    }
    return 0;
}

static void send_to(const char *address, const char *text)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(4000) };
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    inet_pton(AF_INET, address, &a.sin_addr);
    CHECK(sendto(fd, text, strlen(text), 0, (void *)&a, sizeof(a)) == (ssize_t)strlen(text));
    close(fd);
}

int main(int argc, char **argv)
{
    char name[IFNAMSIZ] = "";
    int value;
    begin(argv);
    int tun = attach("tun7", IFF_TUN | IFF_NO_PI), fresh = MUST(open("/dev/net/tun", O_RDWR | O_NONBLOCK));
    int first = attach("tap3", IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR), second = attach("tap3", IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR);
    int stays = attach("stays", IFF_TUN), twin = MUST(dup(tun));
    MUST(ioctl(stays, TUNSETPERSIST, 1));
    MUST(ioctl(stays, TUNSETOWNER, 1234));
    MUST(ioctl(stays, TUNSETGROUP, 77));
    close(stays);
    struct ifreq queue = { .ifr_flags = IFF_DETACH_QUEUE };
    MUST(ioctl(second, TUNSETQUEUE, &queue));
    value = 12;
    MUST(ioctl(first, TUNSETVNETHDRSZ, &value));
    value = 50000;
    MUST(ioctl(first, TUNSETSNDBUF, &value));
    configure("tun7", "10.77.0.1");
    unsigned index = if_nametoindex("tun7"), tap = if_nametoindex("tap3"), kept = if_nametoindex("stays");
    int child = MUST(fork()), status;
    if (child == 0) {
        wait_for_wake();
        _exit(!gives(tun, "to the child", 0));
    }
    int pair[2], flying[2], flown[2];
    char data[8];
    flying[0] = attach("tun8", IFF_TUN | IFF_NO_PI), flying[1] = MUST(open("/dev/net/tun", O_RDWR | O_NONBLOCK));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    send_fds(pair[0], "tuns", 4, flying, 2);
    close(flying[0]);
    close(flying[1]);
    // What IPv6 says by itself when a device comes up is of no interest.
    ready();
    CHECK(flags_of(tun, name) == (IFF_TUN | IFF_NO_PI) && !strcmp(name, "tun7") && fcntl(tun, F_GETFD) == FD_CLOEXEC);
    CHECK(flags_of(fresh, name) == -EBADFD && (fcntl(fresh, F_GETFL) & O_NONBLOCK));
    CHECK(flags_of(first, name) == (IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR | IFF_NOFILTER) && !strcmp(name, "tap3"));
    CHECK(flags_of(second, name) == (IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR | IFF_NOFILTER | IFF_DETACH_QUEUE) && !strcmp(name, "tap3"));
    CHECK(ioctl(first, TUNGETVNETHDRSZ, &value) == 0 && value == 12);
    CHECK(ioctl(first, TUNGETSNDBUF, &value) == 0 && value == 50000);
    CHECK(if_nametoindex("tun7") == index && if_nametoindex("tap3") == tap && if_nametoindex("stays") == kept);
    send_to("10.77.0.9", "to the parent");
    CHECK(gives(twin, "to the parent", 0));
    send_to("10.77.0.9", "to the child");
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(if_nametoindex("tun8") && receive_fds(pair[1], data, 7, flown, NULL) == 2);
    CHECK(flags_of(flown[0], name) == (IFF_TUN | IFF_NO_PI) && !strcmp(name, "tun8") && flags_of(flown[1], name) == -EBADFD);
    close(flown[0]);
    CHECK(if_nametoindex("tun8") == 0);
    queue.ifr_flags = IFF_ATTACH_QUEUE;
    CHECK(ioctl(second, TUNSETQUEUE, &queue) == 0);
    close(tun);
    close(twin);
    close(first);
    close(second);
    // A device goes with its last descriptor, but for one that stays.
    CHECK(if_nametoindex("tun7") == 0 && if_nametoindex("tap3") == 0 && if_nametoindex("stays") == kept);
    stays = attach("stays", IFF_TUN);
    CHECK(flags_of(stays, name) == (IFF_TUN | IFF_PERSIST | IFF_NOFILTER));
    // With the information about packets: four bytes before each.
    configure("stays", "10.78.0.1");
    send_to("10.78.0.9", "with four bytes");
    CHECK(gives(stays, "with four bytes", 4));
    return finish();
}
