// User namespaces below the tree's: with a map of one and with several ranges, made by another user, without any map; what they own: a
// sandbox with network, mounts, names and a pid namespace, whose init is born in it; threads, capabilities and groups within; a task in one
// whose child is the init of a pid namespace.
#include "reports.h"
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { NS_GET_USERNS = 0xb701, NS_GET_OWNER_UID = 0xb704 };

static void put(int process, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", process, name);
    int fd = MUST(open(path, O_WRONLY | O_CLOEXEC));
    MUST(write(fd, text, strlen(text)));
    close(fd);
}

static int file_is(const char *path, const char *expected)
{
    char text[256] = "", *to = text;
    int fd = open(path, O_RDONLY | O_CLOEXEC), length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    close(fd);
    // Columns are filled up with spaces.
    for (int i = 0; i < length; i++)
        if (text[i] != ' ' || (to > text && to[-1] != ' ' && to[-1] != '\n'))
            *to++ = text[i];
    *to = 0;
    return !strcmp(text, expected);
}

// The number of the user namespace that owns a namespace of this task.
static ino_t owner_of(const char *name)
{
    char path[64];
    struct stat s = { 0 };
    snprintf(path, sizeof(path), "/proc/thread-self/ns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC), owner = ioctl(fd, NS_GET_USERNS);
    if (owner < 0 || fstat(owner, &s))
        s.st_ino = 0;
    close(owner);
    close(fd);
    return s.st_ino;
}

static ino_t own_user(void)
{
    struct stat s = { 0 };
    stat("/proc/thread-self/ns/user", &s);
    return s.st_ino;
}

static int owner_user(void)
{
    uid_t user = -1;
    int fd = open("/proc/thread-self/ns/user", O_RDONLY | O_CLOEXEC);
    if (ioctl(fd, NS_GET_OWNER_UID, &user))
        user = -2;
    close(fd);
    return user;
}

static unsigned long long effective(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    return syscall(SYS_capget, &header, data) ? 0 : data[0].effective | (unsigned long long)data[1].effective << 32;
}

static int has(int capability)
{
    return effective() >> capability & 1;
}

static void drop(int capability)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    MUST(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
    MUST(syscall(SYS_capget, &header, data));
    data[0].effective &= ~(1u << capability);
    data[0].permitted &= ~(1u << capability);
    MUST(syscall(SYS_capset, &header, data));
}

static void *wait_there(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void sandboxed_child(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, wait_there, NULL);
    pid_t self = getpid();
    drop(CAP_SYS_PTRACE);
    say_ready();
    wait_for_go();
    CHECK(getpid() == self && getppid() == 1 && getsid(0) == 1 && getuid() == 0);
    CHECK(!has(CAP_SYS_PTRACE) && prctl(PR_CAPBSET_READ, CAP_SYS_PTRACE, 0, 0, 0) == 0 && has(CAP_NET_ADMIN));
    report();
    _exit(0);
}

// The init of a sandbox: it was born in the user namespace with all the others, as by clone(2).
static void sandbox(int gate)
{
    char byte;
    MUST(read(gate, &byte, 1));
    close(gate);
    MUST(setgid(0));
    MUST(setuid(0));
    setsid();
    MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    MUST(mount("tmpfs", "/mnt", "tmpfs", 0, "size=1m"));
    int kept = MUST(open("/mnt/kept", O_CREAT | O_RDWR | O_CLOEXEC, 0644));
    MUST(write(kept, "kept", 4));
    MUST(sethostname("sandbox", 7));
    pid_t child = MUST(fork());
    if (child == 0)
        sandboxed_child();
    pid_t other = MUST(fork());
    if (other == 0) {
        MUST(setgroups(0, NULL));
        MUST(setresgid(7, 7, 7));
        MUST(setresuid(5, 5, 5));
        say_ready();
        wait_for_go();
        CHECK(getuid() == 5 && getgid() == 7 && !effective() && sethostname("x", 1) && errno == EPERM);
        report();
        _exit(0);
    }
    say_ready();
    wait_for_go();
    char host[65] = "", text[8] = "";
    struct stat s;
    CHECK(getpid() == 1 && getsid(0) == 1 && getuid() == 0 && owner_user() == 65534);
    ino_t user = own_user();
    CHECK(owner_of("net") == user && owner_of("uts") == user && owner_of("mnt") == user && owner_of("pid") == user);
    CHECK(file_is("/proc/self/uid_map", "0 100000 1000\n1000 300000 5\n") && file_is("/proc/self/setgroups", "allow\n"));
    CHECK(!gethostname(host, sizeof(host)) && !strcmp(host, "sandbox") && !sethostname("changed", 7));
    CHECK(if_nametoindex("lo") == 1 && access("/proc/3", F_OK) == 0 && access("/proc/1/status", R_OK) == 0);
    CHECK(pread(kept, text, 8, 0) == 4 && !strcmp(text, "kept") && !stat("/mnt/kept", &s) && s.st_uid == 0);
    CHECK(!mount("tmpfs", "/mnt", "tmpfs", 0, "size=1m") && !umount("/mnt"));
    CHECK(has(CAP_SYS_ADMIN) && access("/proc/sys/kernel/panic", W_OK));
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    pid_t fresh = fork();
    if (fresh == 0)
        _exit(0);
    CHECK(fresh == 5 && waitpid(fresh, NULL, 0) == fresh);
    report();
    _exit(0);
}

static void start_sandbox(void)
{
    int gate[2];
    MUST(pipe2(gate, O_CLOEXEC));
    pid_t inner = MUST(syscall(SYS_clone,
        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, NULL));
    if (inner == 0)
        close(gate[1]), sandbox(gate[0]);
    put(inner, "uid_map", "0 100000 1000\n1000 300000 5\n");
    put(inner, "gid_map", "0 100000 1000\n");
    MUST(write(gate[1], "x", 1));
    close(gate[0]);
    close(gate[1]);
    say_ready();
    wait_for_go();
    int status;
    CHECK(has(CAP_SYS_ADMIN) && kill(inner, 0) == 0 && waitpid(inner, &status, 0) == inner && status == 0);
    report();
    _exit(0);
}

// Rootless, made by another user: as `unshare --map-root-user` by somebody, with threads and a child.
static void rootless(void)
{
    MUST(setgroups(0, NULL));
    MUST(setresgid(1234, 1234, 1234));
    MUST(setresuid(1234, 1234, 1234));
    MUST(prctl(PR_SET_DUMPABLE, 1));
    MUST(unshare(CLONE_NEWUSER));
    put(getpid(), "setgroups", "deny");
    put(getpid(), "uid_map", "0 1234 1");
    put(getpid(), "gid_map", "0 1234 1");
    pthread_t thread;
    pthread_create(&thread, NULL, wait_there, NULL);
    pid_t child = MUST(fork());
    if (child == 0) {
        pid_t self = getpid();
        MUST(unshare(CLONE_NEWUTS | CLONE_NEWIPC));
        MUST(sethostname("rootless", 8));
        say_ready();
        wait_for_go();
        char host[65] = "";
        CHECK(getpid() == self && owner_of("uts") == own_user() && owner_of("ipc") == own_user() && owner_of("net") != own_user());
        CHECK(!gethostname(host, sizeof(host)) && !strcmp(host, "rootless") && !sethostname("changed", 7));
        report();
        _exit(0);
    }
    say_ready();
    wait_for_go();
    CHECK(getuid() == 0 && getgid() == 0 && has(CAP_SYS_ADMIN) && owner_user() == 0);
    CHECK(file_is("/proc/self/uid_map", "0 1234 1\n") && file_is("/proc/self/setgroups", "deny\n"));
    CHECK(sethostname("x", 1) && errno == EPERM && setgroups(0, NULL) && errno == EPERM);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    report();
    _exit(0);
}

// Nobody within: no map at all.
static void unmapped(void)
{
    MUST(setresgid(4321, 4321, 4321));
    MUST(setresuid(4321, 4321, 4321));
    MUST(unshare(CLONE_NEWUSER));
    say_ready();
    wait_for_go();
    CHECK(getuid() == 65534 && geteuid() == 65534 && getgid() == 65534 && has(CAP_SYS_ADMIN) && file_is("/proc/self/uid_map", ""));
    report();
    _exit(0);
}

// As `unshare --user --map-root-user --pid --fork`: the parent of the init is in the user namespace, and not in the pid namespace.
static void with_init(void)
{
    MUST(unshare(CLONE_NEWUSER | CLONE_NEWPID));
    put(getpid(), "setgroups", "deny");
    put(getpid(), "uid_map", "0 0 1");
    put(getpid(), "gid_map", "0 0 1");
    pid_t inner = MUST(fork());
    if (inner == 0) {
        pid_t child = MUST(fork());
        if (child == 0)
            for (;;)
                pause();
        say_ready();
        wait_for_go();
        CHECK(getpid() == 1 && child == 2 && getuid() == 0 && kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        report();
        _exit(0);
    }
    say_ready();
    wait_for_go();
    int status;
    CHECK(getuid() == 0 && kill(inner, 0) == 0 && waitpid(inner, &status, 0) == inner && status == 0);
    report();
    _exit(0);
}

// Not where parts of /proc are masked, as in containers (fs/namespace.c, mount_too_revealing()).
static int can_mount_proc(void)
{
    int status = 1;
    pid_t child = MUST(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL));
    if (child == 0)
        _exit(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)
            || mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    MUST(waitpid(child, &status, 0));
    return status == 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    if (!can_mount_proc())
        return skip("no proc can be mounted in a user namespace here");
    begin_reports();
    if (MUST(fork()) == 0)
        start_sandbox();
    void (*others[])(void) = { rootless, unmapped, with_init };
    for (int i = 0; i < 3; i++)
        if (MUST(fork()) == 0)
            others[i]();
    gather_reports(9);
    while (wait(NULL) > 0)
        ;
    return finish();
}
