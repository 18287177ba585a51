// options: --file-locks
// Leases that are just being broken, while one who breaks them waits in open(2): to be given up or lowered.
#include "target.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    begin(argv);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    const char *names[3] = { "give up", "lower", "read" };
    int fds[3], pids[3], pid;
    for (int i = 0; i < 3; i++) {
        close(MUST(open(in_work(names[i]), O_CREAT | O_WRONLY, 0600)));
        fds[i] = MUST(open(in_work(names[i]), i == 0 ? O_RDWR : O_RDONLY));
        MUST(fcntl(fds[i], F_SETLEASE, i == 2 ? F_RDLCK : F_WRLCK));
    }
    for (int i = 0; i < 3; i++) {
        pids[i] = MUST(fork());
        if (!pids[i]) {
            for (int k = 0; k < 3; k++)
                close(fds[k]);
            _exit(open(in_work(names[i]), i == 1 ? O_RDONLY : O_WRONLY) >= 0 ? 0 : 1);
        }
        sigwaitinfo(&set, NULL);
    }
    ready();
    struct timespec none = { 0, 0 };
    CHECK(fcntl(fds[0], F_GETLEASE) == F_UNLCK && fcntl(fds[1], F_GETLEASE) == F_RDLCK && fcntl(fds[2], F_GETLEASE) == F_UNLCK);
    for (int i = 0; i < 3; i++)
        CHECK(waitpid(pids[i], NULL, WNOHANG) == 0);
    CHECK(sigtimedwait(&set, NULL, &none) == -1);
    CHECK(fcntl(fds[0], F_SETLEASE, F_UNLCK) == 0 && fcntl(fds[1], F_SETLEASE, F_RDLCK) == 0 && fcntl(fds[2], F_SETLEASE, F_UNLCK) == 0);
    for (int i = 0; i < 3; i++) {
        int status = -1;
        CHECK((pid = waitpid(pids[i], &status, 0)) == pids[i] && status == 0);
    }
    CHECK(fcntl(fds[1], F_GETLEASE) == F_RDLCK);
    return finish();
}
