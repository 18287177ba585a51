// expect-refusal: unix-fds-in-flight
// A descriptor waits in the queue of a socket: refused, and still there afterwards.
#include "target.h"
#include <sys/socket.h>

int main(int argc, char **argv)
{
    begin(argv);
    int s[2], p[2];
    char data = 'd', control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec v = { &data, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    MUST(pipe(p));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &p[1], sizeof(int));
    MUST(sendmsg(s[0], &m, 0));
    ready();
    memset(control, 0, sizeof(control));
    CHECK(recvmsg(s[1], &m, 0) == 1 && data == 'd');
    int got = -1;
    memcpy(&got, CMSG_DATA(c), sizeof(int));
    CHECK(write(got, "x", 1) == 1 && read(p[0], &data, 1) == 1 && data == 'x');
    return finish();
}
