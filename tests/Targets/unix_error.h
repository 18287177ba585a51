// A reset that waits to be reported, before packets; for targets.
#ifndef UNIX_ERROR_H
#define UNIX_ERROR_H
#include "target.h"
#include <sys/socket.h>

static inline int reset_before_packets(void)
{
    int s[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    MUST(send(s[0], "one", 3, 0));
    MUST(send(s[0], "second", 6, 0));
    // Who closes without having read resets the other.
    MUST(send(s[1], "not read", 8, 0));
    close(s[0]);
    return s[1];
}

static inline void check_reset_before_packets(int fd)
{
    char data[16] = "";
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == -1 && errno == ECONNRESET);
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == 3 && !memcmp(data, "one", 3));
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == 6 && !memcmp(data, "second", 6));
    CHECK(recv(fd, data, sizeof(data), MSG_DONTWAIT) == 0);
}
#endif
