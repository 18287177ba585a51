// options: --tcp-established
// Connections in every state after the first FIN, with data that was not read or not sent yet; reset, refused, and one only asked for.
#include "inet.h"
#include <linux/filter.h>

static char sent[3][1 << 23];

static int at_end(int fd)
{
    char c;
    return readable(fd, 30000) && recv(fd, &c, 1, 0) == 0;
}

static int events(int fd)
{
    struct pollfd p = { fd, POLLIN | POLLRDHUP, 0 };
    poll(&p, 1, 0);
    return p.revents;
}

static int reaches(int fd, int state)
{
    for (int i = 0; i < 4000 && state_of(fd) != state; i++)
        usleep(5000);
    return state_of(fd) == state;
}

int main(int argc, char **argv)
{
    begin(argv);
    int listener = listening(AF_INET, 0), listener6 = listening(AF_INET6, 0), c[8], s[8];
    struct sockaddr_in6 a;
    socklen_t n;
    for (int i = 0; i < 7; i++)
        connected(i == 1 ? listener6 : listener, i == 1 ? AF_INET6 : AF_INET, &c[i], &s[i]);
    // 0 and 1: one side has said its last.
    for (int i = 0; i < 2; i++) {
        MUST(send(c[i], "the last", 8, 0));
        MUST(shutdown(c[i], SHUT_WR));
    }
    MUST(send(s[1], "an answer", 9, 0));
    // 2: the other side too, but its words don't fit.
    MUST(shutdown(c[2], SHUT_WR));
    MUST(reaches(s[2], TCP_CLOSE_WAIT) - 1);
    size_t full2 = fill(s[2], sent[0], sizeof(sent[0]), 1);
    MUST(shutdown(s[2], SHUT_WR));
    // 3: a FIN behind words that don't fit.
    size_t full3 = fill(c[3], sent[1], sizeof(sent[1]), 2);
    MUST(shutdown(c[3], SHUT_WR));
    // 4: the same, and the other side's FIN has come.
    size_t full4 = fill(c[4], sent[2], sizeof(sent[2]), 3);
    MUST(shutdown(c[4], SHUT_WR));
    MUST(shutdown(s[4], SHUT_WR));
    // 5: over, with something to read.
    MUST(send(c[5], "goodbye", 7, 0));
    MUST(shutdown(c[5], SHUT_WR));
    MUST(reaches(s[5], TCP_CLOSE_WAIT) - 1);
    MUST(shutdown(s[5], SHUT_WR));
    // 6: reset, with something to read, and no one has been told.
    MUST(send(c[6], "before", 6, 0));
    MUST(setsockopt(c[6], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
    close(c[6]);
    // Refused, and no one has been told.
    int nobody = listening(AF_INET, 0), refused = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    n = name_of(nobody, AF_INET, &a);
    close(nobody);
    (void)!connect(refused, (void *)&a, n);
    // Asked for, with no answer: the listener drops all that comes.
    struct sock_filter none = { BPF_RET | BPF_K, 0, 0, 0 };
    struct sock_fprog drop = { 1, &none };
    int deaf = listening(AF_INET, 0), asking = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    MUST(setsockopt(deaf, SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof(drop)));
    n = name_of(deaf, AF_INET, &a);
    (void)!connect(asking, (void *)&a, n);
    int wanted[] = { TCP_FIN_WAIT2, TCP_FIN_WAIT2, TCP_FIN_WAIT2, TCP_FIN_WAIT1, TCP_CLOSING, TCP_CLOSE };
    int theirs[] = { TCP_CLOSE_WAIT, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_ESTABLISHED, TCP_FIN_WAIT2, TCP_CLOSE, TCP_CLOSE };
    for (int i = 0; i < 7; i++)
        MUST((i == 6 || reaches(c[i], wanted[i])) && reaches(s[i], theirs[i]) ? 0 : -1);
    MUST(reaches(refused, TCP_CLOSE) && reaches(asking, TCP_SYN_SENT) ? 0 : -1);
    ready();
    for (int i = 0; i < 7; i++) {
        CHECK(i == 6 || reaches(c[i], wanted[i]));
        CHECK(reaches(s[i], theirs[i]));
    }
    for (int i = 0; i < 2; i++) {
        CHECK(drains(s[i], "the last", 8) && at_end(s[i]) && at_end(s[i]));
        CHECK(i == 0 || drains(c[i], "an answer", 9));
        CHECK(send(s[i], "still", 5, 0) == 5 && drains(c[i], "still", 5) && send(c[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
        close(s[i]);
        CHECK(at_end(c[i]));
    }
    CHECK(drains(c[2], sent[0], full2) && at_end(c[2]) && reaches(s[2], TCP_CLOSE));
    CHECK(drains(s[3], sent[1], full3) && at_end(s[3]) && reaches(c[3], TCP_FIN_WAIT2) && send(s[3], "yes", 3, 0) == 3 && drains(c[3], "yes", 3));
    CHECK(drains(s[4], sent[2], full4) && at_end(s[4]) && at_end(c[4]) && reaches(s[4], TCP_CLOSE));
    CHECK(drains(s[5], "goodbye", 7) && at_end(s[5]) && at_end(c[5]) && (events(s[5]) & (POLLHUP | POLLRDHUP | POLLERR)) == (POLLHUP | POLLRDHUP));
    CHECK(send(s[5], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK((events(s[6]) & POLLERR) && drains(s[6], "before", 6) && recv(s[6], &a, 1, 0) == -1 && errno == ECONNRESET);
    CHECK(at_end(s[6]));
    CHECK((events(refused) & POLLERR) && get(refused, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
    CHECK(state_of(asking) == TCP_SYN_SENT && (fcntl(asking, F_GETFL) & O_NONBLOCK));
    MUST(setsockopt(deaf, SOL_SOCKET, SO_DETACH_FILTER, &drop, sizeof(drop)));
    int accepted = readable(deaf, 20000) ? accept(deaf, NULL, NULL) : -1;
    CHECK(accepted >= 0 && send(accepted, "late", 4, 0) == 4 && drains(asking, "late", 4));
    return finish();
}
