// Whom SO_PEERCRED shows: of pairs, of clients and of accepted ends, made by the task, by its child, by a process that is gone, by another
// user.
#include "flight.h"

static struct ucred peer(int fd)
{
    struct ucred u = { 0 };
    socklen_t n = sizeof(u);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0);
    return u;
}

enum { OWN, OWN_OTHER, OF_CHILD, OF_USER, GONE, CLIENT, SERVER, LISTENER, WAITING, COUNT };

int main(int argc, char **argv)
{
    begin(argv);
    int fds[COUNT], pair[2], status, way[2], listening;
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work("sock"));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    fds[OWN] = pair[0];
    fds[OWN_OTHER] = pair[1];
    fds[LISTENER] = listening = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(listening, (void *)&a, sizeof(a)));
    MUST(chmod(a.sun_path, 0777));
    MUST(chmod(work, 0777));
    MUST(listen(listening, 4));
    pid_t child = MUST(fork());
    if (child == 0) {
        // Its own pair, one end of which goes to the parent, and a client.
        MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
        int client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        MUST(connect(client, (void *)&a, sizeof(a)));
        send_fds(way[0], "c", 1, (int[]){ pair[0], client }, 2);
        wait_for_wake();
        _exit(0);
    }
    char data[9];
    int got[2];
    while (receive_fds(way[1], data, 8, got, NULL) != 2)
        usleep(1000);
    fds[OF_CHILD] = got[0];
    fds[CLIENT] = got[1];
    fds[SERVER] = MUST(accept(listening, NULL, NULL));
    for (int user = 0; user < 2; user++) {
        pid_t passing = MUST(fork());
        if (passing == 0) {
            if (user && (setgid(77) || setuid(66)))
                _exit(1);
            MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
            send_fds(way[0], "g", 1, pair, 1);
            _exit(0);
        }
        MUST(waitpid(passing, &status, 0));
        if (status || receive_fds(way[1], data, 8, &fds[user ? OF_USER : GONE], NULL) != 1)
            return 2;
    }
    fds[WAITING] = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(connect(fds[WAITING], (void *)&a, sizeof(a)));
    struct ucred before[COUNT], after;
    for (int i = 0; i < COUNT; i++)
        before[i] = peer(fds[i]);
    ready();
    for (int i = 0; i < COUNT; i++) {
        after = peer(fds[i]);
        if (memcmp(&before[i], &after, sizeof(after)))
            differ("%d: pid %d uid %d gid %d was %d %d %d", i, after.pid, after.uid, after.gid, before[i].pid, before[i].uid, before[i].gid);
    }
    CHECK(before[OF_CHILD].pid == child && before[SERVER].pid == child && before[CLIENT].pid == getpid() && before[OF_USER].uid == 66);
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
