// options: --file-locks
// Leases, for reading and writing, with a signal of their own: another process that opens the file breaks them, and waits until they are given up.
#include "target.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    begin(argv);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    close(MUST(open(in_work("read"), O_CREAT | O_WRONLY, 0600)));
    close(MUST(open(in_work("write"), O_CREAT | O_WRONLY, 0600)));
    int reading = MUST(open(in_work("read"), O_RDONLY)), writing = MUST(open(in_work("write"), O_RDWR | O_CLOEXEC)), copy = MUST(dup(writing));
    MUST(fcntl(reading, F_SETLEASE, F_RDLCK));
    MUST(fcntl(writing, F_SETLEASE, F_WRLCK));
    MUST(fcntl(writing, F_SETSIG, SIGRTMIN + 3));
    int gone = MUST(open(in_work("gone"), O_CREAT | O_RDWR, 0600));
    char text[256] = "unlinked";
    MUST(write(gone, text, sizeof(text)));
    MUST(write(writing, text, sizeof(text)));
    MUST(unlink(in_work("gone")));
    MUST(fcntl(gone, F_SETLEASE, F_WRLCK));
    ready();
    siginfo_t info = { 0 };
    struct timespec soon = { 10, 0 };
    CHECK(fcntl(reading, F_GETLEASE) == F_RDLCK && fcntl(writing, F_GETLEASE) == F_WRLCK && fcntl(copy, F_GETLEASE) == F_WRLCK);
    CHECK(open(in_work("read"), O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK && sigtimedwait(&set, &info, &soon) == SIGIO);
    CHECK(fcntl(reading, F_SETLEASE, F_UNLCK) == 0);
    int pid = fork();
    if (!pid)
        _exit(open(in_work("write"), O_RDONLY) >= 0 ? 0 : 1);
    CHECK(sigtimedwait(&set, &info, &soon) == SIGRTMIN + 3 && info.si_fd == writing);
    CHECK(fcntl(gone, F_GETLEASE) == F_WRLCK && pread(gone, text, 8, 0) == 8 && !memcmp(text, "unlinked", 8));
    int status = -1;
    CHECK(fcntl(writing, F_SETLEASE, F_UNLCK) == 0 && waitpid(pid, &status, 0) == pid && status == 0);
    return finish();
}
