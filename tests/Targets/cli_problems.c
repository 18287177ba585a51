// Four things that stand in the way of a dump, each of another kind: `firn check --pid` must list them all at once. SIGUSR1: writes "ok".
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
        exit(1);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]))
        return 1;

    // file-locks
    int locked = open("locked", O_RDWR | O_CREAT, 0600);
    if (locked < 0 || flock(locked, LOCK_EX))
        return 2;

    // ghost-limit
    int ghost = open("ghost", O_RDWR | O_CREAT, 0600);
    char block[1 << 16] = { 1 };
    for (int i = 0; i < 32; i++)
        if (write(ghost, block, sizeof block) != sizeof block)
            return 3;
    unlink("ghost");

    // memfd-secret
    int secret = (int)syscall(447 /* memfd_secret */, 0);
    if (secret < 0 || ftruncate(secret, 1 << 16) || mmap(NULL, 1 << 16, PROT_READ, MAP_SHARED, secret, 0) == MAP_FAILED)
        return 4;
    close(secret);

    // file-system-context
    if (syscall(SYS_fsopen, "tmpfs", 0) < 0)
        return 5;

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    put("ready", "ready");
    int number;
    sigwait(&set, &number);
    put("result", "ok");
    pause();
}
