// Seccomp filters: two for all threads, one more for one of them, and their order.
#include "target.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static volatile int at_rest, go, other_failed;

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
    install(SYS_getppid, 71, 0);
    at_rest = 1;
    while (!go)
        usleep(10000);
    other_failed = error_of(SYS_getppid) != 71 || error_of(SYS_getpgrp) != 72 || error_of(SYS_getuid) != 73;
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    begin(argv);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    install(SYS_getuid, 73, 0);
    install(SYS_getpgrp, 72, SECCOMP_FILTER_FLAG_LOG);
    pthread_create(&thread, NULL, other, NULL);
    while (!at_rest)
        usleep(1000);
    ready();
    CHECK(error_of(SYS_getpgrp) == 72);
    CHECK(error_of(SYS_getuid) == 73);
    CHECK(error_of(SYS_getppid) == 0);
    CHECK(prctl(PR_GET_SECCOMP) == 2);
    go = 1;
    pthread_join(thread, NULL);
    CHECK(!other_failed);
    install(SYS_getgid, 74, 0);
    CHECK(error_of(SYS_getgid) == 74);
    return finish();
}
