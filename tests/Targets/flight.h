// Descriptors on their way through a unix socket, for targets.
#ifndef FLIGHT_H
#define FLIGHT_H
#include "target.h"
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static inline void send_fds(int socket, const char *data, size_t length, const int *fds, int count)
{
    char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
    struct iovec v = { (void *)data, length };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    if (count > 0) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    MUST(sendmsg(socket, &m, 0));
}

// Gives the number of descriptors, or -1; the data goes to `data`, with a zero behind it, so that it has room for one more; credentials to `sender`.
static inline int receive_fds(int socket, char *data, size_t length, int *fds, struct ucred *sender)
{
    char control[CMSG_SPACE(64 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))] = { 0 };
    struct iovec v = { data, length };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    memset(data, 0, length + 1);
    if (recvmsg(socket, &m, MSG_DONTWAIT) < 0)
        return -1;
    int count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), count * sizeof(int));
        }
        if (sender && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(sender, CMSG_DATA(c), sizeof(*sender));
    }
    return count;
}

static inline int same_file(int a, int b)
{
    return syscall(SYS_kcmp, getpid(), getpid(), 0, a, b) == 0;
}
#endif
