// Options of Unix sockets, on three of them: sizes, time-outs, what is passed, where peeking goes on, how far reading waits.
#include "flight.h"
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#define SO_PASSRIGHTS 83

static int get(int s, int option)
{
    int value = -12345;
    socklen_t n = sizeof(value);
    CHECK(getsockopt(s, SOL_SOCKET, option, &value, &n) == 0);
    return value;
}

int main(int argc, char **argv)
{
    begin(argv);
    int s[3][2], types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET }, on = 1, off = 0, send_size[3], receive_size[3], n = 7, peek = 3;
    struct timeval wait = { 3, 250000 }, before, got;
    int has_rights[3];
    for (int i = 0; i < 3; i++) {
        MUST(socketpair(AF_UNIX, types[i], 0, s[i]));
        MUST(send(s[i][1], "queued", 6, 0));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_PASSSEC, &on, sizeof(on)));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)));
        has_rights[i] = setsockopt(s[i][0], SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;
        n = 9000;
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_SNDBUF, &n, sizeof(n)));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_RCVBUF, &n, sizeof(n)));
        send_size[i] = get(s[i][0], SO_SNDBUF);
        receive_size[i] = get(s[i][0], SO_RCVBUF);
        n = 7;
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)));
        // The kernel counts in its own ticks.
        socklen_t length = sizeof(before);
        MUST(getsockopt(s[i][0], SOL_SOCKET, SO_RCVTIMEO, &before, &length));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_PEEK_OFF, &peek, sizeof(peek)));
        MUST(setsockopt(s[i][0], SOL_SOCKET, SO_PRIORITY, &(int){ 5 }, sizeof(int)));
    }
    ready();
    for (int i = 0; i < 3; i++) {
        socklen_t length = sizeof(got);
        CHECK(get(s[i][0], SO_PASSCRED) == 1 && get(s[i][0], SO_PASSSEC) == 1 && get(s[i][0], SO_PASSPIDFD) == 1);
        CHECK(get(s[i][1], SO_PASSCRED) == 0 && get(s[i][1], SO_PASSPIDFD) == 0 && get(s[i][1], SO_PEEK_OFF) == -1);
        if (has_rights[i])
            CHECK(get(s[i][0], SO_PASSRIGHTS) == 0 && get(s[i][1], SO_PASSRIGHTS) == 1);
        CHECK(get(s[i][0], SO_SNDBUF) == send_size[i] && get(s[i][0], SO_RCVBUF) == receive_size[i]);
        CHECK(get(s[i][0], SO_RCVLOWAT) == 7 && get(s[i][0], SO_PRIORITY) == 5);
        CHECK(getsockopt(s[i][0], SOL_SOCKET, SO_RCVTIMEO, &got, &length) == 0 && got.tv_sec == 3 && got.tv_usec == before.tv_usec);
        CHECK(getsockopt(s[i][0], SOL_SOCKET, SO_SNDTIMEO, &got, &length) == 0 && got.tv_sec == 3 && got.tv_usec == before.tv_usec);
        CHECK(get(s[i][0], SO_PEEK_OFF) == 3);
        char data[8] = { 0 };
        if (types[i] == SOCK_STREAM)
            CHECK(recv(s[i][0], data, 8, MSG_PEEK | MSG_DONTWAIT) == 3 && !memcmp(data, "ued", 3));
        CHECK(setsockopt(s[i][0], SOL_SOCKET, SO_PEEK_OFF, &(int){ -1 }, sizeof(int)) == 0);
        CHECK(recv(s[i][0], data, 8, MSG_DONTWAIT) == 6 && !memcmp(data, "queued", 6));
    }
    return finish();
}
