// pidfds of processes that have ended and were waited for, with their exit status; of one that wasn't; of threads, of this process and of
// another one, living and gone.
#include "flight.h"
#include <pthread.h>
#include <sys/epoll.h>

#define PIDFD_THREAD O_EXCL
#ifndef PIDFD_GET_INFO
struct pidfd_info { uint64_t mask, cgroupid; uint32_t pid, tgid, ppid, ids[8]; int32_t exit_code; };
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info)
#endif

static int tids[2];

static int open_pidfd(int pid, int flags)
{
    return syscall(SYS_pidfd_open, pid, flags);
}

static void *sleeper(void *number)
{
    tids[(long)number] = syscall(SYS_gettid);
    while (1)
        pause();
    return NULL;
}

static void *short_lived(void *fd)
{
    *(int *)fd = open_pidfd(syscall(SYS_gettid), PIDFD_THREAD);
    return NULL;
}

static int status_of(int fd)
{
    struct pidfd_info info = { .mask = 8 };
    return ioctl(fd, PIDFD_GET_INFO, &info) == 0 && (info.mask & 8) ? info.exit_code : -1;
}

int main(int argc, char **argv)
{
    begin(argv);
    int endings[] = { 0, 3 << 8, SIGTERM, SIGKILL, SIGRTMIN }, fds[5], before[5], status, ready_pipe[2], gone;
    for (int i = 0; i < 5; i++) {
        pid_t child = MUST(fork());
        if (child == 0) {
            if (endings[i] & 0x7f)
                kill(getpid(), endings[i]);
            _exit(endings[i] >> 8);
        }
        fds[i] = MUST(open_pidfd(child, 0));
        MUST(waitpid(child, &status, 0));
        before[i] = status_of(fds[i]);
    }
    pid_t zombie = MUST(fork());
    if (zombie == 0)
        _exit(9);
    int of_zombie = MUST(open_pidfd(zombie, O_NONBLOCK));
    MUST(pipe(ready_pipe));
    pthread_t thread, other, third;
    pthread_create(&third, NULL, short_lived, &gone);
    pthread_join(third, NULL);
    MUST(gone);
    // A child with a second thread.
    pid_t child = MUST(fork());
    if (child == 0) {
        pthread_create(&thread, NULL, sleeper, (void *)0);
        while (!tids[0])
            usleep(1000);
        MUST(write(ready_pipe[1], tids, sizeof(int)));
        wait_for_wake();
        _exit(0);
    }
    int tid;
    MUST(read(ready_pipe[0], &tid, sizeof(tid)));
    pthread_create(&other, NULL, sleeper, (void *)1);
    while (!tids[1])
        usleep(1000);
    int of_thread = MUST(open_pidfd(tids[1], PIDFD_THREAD)), of_childs = MUST(open_pidfd(tid, PIDFD_THREAD | O_NONBLOCK));
    int of_child = MUST(open_pidfd(child, 0)), leader = MUST(open_pidfd(getpid(), PIDFD_THREAD));
    int epoll = MUST(epoll_create1(0)), twice = MUST(dup(of_childs));
    MUST(fcntl(of_thread, F_SETFD, FD_CLOEXEC));
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, of_childs, &(struct epoll_event){ EPOLLIN, { .u32 = 5 } }));
    // In flight, too: of the living and of the dead.
    int s[2], got[3];
    char data[9];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    send_fds(s[0], "pids", 4, (int[]){ fds[1], of_childs, of_child }, 3);
    ready();
    for (int i = 0; i < 5; i++) {
        CHECK(readable(fds[i], 0) && syscall(SYS_pidfd_send_signal, fds[i], 0, NULL, 0) == -1 && errno == ESRCH);
        CHECK(status_of(fds[i]) == before[i] && (before[i] == -1 || before[i] == endings[i]));
    }
    siginfo_t info = { 0 };
    CHECK(readable(of_zombie, 0) && (fcntl(of_zombie, F_GETFL) & O_NONBLOCK));
    CHECK(waitid(P_PIDFD, of_zombie, &info, WEXITED) == 0 && info.si_pid == zombie && info.si_status == 9);
    CHECK(readable(gone, 0) && (fcntl(gone, F_GETFL) & PIDFD_THREAD));
    CHECK(!readable(of_thread, 0) && (fcntl(of_thread, F_GETFL) & PIDFD_THREAD) && fcntl(of_thread, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(of_childs, F_GETFL) & (PIDFD_THREAD | O_NONBLOCK)) == (PIDFD_THREAD | O_NONBLOCK) && !readable(twice, 0));
    CHECK(syscall(SYS_pidfd_send_signal, of_thread, 0, NULL, 0) == 0 && syscall(SYS_pidfd_send_signal, leader, 0, NULL, 0) == 0);
    struct epoll_event e;
    CHECK(epoll_wait(epoll, &e, 1, 0) == 0);
    CHECK(receive_fds(s[1], data, 8, got, NULL) == 3 && readable(got[0], 0) && !readable(got[1], 0) && !readable(got[2], 0));
    CHECK(syscall(SYS_pidfd_send_signal, got[2], SIGUSR1, NULL, 0) == 0 && readable(of_child, 5000) && readable(got[1], 5000));
    CHECK(epoll_wait(epoll, &e, 1, 5000) == 1 && e.data.u32 == 5 && readable(of_childs, 0) && readable(twice, 0));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
