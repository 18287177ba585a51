// What is left of peers that are gone: connections in a listener's queue, of clients that live and of such that have closed, in their order;
// a reset that waits to be reported; an end of stream; sockets that are half shut; of streams and packets, named and unnamed.
#include "flight.h"

static int listener(const char *path, int type)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = MUST(socket(AF_UNIX, type, 0));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work(path));
    MUST(bind(fd, (void *)&a, sizeof(a)));
    MUST(listen(fd, 8));
    return fd;
}

static int client(const char *path, int type)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = MUST(socket(AF_UNIX, type, 0));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work(path));
    MUST(connect(fd, (void *)&a, sizeof(a)));
    return fd;
}

static int error_of(int fd)
{
    int error = -1;
    socklen_t n = sizeof(error);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0);
    return error;
}

static int events(int fd)
{
    struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };
    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents;
}

int main(int argc, char **argv)
{
    begin(argv);
    int types[] = { SOCK_STREAM, SOCK_SEQPACKET }, listeners[2], living[2][2], reset[2][2], ended[2], half[2][2], other[2][2], named[2];
    char c, data[9];
    for (int i = 0; i < 2; i++) {
        listeners[i] = listener(i ? "packets" : "stream", types[i]);
        const char *path = i ? "packets" : "stream";
        // An accepted one whose client is gone, then in the queue: gone, living, gone, gone, living, gone.
        int first = client(path, types[i]);
        named[i] = MUST(accept(listeners[i], NULL, NULL));
        if (types[i] == SOCK_STREAM)
            MUST(send(first, "left", 4, 0));
        close(first);
        close(client(path, types[i]));
        living[i][0] = client(path, types[i]);
        close(client(path, types[i]));
        close(client(path, types[i]));
        living[i][1] = client(path, types[i]);
        close(client(path, types[i]));
        // A reset with data in front of it, of a stream; of packets by itself.
        MUST(socketpair(AF_UNIX, types[i], 0, reset[i]));
        MUST(send(reset[i][0], "unread", 6, 0));
        if (types[i] == SOCK_STREAM)
            MUST(send(reset[i][1], "data", 4, 0));
        close(reset[i][1]);
        MUST(socketpair(AF_UNIX, types[i], 0, half[i]));
        ended[i] = half[i][0];
        MUST(send(half[i][1], "last", 4, 0));
        close(half[i][1]);
        MUST(socketpair(AF_UNIX, types[i], 0, half[i]));
        MUST(send(half[i][0], "first", 5, 0));
        MUST(shutdown(half[i][0], SHUT_WR));
        MUST(socketpair(AF_UNIX, types[i], 0, other[i]));
        MUST(shutdown(other[i][0], SHUT_RD));
    }
    ready();
    for (int i = 0; i < 2; i++) {
        int is_gone[] = { 1, 0, 1, 1, 0, 1 }, next = 0;
        for (int k = 0; k < 6; k++) {
            int s = accept4(listeners[i], NULL, NULL, SOCK_NONBLOCK);
            CHECK(s >= 0);
            if (is_gone[k])
                CHECK((events(s) & POLLHUP) && recv(s, data, 8, 0) == 0);
            else
                CHECK(send(living[i][next++], "x", 1, 0) == 1 && recv(s, &c, 1, 0) == 1 && c == 'x' && !(events(s) & POLLHUP));
        }
        CHECK(!readable(listeners[i], 0));
        if (types[i] == SOCK_STREAM)
            CHECK(recv(named[i], data, 8, 0) == 4 && !memcmp(data, "left", 4));
        CHECK(recv(named[i], data, 8, 0) == 0);
        CHECK((events(reset[i][0]) & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP));
        if (types[i] == SOCK_STREAM)
            CHECK(recv(reset[i][0], data, 8, 0) == 4 && !memcmp(data, "data", 4));
        CHECK(error_of(reset[i][0]) == ECONNRESET && error_of(reset[i][0]) == 0 && recv(reset[i][0], data, 8, 0) == 0);
        CHECK(!(events(ended[i]) & POLLERR) && recv(ended[i], data, 8, 0) == 4 && recv(ended[i], data, 8, 0) == 0);
        CHECK(send(ended[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        CHECK(recv(half[i][1], data, 8, 0) == 5 && recv(half[i][1], data, 8, 0) == 0 && (events(half[i][1]) & POLLRDHUP));
        CHECK(send(half[i][0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        CHECK(send(half[i][1], "back", 4, 0) == 4 && recv(half[i][0], data, 8, 0) == 4);
        CHECK(recv(other[i][0], data, 8, 0) == 0 && send(other[i][1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        CHECK(send(other[i][0], "y", 1, 0) == 1 && recv(other[i][1], &c, 1, 0) == 1 && c == 'y');
    }
    return finish();
}
