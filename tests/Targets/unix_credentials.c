// Credentials in queues: of the task itself, of its child, of a process that is gone, of other users, and none at all; with descriptors.
#include "flight.h"

static void send_as(int socket, const char *data, struct ucred as)
{
    char control[CMSG_SPACE(sizeof(as))] = { 0 };
    struct iovec v = { (void *)data, strlen(data) };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof(as));
    memcpy(CMSG_DATA(c), &as, sizeof(as));
    MUST(sendmsg(socket, &m, 0));
}

static int is(struct ucred *u, pid_t pid, uid_t uid, gid_t gid)
{
    return u->pid == pid && u->uid == uid && u->gid == gid;
}

int main(int argc, char **argv)
{
    begin(argv);
    int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET }, s[3][2], on = 1, off = 0, fd, status;
    pid_t gone[3], child = MUST(fork());
    if (child == 0) {
        wait_for_wake();
        _exit(0);
    }
    for (int i = 0; i < 3; i++) {
        MUST(socketpair(AF_UNIX, types[i], 0, s[i]));
        send_fds(s[i][0], "none", 4, NULL, 0);
        MUST(setsockopt(s[i][1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
        send_fds(s[i][0], "own", 3, NULL, 0);
        send_as(s[i][0], "user", (struct ucred){ getpid(), 1234, 4321 });
        send_as(s[i][0], "child", (struct ucred){ child, 0, 7 });
        gone[i] = MUST(fork());
        if (gone[i] == 0) {
            send_fds(s[i][0], "gone", 4, &s[i][1], 1);
            _exit(0);
        }
        MUST(waitpid(gone[i], &status, 0));
        // Nobody asks for credentials by now; they wait all the same.
        MUST(setsockopt(s[i][1], SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)));
    }
    ready();
    for (int i = 0; i < 3; i++) {
        char data[17];
        struct ucred u = { 0 };
        int value = 1;
        socklen_t n = sizeof(value);
        CHECK(getsockopt(s[i][1], SOL_SOCKET, SO_PASSCRED, &value, &n) == 0 && value == 0);
        CHECK(setsockopt(s[i][1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
        CHECK(receive_fds(s[i][1], data, 16, &fd, &u) == 0 && !strcmp(data, "none") && is(&u, 0, 65534, 65534));
        CHECK(receive_fds(s[i][1], data, 16, &fd, &u) == 0 && !strcmp(data, "own") && is(&u, getpid(), 0, 0));
        CHECK(receive_fds(s[i][1], data, 16, &fd, &u) == 0 && !strcmp(data, "user") && is(&u, getpid(), 1234, 4321));
        CHECK(receive_fds(s[i][1], data, 16, &fd, &u) == 0 && !strcmp(data, "child") && is(&u, child, 0, 7));
        CHECK(receive_fds(s[i][1], data, 16, &fd, &u) == 1 && !strcmp(data, "gone") && is(&u, gone[i], 0, 0));
        CHECK(same_file(fd, s[i][1]));
    }
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
