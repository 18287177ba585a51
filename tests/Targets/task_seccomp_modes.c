// Seccomp in a tree: strict mode in a process and in a thread, filters set for all threads at once, with flags, inherited by children, and
// others set since; a first thread that has exited under a filter.
#include "target.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int ask[2], answer[2];
static volatile int at_rest, go, failed, strict_went_on;

static void install(int number, int error, int flags)
{
    struct sock_filter code[] = {
        { BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 },
        { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number },
        { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error },
        { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
    };
    struct sock_fprog program = { 4, code };
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static int error_of(int number)
{
    errno = 0;
    return syscall(number) == -1 ? errno : 0;
}

static void *other(void *unused)
{
    __sync_fetch_and_add(&at_rest, 1);
    while (!go)
        usleep(10000);
    failed |= error_of(SYS_getppid) != 0 || error_of(SYS_getpgrp) != 72 || error_of(SYS_getgid) != 0;
    return unused;
}

static void *strict(void *unused)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    char byte;
    at_rest++;
    if (syscall(SYS_read, ask[0], &byte, 1) == 1)
        strict_went_on = byte;
    syscall(SYS_exit, 0);
    return unused;
}

// read(2), write(2) and exit(2) are all that it may do.
static void strict_child(int obeys)
{
    char byte;
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_write, answer[1], "r", 1);
    if (syscall(SYS_read, ask[0], &byte, 1) != 1 || !obeys)
        syscall(SYS_getpid);
    syscall(SYS_write, answer[1], &byte, 1);
    syscall(SYS_exit, 12);
}

static void *survivor(void *unused)
{
    char byte;
    syscall(SYS_write, answer[1], "r", 1);
    syscall(SYS_read, ask[0], &byte, 1);
    syscall(SYS_exit_group, error_of(SYS_getppid) == 71 && error_of(SYS_getuid) == 73 ? 13 : 1);
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t threads[2], strict_thread;
    int status, obeying, breaking, inheriting, headless;
    char byte = 0;
    begin(argv);
    MUST(pipe(ask));
    MUST(pipe(answer));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    pthread_create(&strict_thread, NULL, strict, NULL);
    while (at_rest < 1)
        usleep(1000);
    obeying = MUST(fork());
    if (!obeying)
        strict_child(1);
    MUST(read(answer[0], &byte, 1));
    breaking = MUST(fork());
    if (!breaking)
        strict_child(0);
    MUST(read(answer[0], &byte, 1));
    install(SYS_getpgrp, 72, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    headless = MUST(fork());
    if (!headless) {
        pthread_t thread;
        install(SYS_getuid, 73, 0);
        pthread_create(&thread, NULL, survivor, NULL);
        install(SYS_getppid, 71, SECCOMP_FILTER_FLAG_TSYNC);
        syscall(SYS_exit, 0);
    }
    MUST(read(answer[0], &byte, 1));
    pthread_create(&threads[0], NULL, other, NULL);
    pthread_create(&threads[1], NULL, other, NULL);
    while (at_rest < 3)
        usleep(1000);
    install(SYS_getppid, 71, SECCOMP_FILTER_FLAG_LOG);
    // The thread in strict mode has no part in it: each of the others gets its own.
    inheriting = MUST(fork());
    if (!inheriting) {
        install(SYS_getgid, 74, 0);
        MUST(write(answer[1], "r", 1));
        MUST(read(ask[0], &byte, 1));
        _exit(error_of(SYS_getppid) == 71 && error_of(SYS_getpgrp) == 72 && error_of(SYS_getgid) == 74 ? 14 : 1);
    }
    MUST(read(answer[0], &byte, 1));
    ready();
    CHECK(prctl(PR_GET_SECCOMP) == 2 && error_of(SYS_getppid) == 71 && error_of(SYS_getgid) == 0);
    MUST(write(ask[1], "xxxxx", 5));
    CHECK(waitpid(obeying, &status, 0) == obeying && WIFEXITED(status) && WEXITSTATUS(status) == 12);
    CHECK(waitpid(breaking, &status, 0) == breaking && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(waitpid(headless, &status, 0) == headless && WEXITSTATUS(status) == 13);
    CHECK(waitpid(inheriting, &status, 0) == inheriting && WEXITSTATUS(status) == 14);
    go = 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK(!failed);
    pthread_join(strict_thread, NULL);
    CHECK(strict_went_on == 'x');
    return finish();
}
