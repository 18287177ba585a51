// Pipes of which one end is left, or one process has all: what was written before the reader closed, sizes without content, pages of vmsplice(2).
#include "target.h"
#include <sys/mman.h>
#include <sys/uio.h>

static int again(int fd, int flags)
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return MUST(open(link, flags));
}

int main(int argc, char **argv)
{
    char text[8192];
    int lone[2], empty[2], gift[2], both[2], blocked[2];
    begin(argv);
    MUST(pipe2(lone, O_CLOEXEC));
    MUST(fcntl(lone[1], F_SETPIPE_SZ, 1 << 17));
    MUST(write(lone[1], "unread", 6));
    close(lone[0]);
    MUST(pipe(empty));
    MUST(fcntl(empty[1], F_SETPIPE_SZ, 4096));
    close(empty[0]);
    MUST(pipe(gift));
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 'v', 8192);
    MUST(vmsplice(gift[1], &(struct iovec){ pages, 8192 }, 1, 0));
    MUST(pipe(both));
    int all = again(both[0], O_RDWR | O_NONBLOCK), duplicate = MUST(fcntl(all, F_DUPFD_CLOEXEC, 40));
    MUST(write(all, "all", 3));
    close(both[0]);
    close(both[1]);
    MUST(mkfifo(in_work("fifo"), 0600));
    int keeper = MUST(open(in_work("fifo"), O_RDWR)), writer = MUST(open(in_work("fifo"), O_WRONLY | O_CLOEXEC));
    MUST(fcntl(keeper, F_SETPIPE_SZ, 1 << 18));
    MUST(write(writer, "in the fifo", 11));
    close(keeper);
    MUST(pipe(blocked));
    int reader = MUST(fork());
    if (!reader) {
        close(blocked[1]);
        _exit(read(blocked[0], text, 16) == 5 && !memcmp(text, "hello", 5) ? 0 : 1);
    }
    close(blocked[0]);
    ready();
    int read_again = again(lone[1], O_RDONLY | O_NONBLOCK);
    CHECK(fcntl(lone[1], F_GETPIPE_SZ) == 1 << 17 && fcntl(lone[1], F_GETFD) == FD_CLOEXEC && read(read_again, text, 64) == 6 && !memcmp(text, "unread", 6));
    CHECK(fcntl(empty[1], F_GETPIPE_SZ) == 4096);
    CHECK(read(gift[0], text, 8192) == 8192 && text[0] == 'v' && text[8191] == 'v' && pages[0] == 'v');
    CHECK(read(duplicate, text, 64) == 3 && !memcmp(text, "all", 3) && (fcntl(all, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK) && write(all, "x", 1) == 1 && read(duplicate, text, 1) == 1);
    int opened = MUST(open(in_work("fifo"), O_RDONLY | O_NONBLOCK));
    CHECK(fcntl(writer, F_GETPIPE_SZ) == 1 << 18 && read(opened, text, 64) == 11 && !memcmp(text, "in the fifo", 11) && fcntl(writer, F_GETFD) == FD_CLOEXEC);
    int status = -1;
    CHECK(write(blocked[1], "hello", 5) == 5 && waitpid(reader, &status, 0) == reader && status == 0);
    return finish();
}
