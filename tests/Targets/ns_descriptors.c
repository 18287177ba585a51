// Descriptors of namespaces: of the task's own, of a child's, of those of the outside; also shared, closed on exec, and in flight.
// contain: pum
#include "flight.h"
#include <sched.h>

static int opened(const char *format, int pid, int flags)
{
    char path[64];
    snprintf(path, sizeof(path), format, pid);
    return MUST(open(path, O_RDONLY | flags));
}

static unsigned long inode(int fd)
{
    struct stat s;
    return fstat(fd, &s) ? 0 : s.st_ino;
}

static unsigned long inode_at(const char *path)
{
    struct stat s;
    return stat(path, &s) ? 0 : s.st_ino;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };
    int fds[8], gate[2], said[2];
    char path[64], byte, host[65] = "";
    begin(argv);
    MUST(sethostname("above", 5));
    MUST(pipe2(gate, O_CLOEXEC));
    MUST(pipe2(said, O_CLOEXEC));
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
        fds[i] = MUST(open(path, O_RDONLY | (i & 1 ? O_CLOEXEC : 0)));
    }
    int again = MUST(dup(fds[3]));
    int child = MUST(fork());
    if (child == 0) {
        close(gate[1]);
        MUST(unshare(CLONE_NEWUTS | CLONE_NEWIPC));
        MUST(sethostname("below", 5));
        MUST(write(said[1], "r", 1));
        MUST(read(gate[0], &byte, 1));
        for (int i = 0; i < 8; i++) {
            snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
            byte = (inode(fds[i]) == inode_at(path)) == (i != 7 && i != 1) ? 'o' : 'a' + i;
            MUST(write(said[1], &byte, 1));
        }
        byte = setns(fds[7], CLONE_NEWUTS) == 0 && gethostname(host, sizeof(host)) == 0 && !strcmp(host, "above") ? 'o' : 'z';
        MUST(write(said[1], &byte, 1));
        _exit(0);
    }
    MUST(read(said[0], &byte, 1));
    int childs = opened("/proc/%d/ns/uts", child, 0);
    int pair[2], flying[2] = { childs, opened("/proc/%d/ns/ipc", child, 0) }, flown[2] = { -1, -1 };
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    send_fds(pair[0], "both", 4, flying, 2);
    close(flying[1]);
    ready();
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
        CHECK(inode(fds[i]) == inode_at(path) && inode(fds[i]));
        CHECK(!!(fcntl(fds[i], F_GETFD) & FD_CLOEXEC) == (i & 1));
    }
    CHECK(inode(again) == inode(fds[3]) && inode(childs) != inode(fds[7]));
    MUST(write(gate[1], "x", 1));
    for (int i = 0; i < 9; i++) {
        MUST(read(said[0], &byte, 1));
        if (byte != 'o')
            differ("the child said '%c'", byte);
    }
    CHECK(receive_fds(pair[1], path, 8, flown, NULL) == 2 && same_file(flown[0], childs));
    CHECK(inode(flown[1]) && inode(flown[1]) != inode(fds[1]));
    CHECK(setns(childs, CLONE_NEWUTS) == 0 && gethostname(host, sizeof(host)) == 0 && !strcmp(host, "below"));
    return finish();
}
