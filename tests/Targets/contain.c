// Runs a program as the init of namespaces of its own: contain LETTERS PROGRAM ARGUMENT...
// p pid, u uts, i ipc, t time, n net, U user (ids from 100000 on), m mount: the host's root, /dev and /sys, with /proc, terminals and
// /dev/shm of its own, and nothing else that the host may have mounted. Ends when the program does.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void set(int pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        perror(path);
        exit(1);
    }
    close(fd);
}

static int mounts(void)
{
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("/", "/mnt", NULL, MS_BIND, NULL)
        || mount("/dev", "/mnt/dev", NULL, MS_BIND, NULL) || mount("/sys", "/mnt/sys", NULL, MS_BIND, NULL)
        || mount("devpts", "/mnt/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5")
        || mount("shm", "/mnt/dev/shm", "tmpfs", 0, NULL) || mount("proc", "/mnt/proc", "proc", 0, NULL)
        || chdir("/mnt") || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/");
}

int main(int argc, char **argv)
{
    int flags = 0, gate[2];
    for (const char *letter = argv[1]; *letter; letter++)
        switch (*letter) {
        case 'p': flags |= CLONE_NEWPID; break;
        case 'u': flags |= CLONE_NEWUTS; break;
        case 'i': flags |= CLONE_NEWIPC; break;
        case 'm': flags |= CLONE_NEWNS; break;
        case 'n': flags |= CLONE_NEWNET; break;
        case 'U': flags |= CLONE_NEWUSER; break;
        case 't':
            if (unshare(CLONE_NEWTIME)) {
                perror("unshare");
                return 1;
            }
            set(getpid(), "timens_offsets", "monotonic 1000000 0\nboottime 2000000 0\n");
            break;
        }
    if (pipe2(gate, O_CLOEXEC))
        return 1;
    struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
    int pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0) {
        perror("clone3");
        return 1;
    }
    if (pid == 0) {
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 1)
            _exit(1);
        if (flags & CLONE_NEWUSER && (setgid(0) || setuid(0)))
            _exit(2);
        if (flags & CLONE_NEWUTS && sethostname("contained", 9))
            _exit(3);
        if (flags & CLONE_NEWNS && mounts())
            _exit(4);
        setsid();
        execv(argv[2], argv + 2);
        _exit(127);
    }
    if (flags & CLONE_NEWUSER) {
        set(pid, "uid_map", "0 100000 65536\n");
        set(pid, "gid_map", "0 200000 65536\n");
    }
    if (write(gate[1], "x", 1) != 1)
        return 1;
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
