// Datagram sockets: bound and connected, many senders to one, messages waiting with their source, a sender that is gone.
#include "target.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *a, const char *path)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path, path);
    return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int made(const char *bind_to, const char *connect_to)
{
    struct sockaddr_un a;
    int fd = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    if (bind_to)
        MUST(bind(fd, (struct sockaddr *)&a, name(&a, bind_to)));
    if (connect_to)
        MUST(connect(fd, (struct sockaddr *)&a, name(&a, connect_to)));
    return fd;
}

static int takes(int fd, const char *text, const char *source)
{
    char buffer[128] = { 0 };
    struct sockaddr_un a = { 0 };
    socklen_t n = sizeof(a);
    ssize_t r = recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *)&a, &n);
    return r == (ssize_t)strlen(text) && !memcmp(buffer, text, r) && (source ? !strcmp(a.sun_path, source) : n <= 2);
}

int main(int argc, char **argv)
{
    begin(argv);
    int server = made(in_work("server"), NULL), named = made(in_work("named"), in_work("server")), bare = made(NULL, in_work("server"));
    int unbound = made(NULL, NULL), lonely = made(in_work("lonely"), NULL), left = made(NULL, in_work("lonely"));
    MUST(send(named, "one", 3, 0));
    MUST(send(bare, "two", 3, 0));
    MUST(send(named, "", 0, 0));
    int passing = made(NULL, in_work("server"));
    MUST(send(passing, "three", 5, 0));
    close(passing);
    close(lonely);
    MUST(fcntl(unbound, F_SETFL, O_NONBLOCK));
    ready();
    CHECK(takes(server, "one", in_work("named")));
    CHECK(takes(server, "two", NULL));
    CHECK(takes(server, "", in_work("named")));
    CHECK(takes(server, "three", NULL));
    CHECK(send(named, "four", 4, 0) == 4 && takes(server, "four", in_work("named")));
    CHECK(send(bare, "five", 4, 0) == 4 && takes(server, "five", NULL));
    struct sockaddr_un a;
    CHECK(sendto(server, "back", 4, 0, (struct sockaddr *)&a, name(&a, in_work("named"))) == 4 && takes(named, "back", in_work("server")));
    CHECK(send(left, "x", 1, 0) == -1 && errno == ECONNREFUSED);
    CHECK(sendto(unbound, "six", 3, 0, (struct sockaddr *)&a, name(&a, in_work("server"))) == 3 && takes(server, "six", NULL));
    CHECK(fcntl(unbound, F_GETFL) & O_NONBLOCK);
    return finish();
}
