// Socket pairs: stream with content both ways, half shut down, peer gone; datagrams and packets with their borders; options, flags.
#include "target.h"
#include <sys/socket.h>

static int get(int fd, int option)
{
    int v = -1;
    socklen_t n = sizeof(v);
    return getsockopt(fd, SOL_SOCKET, option, &v, &n) == 0 ? v : -1;
}

static int takes(int fd, const char *text)
{
    char buffer[512] = { 0 };
    ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    return n == (ssize_t)strlen(text) && !memcmp(buffer, text, n);
}

int main(int argc, char **argv)
{
    begin(argv);
    int s[2], h[2], g[2], d[2], q[2], big[2], one = 1, size = 60000, off;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, h));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, g));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, d));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, q));
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, big));
    MUST(send(s[0], "to one", 6, 0) + send(s[0], ", more", 6, 0));
    MUST(send(s[1], "to zero", 7, 0));
    MUST(send(h[0], "last words", 10, 0));
    MUST(shutdown(h[0], SHUT_WR));
    MUST(send(g[0], "a will", 6, 0));
    close(g[0]);
    MUST(send(d[0], "first", 5, 0) + send(d[0], "", 0, 0) + send(d[0], "third", 5, 0));
    MUST(send(q[1], "packet", 6, 0) + send(q[1], "another", 7, 0));
    static char page[4096];
    long filled = 0;
    for (ssize_t n = 0; n >= 0; filled += n > 0 ? n : 0) {
        memset(page, 'a' + (filled / 4096) % 26, sizeof(page));
        n = send(big[0], page, sizeof(page), 0);
    }
    MUST(setsockopt(q[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
    MUST(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    MUST(setsockopt(d[1], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 3, 500000 }, sizeof(struct timeval)));
    int sndbuf = get(s[0], SO_SNDBUF), copy = MUST(dup2(s[0], 70));
    ready();
    CHECK(takes(s[1], "to one, more") && takes(copy, "to zero"));
    CHECK(send(s[0], "x", 1, 0) == 1 && takes(s[1], "x") && send(s[1], "y", 1, 0) == 1 && takes(s[0], "y"));
    CHECK(takes(h[1], "last words") && takes(h[1], "") && send(h[1], "z", 1, MSG_NOSIGNAL) == 1 && takes(h[0], "z"));
    CHECK(send(h[0], "z", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(takes(g[1], "a will") && takes(g[1], "") && send(g[1], "z", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(takes(d[1], "first") && takes(d[1], "") && takes(d[1], "third"));
    CHECK(recv(d[1], page, 1, 0) == -1 && errno == EAGAIN && send(d[1], "back", 4, 0) == 4 && takes(d[0], "back"));
    CHECK(takes(q[0], "packet") && takes(q[0], "another") && send(q[0], "b", 1, 0) == 1 && takes(q[1], "b"));
    CHECK(get(q[0], SO_PASSCRED) == 1 && get(q[1], SO_PASSCRED) == 0 && get(s[0], SO_SNDBUF) == sndbuf && get(q[0], SO_TYPE) == SOCK_SEQPACKET);
    struct timeval t = { 0 };
    socklen_t n = sizeof(t);
    CHECK(getsockopt(d[1], SOL_SOCKET, SO_RCVTIMEO, &t, &n) == 0 && t.tv_sec == 3 && t.tv_usec >= 490000);
    CHECK(fcntl(s[0], F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0 && (fcntl(d[0], F_GETFL) & O_NONBLOCK) && !(fcntl(q[0], F_GETFL) & O_NONBLOCK));
    n = sizeof(off);
    CHECK(getsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &off, &n) == 0 && off == -1);
    long got = 0;
    for (ssize_t r; (r = recv(big[1], page, sizeof(page), MSG_WAITALL)) > 0; got += r)
        if (page[0] != 'a' + (got / 4096) % 26 || page[r - 1] != page[0])
            differ("the full queue differs at %ld", got);
    if (got != filled)
        differ("the full queue had %ld bytes, now %ld", filled, got);
    return finish();
}
