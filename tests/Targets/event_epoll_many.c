// epoll with a pidfd, a pipe on both ends, sockets, a timer, and 300 eventfds with numbers up to 600.
#include "target.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

enum { MANY = 300 };

static void add(int ep, int fd, unsigned events)
{
    struct epoll_event e = { .events = events, .data.fd = fd };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

static int has(int ep, int fd, int milliseconds)
{
    struct epoll_event e[MANY + 8];
    int n = epoll_wait(ep, e, MANY + 8, milliseconds);
    for (int i = 0; i < n; i++)
        if (e[i].data.fd == fd)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int ep = MUST(epoll_create1(0)), go[2], pair[2], many[MANY], timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    MUST(pipe(go));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pid_t child = MUST(fork());
    if (child == 0) {
        char c;
        while (read(go[0], &c, 1) != 1)
            ;
        _exit(0);
    }
    int process = MUST(syscall(SYS_pidfd_open, child, 0));
    for (int i = 0; i < MANY; i++) {
        many[i] = MUST(dup2(MUST(eventfd(0, 0)), 601 - i));
        add(ep, many[i], EPOLLIN | EPOLLET);
    }
    add(ep, process, EPOLLIN);
    add(ep, timer, EPOLLIN);
    add(ep, pair[0], EPOLLIN | EPOLLOUT | EPOLLET);
    add(ep, go[1], EPOLLERR);
    ready();
    unsigned long long one = 1;
    CHECK(has(ep, pair[0], 0) && !has(ep, process, 0) && !has(ep, timer, 0));
    for (int i = 0; i < MANY; i += 7)
        CHECK(write(many[i], &one, 8) == 8 && has(ep, many[i], 0));
    struct itimerspec its = { { 0, 0 }, { 0, 1000000 } };
    CHECK(timerfd_settime(timer, 0, &its, NULL) == 0 && has(ep, timer, 3000));
    CHECK(write(go[1], "g", 1) == 1 && readable(process, 3000) && has(ep, process, 0));
    CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, process, NULL) == 0 && !has(ep, process, 0));
    CHECK(waitpid(child, NULL, 0) == child);
    return finish();
}
