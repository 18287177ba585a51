// Pipes: content, size, both ends shared with a child, one end closed, an end opened anew through /proc, a full one.
#include "target.h"

int main(int argc, char **argv)
{
    char text[64];
    static char page[4096];
    begin(argv);
    int p[2], large[2], noreader[2], nowriter[2], full[2];
    MUST(pipe2(p, O_CLOEXEC));
    MUST(write(p[1], "one", 3) + write(p[1], "two", 3));
    MUST(pipe2(large, O_NONBLOCK));
    MUST(fcntl(large[0], F_SETPIPE_SZ, 1 << 20));
    for (int i = 0; i < 200; i++) {
        memset(page, 'a' + i % 26, sizeof(page));
        MUST(write(large[1], page, sizeof(page)));
    }
    MUST(pipe(noreader));
    close(noreader[0]);
    MUST(pipe(nowriter));
    MUST(write(nowriter[1], "rest", 4));
    close(nowriter[1]);
    MUST(pipe2(full, O_NONBLOCK));
    long filled = 0;
    for (ssize_t n = 0; (n = write(full[1], page, sizeof(page))) > 0; filled += n)
        ;
    snprintf(text, sizeof(text), "/proc/self/fd/%d", p[0]);
    int anew = MUST(open(text, O_RDONLY | O_NONBLOCK)), size = fcntl(large[1], F_GETPIPE_SZ), ask[2], reply[2];
    MUST(pipe(ask));
    MUST(pipe(reply));
    int pid = MUST(fork());
    if (!pid) {
        close(ask[1]);
        while (read(ask[0], text, 1) == 1)
            MUST(write(reply[1], text[0] == '?' ? "!" : "-", 1));
        _exit(7);
    }
    close(ask[0]);
    close(reply[1]);
    ready();
    CHECK(read(anew, text, 2) == 2 && !memcmp(text, "on", 2) && read(p[0], text, 64) == 4 && !memcmp(text, "etwo", 4));
    CHECK(read(anew, text, 1) == -1 && errno == EAGAIN && fcntl(p[0], F_GETFL) == O_RDONLY && fcntl(p[0], F_GETFD) == FD_CLOEXEC && fcntl(anew, F_GETFD) == 0);
    CHECK(fcntl(large[0], F_GETPIPE_SZ) == size && (fcntl(large[0], F_GETFL) & O_NONBLOCK));
    for (int i = 0; i < 200; i++)
        CHECK(read(large[0], page, sizeof(page)) == sizeof(page) && page[0] == 'a' + i % 26 && page[4095] == 'a' + i % 26);
    CHECK(read(large[0], text, 1) == -1 && errno == EAGAIN);
    signal(SIGPIPE, SIG_IGN);
    CHECK(write(noreader[1], "x", 1) == -1 && errno == EPIPE);
    CHECK(read(nowriter[0], text, 64) == 4 && !memcmp(text, "rest", 4) && read(nowriter[0], text, 1) == 0);
    CHECK(write(full[1], "x", 1) == -1 && errno == EAGAIN);
    for (ssize_t n = 0; (n = read(full[0], page, sizeof(page))) > 0; filled -= n)
        ;
    CHECK(filled == 0 && write(ask[1], "?", 1) == 1 && readable(reply[0], 2000) && read(reply[0], text, 1) == 1 && text[0] == '!');
    int status = 0;
    close(ask[1]);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 && read(reply[0], text, 1) == 0);
    return finish();
}
