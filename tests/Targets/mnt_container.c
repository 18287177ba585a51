// The mounts of a container, as an engine makes them: a root of its own (the host's, bound), proc, sysfs, a tmpfs as /dev with nodes and
// links, devpts, shm, mqueue, cgroup, masked and read-only paths, bind mounts of directories and files.
#include "mounts.h"
#include <sys/sysmacros.h>

static char before[65536];

static void node(const char *path, int minor)
{
    MUST(mknod(path, S_IFCHR | 0666, makedev(1, minor)));
    MUST(chmod(path, 0666));
}

int main(int argc, char **argv)
{
    char root[256], text[64];
    struct stat s;
    const unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    begin(argv);
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    snprintf(root, sizeof(root), "%s/root", work);
    make_directory(root);
    bind_to("/", root, 0);
    MUST(chdir(root));
    MUST(mount("proc", "proc", "proc", safe, NULL));
    MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    node("dev/null", 3);
    node("dev/zero", 5);
    node("dev/full", 7);
    node("dev/random", 8);
    MUST(symlink("/proc/self/fd", "dev/fd"));
    MUST(symlink("/proc/self/fd/0", "dev/stdin"));
    MUST(symlink("pts/ptmx", "dev/ptmx"));
    MUST(mkdir("dev/pts", 0755));
    MUST(mkdir("dev/shm", 01777));
    MUST(mkdir("dev/mqueue", 0755));
    MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
    MUST(mount("shm", "dev/shm", "tmpfs", safe, "mode=1777,size=65536k"));
    MUST(mount("mqueue", "dev/mqueue", "mqueue", safe, NULL));
    MUST(mount("sysfs", "sys", "sysfs", safe | MS_RDONLY, NULL));
    MUST(mount("tmpfs", "sys/fs/cgroup", "tmpfs", safe, "mode=755"));
    MUST(mkdir("sys/fs/cgroup/unified", 0755));
    MUST(mkdir("sys/fs/cgroup/freezer", 0755));
    MUST(mount("cgroup2", "sys/fs/cgroup/unified", "cgroup2", safe | MS_RDONLY, NULL));
    MUST(mount("cgroup", "sys/fs/cgroup/freezer", "cgroup", safe | MS_RDONLY, "freezer"));
    MUST(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | safe, NULL));
    bind_to("proc/sys", "proc/sys", MS_RDONLY | safe);
    bind_to("proc/irq", "proc/irq", MS_RDONLY | safe);
    bind_to("dev/null", "proc/kallsyms", 0);
    bind_to("dev/null", "proc/kmsg", MS_RDONLY);
    MUST(mount("tmpfs", "proc/fs", "tmpfs", MS_RDONLY, "size=0k"));
    MUST(mount("tmpfs", "sys/firmware", "tmpfs", MS_RDONLY, "size=0k"));
    bind_to("usr/share", "mnt", MS_RDONLY | MS_NOATIME);
    bind_to("etc/hostname", "etc/hosts", 0);
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
    reopen_standard_streams();
    int shm = MUST(open("/dev/shm/open", O_CREAT | O_RDWR | O_CLOEXEC, 0640));
    MUST(write(shm, "kept", 4));
    int gone = MUST(open("/dev/shm/gone", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    MUST(write(gone, "nameless", 8));
    MUST(unlink("/dev/shm/gone"));
    int masked = MUST(open("/proc/kallsyms", O_RDONLY | O_CLOEXEC));
    snprintf(before, sizeof(before), "%s", describe_mounts());
    ready();
    compare_mounts(before, describe_mounts());
    CHECK(pread(shm, text, sizeof(text), 0) == 4 && !memcmp(text, "kept", 4));
    CHECK(stat("/dev/shm/open", &s) == 0 && (s.st_mode & 07777) == 0640 && s.st_size == 4);
    CHECK(pread(gone, text, sizeof(text), 0) == 8 && !memcmp(text, "nameless", 8));
    CHECK(fstat(gone, &s) == 0 && s.st_nlink == 0 && access("/dev/shm/gone", F_OK) == -1);
    CHECK(read(masked, text, sizeof(text)) == 0);
    CHECK(stat("/dev/zero", &s) == 0 && s.st_rdev == makedev(1, 5) && (s.st_mode & 07777) == 0666);
    CHECK(readlink("/dev/fd", text, sizeof(text)) == 13 && !memcmp(text, "/proc/self/fd", 13));
    CHECK(open("/dev/shm/new", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600) >= 0);
    CHECK(open("/proc/sys/kernel/hostname", O_WRONLY) == -1 && errno == EROFS);
    CHECK(open("/mnt/new", O_CREAT | O_RDWR, 0600) == -1 && errno == EROFS);
    CHECK(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC) >= 0 && access("/dev/pts/0", F_OK) == 0);
    CHECK(open("/dev/full", O_RDONLY | O_CLOEXEC) >= 0);
    return finish();
}
