// Sockets whose files were renamed since they were bound, absolute and relative, one of them with another socket at its first name; and one
// whose directory was renamed. A client finds them where their files are, and they say their first names.
#include "flight.h"

static int make(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    MUST(bind(fd, (void *)&a, sizeof(a)));
    MUST(listen(fd, 2));
    return fd;
}

static int answers(const char *path, int listener)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), s;
    char c = 0;
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    return connect(fd, (void *)&a, sizeof(a)) == 0 && (s = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 && send(fd, "a", 1, 0) == 1
        && recv(s, &c, 1, 0) == 1 && c == 'a';
}

static int is_named(int fd, const char *path)
{
    struct sockaddr_un a;
    socklen_t n = sizeof(a);
    return getsockname(fd, (void *)&a, &n) == 0 && !strcmp(a.sun_path, path);
}

int main(int argc, char **argv)
{
    begin(argv);
    char old[512], in_directory[512];
    umask(0);
    snprintf(old, sizeof(old), "%s", in_work("old"));
    int first = make(old);
    MUST(rename(old, in_work("new")));
    int second = make(old);
    MUST(chmod(in_work("new"), 0640));
    MUST(chdir(work));
    int relative = make("relative");
    MUST(rename("relative", "moved"));
    MUST(mkdir("directory", 0755));
    MUST(chdir("directory"));
    int inside = make("inside");
    MUST(chdir("/"));
    snprintf(in_directory, sizeof(in_directory), "%s/below", in_work("directory"));
    int below = make(in_directory);
    MUST(rename(in_work("directory"), in_work("elsewhere")));
    ready();
    struct stat st;
    CHECK(answers(in_work("new"), first) && is_named(first, old) && !stat(in_work("new"), &st) && (st.st_mode & 07777) == 0640);
    CHECK(answers(old, second) && is_named(second, old));
    CHECK(answers(in_work("moved"), relative) && is_named(relative, "relative") && stat(in_work("relative"), &st) == -1);
    CHECK(answers(in_work("elsewhere/inside"), inside) && is_named(inside, "inside"));
    CHECK(answers(in_work("elsewhere/below"), below) && is_named(below, in_directory));
    return finish();
}
