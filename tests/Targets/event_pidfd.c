// pidfds: of itself, of a living child, of the parent, of a child that has been waited for.
#include "target.h"
#include <sys/syscall.h>

static int pidfd(pid_t pid)
{
    return MUST(syscall(SYS_pidfd_open, pid, 0));
}

static int send_to(int fd, int sig)
{
    return syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

int main(int argc, char **argv)
{
    begin(argv);
    int parent = pidfd(getpid()), go[2];
    MUST(pipe(go));
    pid_t child = MUST(fork());
    if (child == 0) {
        char c;
        while (read(go[0], &c, 1) != 1)
            ;
        _exit(send_to(parent, 0) == 0 ? 44 : 45);
    }
    int living = pidfd(child), copy = MUST(dup2(living, 30));
    pid_t gone = MUST(fork());
    if (gone == 0)
        _exit(3);
    int dead = pidfd(gone);
    MUST(waitpid(gone, NULL, 0));
    ready();
    CHECK(fcntl(living, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
    CHECK(send_to(parent, 0) == 0 && send_to(living, 0) == 0 && send_to(copy, 0) == 0);
    CHECK(!readable(living, 0));
    CHECK(send_to(dead, 0) == -1 && errno == ESRCH && readable(dead, 0));
    CHECK(write(go[1], "g", 1) == 1 && readable(copy, 3000));
    siginfo_t info = { 0 };
    CHECK(waitid(P_PIDFD, living, &info, WEXITED) == 0 && info.si_pid == child && info.si_status == 44);
    CHECK(send_to(living, 0) == -1 && errno == ESRCH);
    return finish();
}
