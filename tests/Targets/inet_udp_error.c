// only-restored
// Datagrams behind an error that waits: they come; the error, which no one was told of, is lost.
#include "inet.h"

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_in own, gone, all = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0)), closed = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    socklen_t n = sizeof(own);
    char data[16];
    MUST(bind(fd, (void *)&all, sizeof(all)));
    MUST(bind(closed, (void *)&all, sizeof(all)));
    MUST(getsockname(fd, (void *)&own, &n));
    MUST(getsockname(closed, (void *)&gone, &n));
    MUST(connect(fd, (void *)&gone, sizeof(gone)));
    MUST(connect(closed, (void *)&own, sizeof(own)));
    MUST(send(closed, "first", 5, 0));
    MUST(send(closed, "second", 6, 0));
    close(closed);
    MUST(send(fd, "refused", 7, 0));
    struct pollfd p = { fd, POLLIN, 0 };
    for (int i = 0; i < 1000 && !(p.revents & POLLERR); i++) {
        usleep(1000);
        MUST(poll(&p, 1, 0));
    }
    CHECK((p.revents & POLLERR) && (p.revents & POLLIN));
    ready();
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == 5 && !memcmp(data, "first", 5));
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == 6 && !memcmp(data, "second", 6));
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == -1 && errno == EAGAIN);
    return finish();
}
