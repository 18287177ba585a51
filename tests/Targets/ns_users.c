// A user namespace: its maps, credentials within, and owners of what the kernel keeps owners of.
// contain: Upui
#include "target.h"
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>

static void read_all(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    text[length < 0 ? 0 : length] = 0;
    close(fd);
}

int main(int argc, char **argv)
{
    char before[8192], after[8192], map[512];
    int go[2], told[2], owned[2];
    begin(argv);
    CHECK(getuid() == 0 && getgid() == 0);
    MUST(pipe(go));
    MUST(pipe(told));
    MUST(pipe(owned));
    pid_t child = MUST(fork());
    if (child == 0) {
        gid_t groups[2] = { 7, 77 };
        char byte;
        uid_t u[3];
        gid_t g[3], list[8];
        MUST(setgroups(2, groups));
        MUST(setresgid(2000, 2001, 2002));
        MUST(setresuid(1000, 1001, 1002));
        MUST(write(told[1], "r", 1));
        MUST(read(go[0], &byte, 1));
        getresuid(u, u + 1, u + 2);
        getresgid(g, g + 1, g + 2);
        int same = u[0] == 1000 && u[1] == 1001 && u[2] == 1002 && g[0] == 2000 && g[1] == 2001 && g[2] == 2002
            && getgroups(8, list) == 2 && list[0] == 7 && list[1] == 77 && setuid(0) < 0;
        MUST(write(told[1], same ? "y" : "n", 1));
        _exit(0);
    }
    char byte;
    MUST(read(told[0], &byte, 1));
    MUST(fcntl(owned[0], F_SETOWN, getpid()));
    int memfd = MUST(syscall(SYS_memfd_create, "owned", 0));
    MUST(fchown(memfd, 300, 400));
    int segment = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    struct shmid_ds state;
    MUST(shmctl(segment, IPC_STAT, &state));
    state.shm_perm.uid = 500;
    state.shm_perm.gid = 600;
    MUST(shmctl(segment, IPC_SET, &state));
    int ghost = MUST(open(in_work("ghost"), O_CREAT | O_RDWR, 0640));
    MUST(fchown(ghost, 700, 800));
    MUST(write(ghost, "boo", 3));
    MUST(unlink(in_work("ghost")));
    read_all("/proc/self/status", before, sizeof(before));
    ready();
    read_all("/proc/self/status", after, sizeof(after));
    for (const char **line = (const char *[]){ "\nUid:", "\nGid:", "\nGroups:", "\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:", "\nCapAmb:", NULL };
         *line; line++) {
        char *one = strstr(before, *line), *other = strstr(after, *line);
        size_t length = one ? strcspn(one + 1, "\n") + 1 : 0;
        if (!one || !other || strncmp(one, other, length))
            differ("%s differs: %.60s", *line + 1, other ? other + 1 : "gone");
    }
    read_all("/proc/self/uid_map", map, sizeof(map));
    unsigned inner, outer, count;
    CHECK(sscanf(map, "%u %u %u", &inner, &outer, &count) == 3 && inner == 0 && outer == 100000 && count == 65536);
    read_all("/proc/self/gid_map", map, sizeof(map));
    CHECK(sscanf(map, "%u %u %u", &inner, &outer, &count) == 3 && inner == 0 && outer == 200000 && count == 65536);
    CHECK(write(go[1], "g", 1) == 1 && read(told[0], &byte, 1) == 1 && byte == 'y');
    struct stat stat;
    CHECK(fstat(memfd, &stat) == 0 && stat.st_uid == 300 && stat.st_gid == 400);
    CHECK(fstat(ghost, &stat) == 0 && stat.st_uid == 700 && stat.st_gid == 800 && stat.st_size == 3);
    CHECK(shmctl(segment, IPC_STAT, &state) == 0 && state.shm_perm.uid == 500 && state.shm_perm.gid == 600 && state.shm_perm.cuid == 0);
    CHECK(fcntl(owned[0], F_GETOWN) == getpid());
    uid_t ids[2] = { 9, 9 };
    CHECK(fcntl(owned[0], 17 /* F_GETOWNER_UIDS */, ids) == 0 && ids[0] == 0 && ids[1] == 0);
    CHECK(sethostname("still-root-here", 15) == 0);
    CHECK(wait(NULL) == child);
    return finish();
}
