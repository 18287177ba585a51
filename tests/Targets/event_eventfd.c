// eventfds: counts, the semaphore, a full one, one shared by fork, a duplicate, and flags.
#include "target.h"
#include <sys/eventfd.h>

static unsigned long long take(int fd)
{
    unsigned long long v = 0;
    return read(fd, &v, 8) == 8 ? v : 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int plain = MUST(eventfd(5, EFD_NONBLOCK)), many = MUST(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));
    int full = MUST(eventfd(0, EFD_NONBLOCK)), ask = MUST(eventfd(0, 0)), answer = MUST(eventfd(0, 0));
    unsigned long long v = 0xfffffffffffffffeULL, one = 1;
    MUST(write(full, &v, 8));
    int copy = MUST(dup3(plain, 40, O_CLOEXEC));
    pid_t child = MUST(fork());
    if (child == 0) {
        while (take(ask) == 0)
            ;
        v = 77;
        write(answer, &v, 8);
        _exit(0);
    }
    ready();
    CHECK((fcntl(plain, F_GETFL) & O_NONBLOCK) && fcntl(plain, F_GETFD) == 0);
    CHECK(fcntl(many, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    CHECK(!(fcntl(ask, F_GETFL) & O_NONBLOCK));
    CHECK(take(copy) == 5);
    CHECK(take(plain) == 0 && errno == EAGAIN);
    for (int i = 0; i < 3; i++)
        CHECK(take(many) == 1);
    CHECK(take(many) == 0 && errno == EAGAIN);
    CHECK(write(full, &one, 8) == -1 && errno == EAGAIN);
    CHECK(take(full) == 0xfffffffffffffffeULL);
    CHECK(write(ask, &one, 8) == 8);
    CHECK(readable(answer, 3000) && take(answer) == 77);
    CHECK(waitpid(child, NULL, 0) == child);
    return finish();
}
