// options: --file-locks
// Tasks caught while they wait for a lock, of each kind: they go on waiting and get it; locks of inherited and duplicated descriptors.
#include "target.h"
#include <sys/file.h>
#include <sys/mman.h>

static volatile int *said;

static int held_by_others(const char *name, int exclusive)
{
    int fd = MUST(open(in_work(name), O_RDWR)), r = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
    close(fd);
    return r == -1 && errno == EWOULDBLOCK;
}

static int waiter(int slot, int kind)
{
    int pid = MUST(fork());
    if (pid)
        return pid;
    int fd = MUST(open(in_work(kind == 0 ? "posix" : kind == 1 ? "flock" : "ofd"), O_RDWR));
    struct flock l = { .l_type = kind == 3 ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
    said[slot] = 1;
    int r = kind == 1 ? flock(fd, LOCK_EX) : fcntl(fd, kind == 0 ? F_SETLKW : F_OFD_SETLKW, &l);
    said[slot] = r == 0 ? 2 : -errno;
    pause();
    _exit(0);
}

// Until a task is asleep in the call that it has announced.
static void until_waiting(int pid)
{
    char path[64], text[256];
    for (int i = 0; i < 5000; i++, usleep(2000)) {
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        int fd = MUST(open(path, O_RDONLY)), n = read(fd, text, sizeof(text) - 1);
        close(fd);
        text[n] = 0;
        if (strstr(text, ") S "))
            return;
    }
}

static int becomes(int slot, int value)
{
    for (int i = 0; i < 1500 && said[slot] != value; i++)
        usleep(10000);
    return said[slot] == value;
}

int main(int argc, char **argv)
{
    begin(argv);
    said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int posix = MUST(open(in_work("posix"), O_CREAT | O_RDWR, 0600)), whole = MUST(open(in_work("flock"), O_CREAT | O_RDWR, 0600)), ofd = MUST(open(in_work("ofd"), O_CREAT | O_RDWR, 0600));
    int inherited = MUST(open(in_work("inherited"), O_CREAT | O_RDWR, 0600)), copy = MUST(fcntl(whole, F_DUPFD_CLOEXEC, 30)), shared = MUST(open(in_work("shared"), O_CREAT | O_RDONLY, 0600));
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
    MUST(fcntl(posix, F_SETLK, &l));
    MUST(flock(whole, LOCK_EX));
    MUST(fcntl(ofd, F_OFD_SETLK, &l));
    MUST(flock(inherited, LOCK_EX));
    MUST(flock(shared, LOCK_SH));
    int pids[5], child = MUST(fork());
    if (!child) {
        // Keeps what it has inherited.
        close(whole);
        close(copy);
        close(ofd);
        pause();
    }
    close(inherited);
    for (int i = 0; i < 3; i++) {
        pids[i] = waiter(i, i);
        while (!said[i])
            usleep(1000);
        until_waiting(pids[i]);
    }
    ready();
    for (int i = 0; i < 3; i++)
        CHECK(said[i] == 1);
    CHECK(held_by_others("inherited", 0) && held_by_others("flock", 0) && !held_by_others("shared", 0) && held_by_others("shared", 1));
    l.l_type = F_UNLCK;
    CHECK(fcntl(posix, F_SETLK, &l) == 0 && becomes(0, 2));
    close(whole);
    usleep(50000);
    // The duplicates, here and in the waiters that have inherited it, hold it still.
    CHECK(said[1] == 1 && flock(copy, LOCK_UN) == 0 && becomes(1, 2));
    CHECK(fcntl(ofd, F_OFD_SETLK, &l) == 0 && becomes(2, 2) && held_by_others("flock", 0));
    for (int i = 0; i < 3; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(!held_by_others("inherited", 1));
    return finish();
}
