// Out-of-band bytes: at the head of the queue, in its midst, at its end, read inline; with a mark like the bytes around it; with a descriptor.
#include "flight.h"

enum { HEAD, MIDST, END, INLINE, ALIKE, RIGHTS, COUNT };

static int at_mark(int socket)
{
    int answer = 0;
    CHECK(ioctl(socket, 0x8905 /* SIOCATMARK */, &answer) == 0);
    return answer;
}

static int urgent(int socket)
{
    struct pollfd p = { socket, POLLPRI, 0 };
    return poll(&p, 1, 0) == 1 && (p.revents & POLLPRI);
}

int main(int argc, char **argv)
{
    begin(argv);
    int s[COUNT][2], on = 1, fd;
    char c, data[17] = { 0 };
    for (int i = 0; i < COUNT; i++)
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s[i]));
    MUST(send(s[HEAD][0], "!", 1, MSG_OOB));
    MUST(send(s[HEAD][0], "after", 5, 0));
    MUST(send(s[MIDST][0], "before!", 7, MSG_OOB));
    MUST(send(s[MIDST][0], "after", 5, 0));
    MUST(send(s[END][0], "before", 6, 0));
    MUST(send(s[END][0], "!", 1, MSG_OOB));
    MUST(setsockopt(s[INLINE][1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    MUST(send(s[INLINE][0], "in!", 3, MSG_OOB));
    MUST(send(s[INLINE][0], "line", 4, 0));
    MUST(send(s[ALIKE][0], "aaaa", 4, 0));
    MUST(send(s[ALIKE][0], "a", 1, MSG_OOB));
    MUST(send(s[ALIKE][0], "aa", 2, 0));
    send_fds(s[RIGHTS][0], "fd", 2, &s[HEAD][0], 1);
    MUST(send(s[RIGHTS][0], "!", 1, MSG_OOB));
    ready();
    CHECK(at_mark(s[HEAD][1]) && urgent(s[HEAD][1]));
    CHECK(recv(s[HEAD][1], &c, 1, MSG_OOB) == 1 && c == '!' && recv(s[HEAD][1], data, 16, 0) == 5 && !memcmp(data, "after", 5));
    CHECK(!at_mark(s[MIDST][1]) && urgent(s[MIDST][1]));
    CHECK(recv(s[MIDST][1], data, 16, 0) == 6 && !memcmp(data, "before", 6) && at_mark(s[MIDST][1]));
    CHECK(recv(s[MIDST][1], &c, 1, MSG_OOB) == 1 && c == '!' && recv(s[MIDST][1], data, 16, 0) == 5 && !memcmp(data, "after", 5));
    CHECK(recv(s[END][1], data, 16, 0) == 6 && !memcmp(data, "before", 6) && at_mark(s[END][1]));
    CHECK(recv(s[END][1], &c, 1, MSG_OOB) == 1 && c == '!');
    CHECK(recv(s[INLINE][1], data, 16, 0) == 2 && !memcmp(data, "in", 2) && at_mark(s[INLINE][1]));
    CHECK(recv(s[INLINE][1], data, 16, 0) == 5 && !memcmp(data, "!line", 5));
    CHECK(recv(s[ALIKE][1], data, 16, 0) == 4 && at_mark(s[ALIKE][1]) && recv(s[ALIKE][1], data, 16, 0) == 2);
    CHECK(receive_fds(s[RIGHTS][1], data, 16, &fd, NULL) == 1 && !memcmp(data, "fd", 2) && same_file(fd, s[HEAD][0]));
    CHECK(recv(s[RIGHTS][1], &c, 1, MSG_OOB) == 1 && c == '!');
    return finish();
}
