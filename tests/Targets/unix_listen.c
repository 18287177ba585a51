// Listeners: at a path with its mode, at an unlinked path, relative, abstract, by itself named; accepted and not yet accepted ones.
#include "target.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *a, const char *path, int abstract)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path + abstract, path);
    return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int listener(const char *path, int abstract, int backlog)
{
    struct sockaddr_un a;
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    socklen_t n = name(&a, path, abstract);
    MUST(bind(fd, (void *)&a, n));
    MUST(listen(fd, backlog));
    return fd;
}

static int client(const char *path, int abstract)
{
    struct sockaddr_un a;
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    socklen_t n = name(&a, path, abstract);
    return connect(fd, (void *)&a, n) == 0 ? fd : -1;
}

static int talks(int from, int to)
{
    char c = 0;
    return send(from, "t", 1, MSG_NOSIGNAL) == 1 && recv(to, &c, 1, 0) == 1 && c == 't' && send(to, "u", 1, 0) == 1 && recv(from, &c, 1, 0) == 1;
}

int main(int argc, char **argv)
{
    begin(argv);
    char hidden[64];
    snprintf(hidden, sizeof(hidden), "firn-target-%d", getpid());
    umask(0);
    int path = listener(in_work("sock"), 0, 5), gone = listener(in_work("gone"), 0, 2), abstract = listener(hidden, 1, 7);
    MUST(chmod(in_work("sock"), 0610));
    MUST(chdir(work));
    int relative = listener("relative", 0, 1);
    MUST(chdir("/"));
    int alone = MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0)), bound = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(alone, (void *)&(sa_family_t){ AF_UNIX }, sizeof(sa_family_t)));
    struct sockaddr_un a, before, after;
    socklen_t n = sizeof(before);
    MUST(getsockname(alone, (void *)&before, &n));
    MUST(bind(bound, (void *)&a, name(&a, in_work("bound"), 0)));
    int c1 = MUST(client(in_work("sock"), 0)), s1 = MUST(accept(path, NULL, NULL));
    MUST(unlink(in_work("gone")));
    int waiting = MUST(client(hidden, 1));
    MUST(send(c1, "early", 5, 0));
    ready();
    char buffer[16];
    struct stat st;
    CHECK(stat(in_work("sock"), &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0610);
    CHECK(stat(in_work("gone"), &st) == -1 && errno == ENOENT && stat(in_work("bound"), &st) == 0);
    CHECK(recv(s1, buffer, 5, MSG_WAITALL) == 5 && !memcmp(buffer, "early", 5) && talks(c1, s1));
    n = sizeof(after);
    CHECK(getpeername(c1, (void *)&after, &n) == 0 && !strcmp(after.sun_path, in_work("sock")));
    int s2 = accept(abstract, NULL, NULL);
    CHECK(s2 >= 0 && talks(waiting, s2));
    int c3 = client(in_work("sock"), 0), s3 = accept(path, NULL, NULL), c4 = client(hidden, 1), s4 = accept(abstract, NULL, NULL);
    CHECK(talks(c3, s3) && talks(c4, s4));
    int c5 = client(in_work("relative"), 0), s5 = accept(relative, NULL, NULL);
    CHECK(talks(c5, s5) && fcntl(gone, F_GETFL) >= 0);
    n = sizeof(after);
    CHECK(getsockname(relative, (void *)&after, &n) == 0 && !strcmp(after.sun_path, "relative"));
    n = sizeof(after);
    CHECK(getsockname(gone, (void *)&after, &n) == 0 && !strcmp(after.sun_path, in_work("gone")));
    n = sizeof(after);
    CHECK(getsockname(alone, (void *)&after, &n) == 0 && n == 8 && !memcmp(&before, &after, n));
    CHECK(listen(bound, 1) == 0 && client(in_work("bound"), 0) >= 0);
    return finish();
}
