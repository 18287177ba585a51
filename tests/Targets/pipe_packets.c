// Packets (O_DIRECT), each read by itself: several, short and of whole pages, after plain data, in a pipe that is full, in a FIFO; shared.
#include "target.h"

static int packet(int fd, const char *text) { return write(fd, text, strlen(text)) == (ssize_t)strlen(text); }

static int is(int fd, const char *text)
{
    char got[8192];
    ssize_t n = read(fd, got, sizeof(got));
    return n == (ssize_t)strlen(text) && !memcmp(got, text, n);
}

int main(int argc, char **argv)
{
    static char page[4096], got[16384];
    char link[64];
    int few[2], pages[2], mixed[2], full[2], one[2], fifo[2];
    begin(argv);
    memset(page, 'p', sizeof(page));
    MUST(pipe2(few, O_DIRECT | O_CLOEXEC));
    MUST(packet(few[1], "one") && packet(few[1], "") + 1 && packet(few[1], "three") && packet(few[1], "x") ? 0 : -1);
    int copy = MUST(dup(few[0]));
    MUST(pipe2(pages, O_DIRECT));
    MUST(write(pages[1], page, 4096));
    MUST(write(pages[1], page, 4096) + write(pages[1], page, 100));
    MUST(pipe2(mixed, 0));
    MUST(write(mixed[1], page, 4096) + write(mixed[1], page, 4096));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", mixed[1]);
    int direct = MUST(open(link, O_WRONLY));
    MUST(fcntl(direct, F_SETFL, O_DIRECT));
    MUST(packet(direct, "packet") - 1);
    MUST(packet(mixed[1], "plain") - 1);
    MUST(pipe2(full, O_DIRECT | O_NONBLOCK));
    int filled = 0;
    while (write(full[1], "full", 1 + filled % 4) > 0)
        filled++;
    MUST(pipe2(one, O_DIRECT | O_NONBLOCK));
    MUST(packet(one[1], "single") - 1);
    MUST(mkfifo(in_work("fifo"), 0600));
    fifo[0] = MUST(open(in_work("fifo"), O_RDONLY | O_NONBLOCK));
    fifo[1] = MUST(open(in_work("fifo"), O_WRONLY));
    MUST(fcntl(fifo[1], F_SETFL, O_DIRECT));
    MUST(packet(fifo[1], "first") - 1);
    MUST(packet(fifo[1], "second") - 1);
    int pid = MUST(fork());
    if (!pid) {
        wait_for_wake();
        _exit(is(few[0], "one") && packet(few[1], "last") ? 0 : 1);
    }
    ready();
    int status = -1;
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(is(copy, "three") && is(few[0], "x") && is(few[0], "last") && fcntl(few[0], F_GETFD) == FD_CLOEXEC && fcntl(few[1], F_GETFL) & O_DIRECT);
    CHECK(read(pages[0], got, sizeof(got)) == 4096 && read(pages[0], got, sizeof(got)) == 4096 && read(pages[0], got, sizeof(got)) == 100 && got[99] == 'p');
    CHECK(read(mixed[0], got, sizeof(got)) == 8198 && !memcmp(got + 8192, "packet", 6) && packet(mixed[1], "more") && is(mixed[0], "plainmore") && !(fcntl(mixed[1], F_GETFL) & O_DIRECT));
    for (int i = 0; i < filled; i++)
        CHECK(read(full[0], got, sizeof(got)) == 1 + i % 4);
    CHECK(read(full[0], got, 1) == -1 && errno == EAGAIN);
    CHECK(packet(one[1], "next") && is(one[0], "single") && is(one[0], "next"));
    CHECK(is(fifo[0], "first") && is(fifo[0], "second") && fcntl(fifo[1], F_GETFL) & O_DIRECT);
    return finish();
}
