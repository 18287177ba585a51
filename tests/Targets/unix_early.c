// only-restored
// Connections that no one has accepted yet, and over which data came: of streams and packets; with others between them that have brought
// nothing; of clients that are done, or gone; of two processes; with credentials; to a listener that two processes share.
#include "flight.h"

static int make(const char *path, int type, int listens)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = MUST(socket(AF_UNIX, type, 0));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work(path));
    if (listens) {
        MUST(bind(fd, (void *)&a, sizeof(a)));
        MUST(listen(fd, 16));
    } else
        MUST(connect(fd, (void *)&a, sizeof(a)));
    return fd;
}

static void send_named(int fd, const char *text, pid_t pid)
{
    char control[CMSG_SPACE(sizeof(struct ucred))] = { 0 };
    struct iovec v = { (void *)text, strlen(text) };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof(struct ucred));
    *(struct ucred *)CMSG_DATA(c) = (struct ucred){ pid, 11, 12 };
    MUST(sendmsg(fd, &m, 0));
}

static int says(int fd, const char *text)
{
    char data[65] = "";
    return recv(fd, data, 64, MSG_DONTWAIT) == (ssize_t)strlen(text) && !strcmp(data, text);
}

int main(int argc, char **argv)
{
    begin(argv);
    static char large[150000], got[sizeof(large)];
    int types[] = { SOCK_STREAM, SOCK_SEQPACKET }, listeners[2], with[2], without[2], done[2], named[2], big[2], status;
    memset(large, 'x', sizeof(large));
    pid_t child = -1;
    // Whether an accepted socket has the listener's SO_PASSCRED depends on the kernel.
    int passing = make("passing", SOCK_STREAM, 1), inherits = -1, seen = -1;
    MUST(setsockopt(passing, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)));
    int tried = make("passing", SOCK_STREAM, 0), accepted = MUST(accept(passing, NULL, NULL));
    MUST(getsockopt(accepted, SOL_SOCKET, SO_PASSCRED, &inherits, &(socklen_t){ sizeof(int) }));
    close(tried);
    close(accepted);
    int passed = make("passing", SOCK_STREAM, 0);
    MUST(send(passed, "pass", 4, 0));
    for (int i = 0; i < 2; i++) {
        const char *path = i ? "packets" : "stream";
        listeners[i] = make(path, types[i], 1);
        without[i] = make(path, types[i], 0);
        int gone = make(path, types[i], 0);
        MUST(send(gone, "of one that is gone", 19, 0));
        close(gone);
        with[i] = make(path, types[i], 0);
        MUST(send(with[i], "first", 5, 0));
        MUST(send(with[i], " second", 7, 0));
        close(make(path, types[i], 0));
        done[i] = make(path, types[i], 0);
        MUST(send(done[i], "the last", 8, 0));
        MUST(shutdown(done[i], SHUT_WR));
        big[i] = make(path, types[i], 0);
        MUST(send(big[i], large, sizeof(large), 0));
    }
    child = MUST(fork());
    if (child == 0) {
        int own = make("stream", SOCK_STREAM, 0);
        MUST(send(own, "of the child", 12, 0));
        publish("child", "");
        wait_for_wake();
        char c;
        _exit(!(recv(own, &c, 1, 0) == 1 && c == 'a'));
    }
    for (struct stat st; stat(in_work("child"), &st);)
        usleep(1000);
    for (int i = 0; i < 2; i++) {
        named[i] = make(i ? "packets" : "stream", types[i], 0);
        send_named(named[i], "named", child);
    }
    ready();
    for (int i = 0; i < 2; i++) {
        MUST(fcntl(listeners[i], F_SETFL, O_NONBLOCK));
        int a = accept(listeners[i], NULL, NULL), gone = accept(listeners[i], NULL, NULL), b = accept(listeners[i], NULL, NULL);
        int silent = accept(listeners[i], NULL, NULL), c = accept(listeners[i], NULL, NULL), large_one = accept(listeners[i], NULL, NULL);
        int childs = i ? -1 : accept(listeners[i], NULL, NULL), d = accept(listeners[i], NULL, NULL);
        CHECK(a >= 0 && gone >= 0 && b >= 0 && silent >= 0 && c >= 0 && large_one >= 0 && d >= 0 && (i || childs >= 0));
        CHECK(recv(a, got, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN && send(a, "x", 1, 0) == 1 && says(without[i], "x"));
        CHECK(says(gone, "of one that is gone") && recv(gone, got, 1, MSG_DONTWAIT) == 0 && recv(silent, got, 1, MSG_DONTWAIT) == 0);
        CHECK(i ? says(b, "first") && says(b, " second") : says(b, "first second"));
        CHECK(send(b, "answer", 6, 0) == 6 && says(with[i], "answer") && send(with[i], "more", 4, 0) == 4 && says(b, "more"));
        CHECK(says(c, "the last") && recv(c, got, 1, MSG_DONTWAIT) == 0 && send(c, "still", 5, 0) == 5 && says(done[i], "still"));
        CHECK(recv(large_one, got, sizeof(got), MSG_DONTWAIT | (i ? 0 : MSG_WAITALL)) == sizeof(got) && !memcmp(got, large, sizeof(got)));
        struct ucred sender = { 0 };
        int unused;
        char data[9];
        MUST(setsockopt(d, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)));
        CHECK(receive_fds(d, data, 8, &unused, &sender) == 0 && !strcmp(data, "named"));
        CHECK(sender.pid == child && sender.uid == 11 && sender.gid == 12);
        CHECK(accept(listeners[i], NULL, NULL) == -1 && errno == EAGAIN);
        if (!i)
            CHECK(says(childs, "of the child") && send(childs, "a", 1, 0) == 1);
    }
    accepted = accept(passing, NULL, NULL);
    CHECK(getsockopt(accepted, SOL_SOCKET, SO_PASSCRED, &seen, &(socklen_t){ sizeof(int) }) == 0 && seen == inherits);
    int none;
    struct ucred sender = { 0 };
    CHECK(receive_fds(accepted, got, 8, &none, &sender) == 0 && !strcmp(got, "pass") && (!inherits || sender.pid == getpid()));
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
