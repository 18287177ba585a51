// An epoll shared by fork: one target is held by both, one by the child alone, one under another number there.
#include "target.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static void add(int ep, int fd, unsigned long long data)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = data };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

static int has(int ep, unsigned long long data)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, 100);
    for (int i = 0; i < n; i++)
        if (e[i].data.u64 == data)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int ep = MUST(epoll_create1(0)), both = MUST(eventfd(0, 0)), p[2], go[2], done[2];
    MUST(pipe(p));
    MUST(pipe(go));
    MUST(pipe(done));
    pid_t child = MUST(fork());
    char c;
    if (child == 0) {
        int own = MUST(eventfd(1, 0));
        add(ep, own, 2);
        MUST(dup2(both, 60));
        MUST(write(done[1], "s", 1));
        while (read(go[0], &c, 1) != 1)
            ;
        unsigned long long one = 1;
        int good = has(ep, 2) && !has(ep, 1) && write(60, &one, 8) == 8 && has(ep, 1) && epoll_ctl(ep, EPOLL_CTL_DEL, own, NULL) == 0;
        write(done[1], good ? "y" : "n", 1);
        _exit(0);
    }
    add(ep, both, 1);
    add(ep, p[0], 3);
    MUST(read(done[0], &c, 1));
    ready();
    CHECK(has(ep, 2) && !has(ep, 1) && !has(ep, 3));
    CHECK(write(p[1], "x", 1) == 1 && has(ep, 3));
    CHECK(write(go[1], "g", 1) == 1 && readable(done[0], 3000) && read(done[0], &c, 1) == 1 && c == 'y');
    CHECK(has(ep, 1) && !has(ep, 2));
    CHECK(waitpid(child, NULL, 0) == child);
    return finish();
}
