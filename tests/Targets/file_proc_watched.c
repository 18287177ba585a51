// An epoll that watches the mount table in /proc, as of systemd, of the task itself; and one of a child that watches the parent's.
#include "target.h"
#include <sys/epoll.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
    char path[64], text[4096];
    struct epoll_event e = { EPOLLERR | EPOLLPRI, { .u64 = 7 } }, got[4];
    begin(argv);
    int mounts = MUST(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)), epoll = MUST(epoll_create1(EPOLL_CLOEXEC)), both = MUST(epoll_create1(0)), pipes[2];
    MUST(pipe(pipes));
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, mounts, &e));
    e.events = EPOLLIN;
    e.data.u64 = 8;
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &e));
    snprintf(path, sizeof(path), "/proc/%d/mounts", getpid());
    int pid = MUST(fork());
    if (!pid) {
        int parents = MUST(open(path, O_RDONLY));
        struct epoll_event pri = { EPOLLERR | EPOLLPRI, { .u64 = 9 } };
        MUST(epoll_ctl(both, EPOLL_CTL_ADD, parents, &pri));
        publish("child", "");
        wait_for_wake();
        _exit(epoll_ctl(both, EPOLL_CTL_DEL, parents, NULL) == 0 ? 0 : 1);
    }
    while (access(in_work("child"), F_OK))
        usleep(1000);
    MUST(read(mounts, text, 10));
    ready();
    int status = -1;
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(epoll_wait(epoll, got, 4, 0) <= 1 && lseek(mounts, 0, SEEK_CUR) == 10);
    CHECK(write(pipes[1], "x", 1) == 1 && epoll_wait(epoll, got, 4, 2000) >= 1);
    e.events = EPOLLIN | EPOLLPRI;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, mounts, &e) == 0 && epoll_ctl(epoll, EPOLL_CTL_DEL, mounts, NULL) == 0 && epoll_ctl(epoll, EPOLL_CTL_DEL, pipes[0], NULL) == 0);
    return finish();
}
