// A signalfd that an epoll watches under a number that is closed by now, or is another file, or that only another process has.
#include "flight.h"
#include <sys/epoll.h>
#include <sys/signalfd.h>

static int wakes(int epoll, int data, int sig)
{
    struct epoll_event e[4];
    if (epoll_wait(epoll, e, 4, 0) != 0)
        return 0;
    // The epoll must be woken, and not merely look.
    pid_t helper = fork();
    if (helper == 0) {
        usleep(100000);
        kill(getppid(), sig);
        _exit(0);
    }
    int n = epoll_wait(epoll, e, 4, 20000), found = 0;
    for (int i = 0; i < n; i++)
        found |= e[i].data.u32 == (unsigned)data;
    waitpid(helper, NULL, 0);
    return found;
}

int main(int argc, char **argv)
{
    begin(argv);
    sigset_t one, two;
    sigemptyset(&one);
    sigemptyset(&two);
    sigaddset(&one, SIGUSR2);
    sigaddset(&two, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &one, NULL);
    sigprocmask(SIG_BLOCK, &two, NULL);
    int first = MUST(signalfd(-1, &one, SFD_NONBLOCK)), second = MUST(signalfd(-1, &two, SFD_NONBLOCK | SFD_CLOEXEC));
    int epoll = MUST(epoll_create1(0)), other = MUST(epoll_create1(0)), closed = MUST(dup2(first, 60)), reused = MUST(dup2(second, 61));
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, closed, &(struct epoll_event){ EPOLLIN, { .u32 = 1 } }));
    MUST(epoll_ctl(other, EPOLL_CTL_ADD, reused, &(struct epoll_event){ EPOLLIN, { .u32 = 2 } }));
    close(closed);
    MUST(dup2(MUST(open("/dev/null", O_RDONLY | O_CLOEXEC)), reused));
    ready();
    CHECK(wakes(epoll, 1, SIGUSR2));
    CHECK(wakes(other, 2, SIGRTMIN));
    struct signalfd_siginfo info;
    CHECK(read(first, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
    CHECK(read(second, &info, sizeof(info)) == sizeof(info) && (int)info.ssi_signo == SIGRTMIN);
    struct stat st;
    CHECK(fcntl(closed, F_GETFD) == -1 && fstat(reused, &st) == 0 && S_ISCHR(st.st_mode) && fcntl(reused, F_GETFD) == 0);
    return finish();
}
