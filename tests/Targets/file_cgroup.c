// Files and the directory of the task's own control groups, version 1 and 2: for reading with a place in them, for writing, a directory
// half read; duplicated, close-on-exec, shared with a child. The groups may have been made again meanwhile.
#include "target.h"
#include <dirent.h>
#include <sys/syscall.h>

struct entry { unsigned long inode, next; unsigned short size; unsigned char type; char name[]; };
static char group[2][300], rest[2][4096];

// Where the task's group of a hierarchy is: of "memory", or of version 2 by "".
static int find(const char *controller, const char *mount, char *path)
{
    char line[256], key[64];
    int found = 0;
    FILE *file = fopen("/proc/self/cgroup", "r");
    snprintf(key, sizeof key, ":%s:", controller);
    while (!found && file && fgets(line, sizeof line, file)) {
        char *at = strstr(line, key);
        if (at) {
            line[strcspn(line, "\n")] = 0;
            snprintf(path, 300, "/sys/fs/cgroup/%s%s", mount, at + strlen(key));
            found = access(path, W_OK) == 0;
        }
    }
    if (file)
        fclose(file);
    return found;
}

static int opened(int which, const char *name, int flags)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", group[which], name);
    return MUST(open(path, flags));
}

// The names of the files that come next; groups within come and go.
static void read_on(int fd, char *names)
{
    char bytes[256];
    long size;
    names[0] = 0;
    while ((size = syscall(SYS_getdents64, fd, bytes, sizeof bytes)) > 0)
        for (long at = 0; at < size; at += ((struct entry *)(bytes + at))->size) {
            struct entry *e = (struct entry *)(bytes + at);
            if (e->type != DT_DIR)
                strcat(strcat(names, e->name), " ");
        }
}

int main(int argc __attribute__((unused)), char **argv)
{
    static const char *const procs = "cgroup.procs";
    char text[64], whole[64] = { 0 }, more[4096], bytes[128];
    int directories[2], copies[2], readers[2], writers[2], status = -1;
    begin(argv);
    if (!find("memory", "memory", group[0]) || !find("", "unified", group[1]))
        return skip("there are no cgroups of both versions to write to");
    int limit = opened(0, "memory.limit_in_bytes", O_RDWR), same = MUST(dup(limit)), closed = MUST(fcntl(limit, F_DUPFD_CLOEXEC, 50));
    long size = MUST(pread(limit, whole, sizeof whole - 1, 0));
    MUST(read(limit, text, 3));
    for (int i = 0; i < 2; i++) {
        readers[i] = opened(i, procs, O_RDONLY | O_CLOEXEC);
        writers[i] = opened(i, procs, O_WRONLY);
        MUST(read(readers[i], text, 2));
        int ahead = directories[i] = opened(i, ".", O_RDONLY | O_DIRECTORY);
        MUST(syscall(SYS_getdents64, directories[i], bytes, sizeof bytes));
        MUST(syscall(SYS_getdents64, ahead = opened(i, ".", O_RDONLY | O_DIRECTORY), bytes, sizeof bytes));
        read_on(ahead, rest[i]);
        close(ahead);
        copies[i] = MUST(dup(directories[i]));
    }
    int pid = MUST(fork());
    if (!pid) {
        wait_for_wake();
        int good = lseek(limit, 0, SEEK_CUR) == 3 && read(limit, text, sizeof text) == size - 3 && !memcmp(text, whole + 3, size - 3);
        for (int i = 0; i < 2; i++)
            good &= write(writers[i], "0", 1) == 1;
        _exit(good ? 0 : 1);
    }
    ready();
    CHECK(lseek(same, 0, SEEK_CUR) == 3);
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(lseek(same, 0, SEEK_CUR) == size && lseek(closed, 0, SEEK_CUR) == size && (fcntl(limit, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(fcntl(closed, F_GETFD) == FD_CLOEXEC && fcntl(same, F_GETFD) == 0);
    memset(text, 0, sizeof text);
    CHECK(pread(closed, text, sizeof text - 1, 0) == size && !strcmp(text, whole));
    for (int i = 0; i < 2; i++) {
        struct stat s, t;
        CHECK(rest[i][0] != 0 && fstat(directories[i], &s) == 0 && stat(group[i], &t) == 0 && s.st_ino == t.st_ino && s.st_dev == t.st_dev);
        CHECK(faccessat(directories[i], procs, F_OK, 0) == 0);
        read_on(copies[i], more);
        if (strcmp(more, rest[i]))
            differ("%s: the rest is %s, not %s", group[i], more, rest[i]);
        CHECK(syscall(SYS_getdents64, directories[i], bytes, sizeof bytes) == 0);
        CHECK(lseek(readers[i], 0, SEEK_CUR) == 2 && fcntl(readers[i], F_GETFD) == FD_CLOEXEC && pread(readers[i], text, 2, 0) == 2);
        CHECK(write(readers[i], "0", 1) == -1 && errno == EBADF && write(writers[i], "0", 1) == 1 && read(writers[i], text, 1) == -1);
    }
    return finish();
}
