// epoll: level and edge, one-shot armed and fired, exclusive, a signalfd, an epoll in an epoll, a duplicate, a number closed since.
#include "target.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static int add(int ep, int fd, unsigned events, unsigned long long data)
{
    struct epoll_event e = { .events = events, .data.u64 = data };
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static unsigned ready_events(int ep, unsigned long long data)
{
    struct epoll_event e[16];
    int n = epoll_wait(ep, e, 16, 50);
    for (int i = 0; i < n; i++)
        if (e[i].data.u64 == data)
            return e[i].events;
    return 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int ep = MUST(epoll_create1(EPOLL_CLOEXEC)), inner = MUST(epoll_create1(0)), p[2], q[2];
    MUST(pipe(p));
    MUST(pipe(q));
    int level = MUST(eventfd(1, 0)), edge = MUST(eventfd(0, 0)), once = MUST(eventfd(0, 0)), fired = MUST(eventfd(1, 0));
    int lone = MUST(eventfd(0, 0)), deep = MUST(eventfd(0, 0)), kept = MUST(eventfd(0, 0));
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int sfd = MUST(signalfd(-1, &mask, SFD_NONBLOCK));
    MUST(add(ep, p[0], EPOLLIN | EPOLLRDHUP, 0x1122334455667788ULL));
    MUST(add(ep, level, EPOLLIN, 2));
    MUST(add(ep, edge, EPOLLIN | EPOLLET, 3));
    MUST(add(ep, once, EPOLLIN | EPOLLONESHOT, 4));
    MUST(add(ep, lone, EPOLLIN | EPOLLEXCLUSIVE, 6));
    MUST(add(ep, sfd, EPOLLIN, 7));
    MUST(add(inner, deep, EPOLLIN, 99));
    MUST(add(ep, inner, EPOLLIN, 8));
    int closed = MUST(dup2(kept, 50));
    MUST(add(ep, closed, EPOLLIN, 9));
    close(closed);
    int reused = MUST(dup2(kept, 51));
    MUST(add(ep, reused, EPOLLIN, 10));
    MUST(dup2(q[0], reused));
    MUST(add(ep, reused, EPOLLIN, 11));
    struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 5 };
    int other = MUST(epoll_create1(0));
    MUST(epoll_ctl(other, EPOLL_CTL_ADD, fired, &e));
    MUST(epoll_wait(other, &e, 1, 100) == 1 ? 0 : -1);
    ready();
    unsigned long long one = 1;
    CHECK(ready_events(ep, 2) == EPOLLIN && ready_events(ep, 0x1122334455667788ULL) == 0);
    CHECK(write(p[1], "x", 1) == 1 && ready_events(ep, 0x1122334455667788ULL) == EPOLLIN);
    CHECK(ready_events(ep, 3) == 0 && write(edge, &one, 8) == 8 && ready_events(ep, 3) == EPOLLIN && ready_events(ep, 3) == 0);
    CHECK(write(once, &one, 8) == 8 && ready_events(ep, 4) == EPOLLIN && ready_events(ep, 4) == 0);
    CHECK(write(lone, &one, 8) == 8 && ready_events(ep, 6) == EPOLLIN);
    CHECK(kill(getpid(), SIGUSR2) == 0 && ready_events(ep, 7) == EPOLLIN);
    CHECK(write(deep, &one, 8) == 8 && ready_events(ep, 8) == EPOLLIN && ready_events(inner, 99) == EPOLLIN);
    CHECK(write(kept, &one, 8) == 8 && ready_events(ep, 9) == EPOLLIN && ready_events(ep, 10) == EPOLLIN && ready_events(ep, 11) == 0);
    CHECK(write(q[1], "x", 1) == 1 && ready_events(ep, 11) == EPOLLIN);
    CHECK(ready_events(other, 5) == 0);
    e = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 55 };
    CHECK(epoll_ctl(other, EPOLL_CTL_MOD, fired, &e) == 0 && ready_events(other, 55) == EPOLLIN);
    CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, level, NULL) == 0 && ready_events(ep, 2) == 0);
    CHECK(fcntl(ep, F_GETFD) == FD_CLOEXEC && fcntl(inner, F_GETFD) == 0);
    CHECK(add(ep, once, EPOLLIN, 4) == -1 && errno == EEXIST);
    return finish();
}
