// options: --tcp-established
// Out-of-band data that waits: beside the stream, within it (SO_OOBINLINE), at its start, at its end.
#include "inet.h"

static const char *const before[4] = { "before", "before", "", "all" }, *const after[4] = { "after", "after", "rest", "" };

static int is_urgent(int fd)
{
    struct pollfd p = { fd, POLLPRI, 0 };
    return poll(&p, 1, 5000) == 1 && (p.revents & POLLPRI);
}

static int at_mark(int fd)
{
    int v = -1;
    return ioctl(fd, 0x8905, &v) == 0 && v == 1;
}

int main(int argc, char **argv)
{
    begin(argv);
    int listener = listening(AF_INET, 0), listener6 = listening(AF_INET6, 0), c[4], s[4];
    for (int i = 0; i < 4; i++) {
        connected(i == 2 ? listener6 : listener, i == 2 ? AF_INET6 : AF_INET, &c[i], &s[i]);
        set(s[i], SOL_SOCKET, SO_OOBINLINE, i == 1);
        if (*before[i])
            MUST(send(c[i], before[i], strlen(before[i]), 0));
        MUST(send(c[i], "U", 1, MSG_OOB));
        if (*after[i])
            MUST(send(c[i], after[i], strlen(after[i]), 0));
        MUST(is_urgent(s[i]) - 1);
    }
    usleep(50000);
    ready();
    for (int i = 0; i < 4; i++) {
        char b = 0;
        CHECK(is_urgent(s[i]) && get(s[i], SOL_SOCKET, SO_OOBINLINE) == (i == 1));
        CHECK(i == 1 || (recv(s[i], &b, 1, MSG_OOB) == 1 && b == 'U'));
        CHECK(drains(s[i], before[i], strlen(before[i])) && at_mark(s[i]));
        CHECK(i != 1 || (recv(s[i], &b, 1, 0) == 1 && b == 'U'));
        CHECK(drains(s[i], after[i], strlen(after[i])));
        CHECK(send(c[i], "more", 4, 0) == 4 && drains(s[i], "more", 4) && send(s[i], "back", 4, 0) == 4 && drains(c[i], "back", 4));
    }
    return finish();
}
