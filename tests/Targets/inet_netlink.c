// Netlink: route socket with its port and groups, uevents, one not bound; and a socket that signals its owner.
#include "target.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static int asks_links(int fd)
{
    struct { struct nlmsghdr h; struct ifinfomsg i; } r = { { sizeof(r), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { 0 } };
    static char answer[65536];
    if (send(fd, &r, sizeof(r), 0) != sizeof(r))
        return 0;
    for (;;) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        struct nlmsghdr *h = (void *)answer;
        if (n <= 0 || h->nlmsg_type == NLMSG_ERROR)
            return 0;
        for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
            if (h->nlmsg_type == NLMSG_DONE)
                return 1;
    }
}

static int named(int fd, struct sockaddr_nl *a)
{
    socklen_t n = sizeof(*a);
    return getsockname(fd, (void *)a, &n);
}

int main(int argc, char **argv)
{
    begin(argv);
    int route = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), uevent = MUST(socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    int fresh = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), pair[2];
    struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR }, b, c, now;
    MUST(bind(route, (void *)&a, sizeof(a)));
    a = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_groups = 1, .nl_pid = 4242000 };
    MUST(bind(uevent, (void *)&a, sizeof(a)));
    MUST(named(route, &b) | named(uevent, &c));
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    MUST(fcntl(pair[0], F_SETOWN, getpid()));
    MUST(fcntl(pair[0], F_SETSIG, SIGRTMIN + 2));
    MUST(fcntl(pair[0], F_SETFL, fcntl(pair[0], F_GETFL) | O_ASYNC));
    int strict = MUST(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC)), on = 1, switches[] = { 3, 4, 5, 8, 10, 11, 12 };
    for (int i = 0; i < 7; i++)
        MUST(setsockopt(strict, SOL_NETLINK, switches[i], &on, sizeof(on)));
    MUST(setsockopt(strict, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){ 0x10 }, sizeof(int)));
    a = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = 4242001 };
    MUST(connect(fresh, (void *)&a, sizeof(a)));
    int twin = MUST(dup(strict));
    ready();
    CHECK(named(route, &now) == 0 && now.nl_pid == b.nl_pid && now.nl_groups == b.nl_groups);
    CHECK(named(uevent, &now) == 0 && now.nl_pid == 4242000 && now.nl_groups == 1);
    a = (struct sockaddr_nl){ 0 };
    socklen_t n = sizeof(a);
    CHECK(getpeername(fresh, (void *)&a, &n) == 0 && a.nl_pid == 4242001);
    a = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
    CHECK(connect(fresh, (void *)&a, sizeof(a)) == 0);
    CHECK(asks_links(route) && asks_links(fresh));
    for (int i = 0; i < 7; i++) {
        n = sizeof(on), on = 0;
        CHECK(getsockopt(twin, SOL_NETLINK, switches[i], &on, &n) == 0 && on == 1);
    }
    n = sizeof(on);
    CHECK(getsockopt(strict, SOL_SOCKET, SO_TYPE, &on, &n) == 0 && on == SOCK_DGRAM);
    CHECK(named(strict, &now) == 0 && now.nl_groups == 0x8000);
    CHECK(fcntl(route, F_GETFD) == FD_CLOEXEC && (fcntl(uevent, F_GETFL) & O_NONBLOCK));
    CHECK(fcntl(pair[0], F_GETOWN) == getpid() && fcntl(pair[0], F_GETSIG) == SIGRTMIN + 2 && (fcntl(pair[0], F_GETFL) & O_ASYNC));
    CHECK(send(pair[1], "x", 1, 0) == 1 && sigtimedwait(&mask, NULL, &(struct timespec){ 2, 0 }) == SIGRTMIN + 2);
    return finish();
}
