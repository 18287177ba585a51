// options: --tcp-established
// A listener where a connection waits, and both ends of a connection that is half closed: each duplicated, close-on-exec, shared with a
// child, and once more in flight in a socket's queue; all of them are one and the same afterwards.
#include "flight.h"
#include "inet.h"

enum { LISTENER, CLIENT, SERVER, KINDS };

// One description: what is set on the one shows on the other.
static int is_same(int a, int b)
{
    int before = fcntl(a, F_GETFL), same;
    MUST(fcntl(a, F_SETFL, before ^ O_NONBLOCK));
    same = fcntl(b, F_GETFL) == (before ^ O_NONBLOCK);
    MUST(fcntl(a, F_SETFL, before));
    return same && fcntl(b, F_GETFL) == before;
}

int main(int argc, char **argv)
{
    begin(argv);
    int all[KINDS], copies[KINDS], got[KINDS], pair[2], waiting = MUST(socket(AF_INET, SOCK_STREAM, 0)), status = 1;
    struct sockaddr_in6 a;
    char data[16];
    all[LISTENER] = listening(AF_INET, 0);
    socklen_t n = name_of(all[LISTENER], AF_INET, &a);
    connected(all[LISTENER], AF_INET, &all[CLIENT], &all[SERVER]);
    MUST(send(all[CLIENT], "the last", 8, 0));
    MUST(shutdown(all[CLIENT], SHUT_WR));
    MUST(connect(waiting, (void *)&a, n));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    send_fds(pair[0], "tcp", 3, all, KINDS);
    for (int i = 0; i < KINDS; i++)
        copies[i] = MUST(fcntl(all[i], F_DUPFD_CLOEXEC, 100 + 10 * i));
    pid_t child = MUST(fork());
    if (child == 0) {
        int s;
        wait_for_wake();
        CHECK(drains(copies[SERVER], "the last", 8) && recv(all[SERVER], data, 1, 0) == 0);
        CHECK(send(all[SERVER], "answer", 6, 0) == 6);
        CHECK(readable(all[LISTENER], 30000) && (s = accept(copies[LISTENER], NULL, NULL)) >= 0 && send(s, "hello", 5, 0) == 5);
        _exit(differs[0] != 0);
    }
    ready();
    CHECK(receive_fds(pair[1], data, 3, got, NULL) == KINDS);
    for (int i = 0; i < KINDS; i++) {
        CHECK(fcntl(copies[i], F_GETFD) == FD_CLOEXEC && fcntl(all[i], F_GETFD) == 0);
        CHECK(is_same(all[i], copies[i]) && is_same(all[i], got[i]));
    }
    MUST(kill(child, SIGUSR1));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(drains(all[CLIENT], "answer", 6) && drains(waiting, "hello", 5));
    CHECK(send(got[CLIENT], "no", 2, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(!readable(got[LISTENER], 0));
    close(all[SERVER]), close(copies[SERVER]), close(got[SERVER]);
    CHECK(readable(all[CLIENT], 30000) && recv(all[CLIENT], data, 1, 0) == 0);
    return finish();
}
