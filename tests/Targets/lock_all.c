// options: --file-locks
// Locks of all kinds, each tested against by another process or description: POSIX, flock, open file description locks, shared and not.
#include "target.h"
#include <sys/file.h>
#include <sys/mman.h>

static struct flock range(int type, long start, long length) { return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length }; }

static int holder(const char *name, int command, int type, long start, long length, int *found)
{
    int fd = MUST(open(in_work(name), O_RDWR));
    struct flock l = range(type, start, length);
    MUST(fcntl(fd, command, &l));
    *found = l.l_type;
    return l.l_type == F_UNLCK ? 0 : l.l_pid;
}

int main(int argc, char **argv)
{
    begin(argv);
    int posix = MUST(open(in_work("posix"), O_CREAT | O_RDWR, 0600)), whole = MUST(open(in_work("flock"), O_CREAT | O_RDWR, 0600));
    int shared = MUST(open(in_work("shared"), O_CREAT | O_RDWR, 0600)), ofd = MUST(open(in_work("ofd"), O_CREAT | O_RDWR, 0600));
    struct flock write_lock = range(F_WRLCK, 10, 5), read_lock = range(F_RDLCK, 100, 0), ofd_lock = range(F_WRLCK, 7, 3);
    MUST(fcntl(posix, F_SETLK, &write_lock));
    MUST(fcntl(posix, F_SETLK, &read_lock));
    MUST(flock(whole, LOCK_EX));
    MUST(flock(shared, LOCK_SH));
    MUST(fcntl(ofd, F_OFD_SETLK, &ofd_lock));
    int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), pid = MUST(fork());
    if (!pid) {
        struct flock own = range(F_WRLCK, 50, 1);
        MUST(fcntl(posix, F_SETLK, &own));
        said[0] = 1;
        while (said[0] != 2)
            usleep(10000);
        int type;
        said[1] = holder("posix", F_GETLK, F_WRLCK, 12, 1, &type) == getppid() && type == F_WRLCK;
        said[2] = holder("posix", F_GETLK, F_WRLCK, 1 << 20, 1, &type) == getppid() && type == F_RDLCK;
        said[3] = holder("posix", F_GETLK, F_WRLCK, 15, 1, &type) == 0 && type == F_UNLCK;
        said[0] = 3;
        pause();
    }
    while (((volatile int *)said)[0] != 1)
        usleep(10000);
    ready();
    int type;
    CHECK(flock(MUST(open(in_work("flock"), O_RDWR)), LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    CHECK(flock(MUST(open(in_work("shared"), O_RDWR)), LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    CHECK(flock(MUST(open(in_work("shared"), O_RDWR)), LOCK_SH | LOCK_NB) == 0);
    CHECK(holder("ofd", F_OFD_GETLK, F_RDLCK, 8, 1, &type) == -1 && type == F_WRLCK && holder("ofd", F_OFD_GETLK, F_RDLCK, 10, 1, &type) == 0);
    struct flock asked = range(F_WRLCK, 50, 1);
    CHECK(fcntl(posix, F_GETLK, &asked) == 0 && asked.l_type == F_WRLCK && asked.l_pid == pid);
    said[0] = 2;
    for (int i = 0; i < 500 && ((volatile int *)said)[0] != 3; i++)
        usleep(10000);
    CHECK(said[1] && said[2] && said[3]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return finish();
}
