// signalfds: masks, one signal waiting in it, one shared by fork, flags.
#include "target.h"
#include <sys/signalfd.h>

static int take(int fd)
{
    struct signalfd_siginfo info = { 0 };
    return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    sigset_t first, second, all;
    sigemptyset(&first);
    sigaddset(&first, SIGUSR2);
    sigemptyset(&second);
    sigaddset(&second, SIGRTMIN + 3);
    sigaddset(&second, SIGCHLD);
    sigorset(&all, &first, &second);
    sigprocmask(SIG_BLOCK, &all, NULL);
    int a = MUST(signalfd(-1, &first, SFD_NONBLOCK)), b = MUST(signalfd(-1, &second, SFD_CLOEXEC | SFD_NONBLOCK));
    int copy = MUST(dup(a));
    pid_t child = MUST(fork());
    if (child == 0) {
        while (!readable(a, 100000) || take(a) != SIGUSR2)
            ;
        _exit(33);
    }
    raise(SIGUSR2);
    ready();
    CHECK(fcntl(b, F_GETFD) == FD_CLOEXEC && fcntl(a, F_GETFD) == 0 && (fcntl(a, F_GETFL) & O_NONBLOCK));
    CHECK(readable(copy, 0) && take(copy) == SIGUSR2);
    CHECK(take(a) == 0 && errno == EAGAIN);
    CHECK(take(b) == 0 && errno == EAGAIN);
    CHECK(raise(SIGRTMIN + 3) == 0 && take(a) == 0 && take(b) == SIGRTMIN + 3);
    CHECK(kill(child, SIGUSR2) == 0);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 33);
    CHECK(take(b) == SIGCHLD);
    return finish();
}
