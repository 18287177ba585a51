// expect-refusal: inet-protocol
// MPTCP: the kernel shows nothing of its state: refused, and it goes on.
#include "inet.h"
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int main(int argc, char **argv)
{
    begin(argv);
    // Where the kernel has none, SCTP is as good: both are protocols that nothing can be read of. Neither: nothing to refuse.
    int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    if (fd < 0)
        fd = MUST(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    MUST(bind(fd, (void *)&a, sizeof(a)));
    MUST(listen(fd, 3));
    ready();
    CHECK(get(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1);
    return finish();
}
