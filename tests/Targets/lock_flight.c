// options: --file-locks
// Locks of files that lie in a unix socket's queue, and that no task has open otherwise: flock, shared and exclusive, an open file
// description lock, leases.
#include "flight.h"
#include <sys/file.h>

static int locked(const char *name, int operation)
{
    int fd = MUST(open(in_work(name), O_RDWR)), r = flock(fd, operation | LOCK_NB);
    close(fd);
    return r == -1 && errno == EWOULDBLOCK;
}

int main(int argc, char **argv)
{
    int s[2], f[6], got[64];
    char data[65];
    begin(argv);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    close(MUST(open(in_work("read"), O_CREAT | O_WRONLY, 0600)));
    f[3] = MUST(open(in_work("read"), O_RDONLY));
    f[4] = MUST(open(in_work("write"), O_CREAT | O_RDWR, 0600));
    f[5] = MUST(open(in_work("breaking"), O_CREAT | O_RDWR, 0600));
    MUST(fcntl(f[3], F_SETLEASE, F_RDLCK));
    MUST(fcntl(f[4], F_SETLEASE, F_WRLCK));
    MUST(fcntl(f[5], F_SETLEASE, F_WRLCK));
    CHECK(open(in_work("breaking"), O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK && sigwaitinfo(&set, NULL) == SIGIO);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    f[0] = MUST(open(in_work("exclusive"), O_CREAT | O_RDWR, 0600));
    f[1] = MUST(open(in_work("shared"), O_CREAT | O_RDWR, 0600));
    f[2] = MUST(open(in_work("range"), O_CREAT | O_RDWR, 0600));
    MUST(flock(f[0], LOCK_EX));
    MUST(flock(f[1], LOCK_SH));
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 4 };
    MUST(fcntl(f[2], F_OFD_SETLK, &l));
    send_fds(s[0], "locks", 5, f, 6);
    for (int i = 0; i < 6; i++)
        close(f[i]);
    ready();
    CHECK(locked("exclusive", LOCK_SH) && locked("shared", LOCK_EX) && !locked("shared", LOCK_SH));
    int other = MUST(open(in_work("range"), O_RDWR));
    struct timespec soon = { 10, 0 };
    struct flock ask = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
    CHECK(fcntl(other, F_OFD_GETLK, &ask) == 0 && ask.l_type == F_WRLCK && ask.l_start == 3 && ask.l_len == 4);
    CHECK(open(in_work("read"), O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK && sigtimedwait(&set, NULL, &soon) == SIGIO);
    CHECK(receive_fds(s[1], data, 64, got, NULL) == 6 && fcntl(got[3], F_GETLEASE) == F_UNLCK && fcntl(got[4], F_GETLEASE) == F_WRLCK);
    CHECK(fcntl(got[5], F_GETLEASE) == F_UNLCK && sigtimedwait(&set, NULL, &(struct timespec){ 0, 0 }) == -1);
    // The kernel takes one that is being broken for long.
    for (int i = 3; i < 6; i++)
        CHECK((fcntl(got[i], F_SETLEASE, F_UNLCK) == 0 || i == 5) && close(got[i]) == 0);
    CHECK(flock(got[0], LOCK_UN) == 0 && !locked("exclusive", LOCK_EX));
    close(got[1]);
    close(got[2]);
    ask = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
    CHECK(!locked("shared", LOCK_EX) && fcntl(other, F_OFD_GETLK, &ask) == 0 && ask.l_type == F_UNLCK);
    return finish();
}
