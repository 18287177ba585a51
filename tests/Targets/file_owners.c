// Who is signalled when a descriptor becomes ready, and by what: a process, a thread, a group; several descriptors, shared with a child.
#include "target.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int thread_id;
static void *sleeper(void *unused) { __atomic_store_n(&thread_id, syscall(SYS_gettid), __ATOMIC_SEQ_CST); while (1) pause(); return unused; }

int main(int argc, char **argv)
{
    begin(argv);
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 5; i++)
        sigaddset(&set, SIGRTMIN + i);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    while (!__atomic_load_n(&thread_id, __ATOMIC_SEQ_CST))
        usleep(1000);
    volatile int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pid = MUST(fork()), pipes[4][2], pair[2];
    if (!pid) {
        MUST(setpgid(0, 0));
        said[0] = 1;
        siginfo_t info = { 0 };
        int got;
        while ((got = sigtimedwait(&set, &info, &(struct timespec){ 300, 0 })) == -1 && errno == EINTR)
            ;
        said[1] = got;
        _exit(0);
    }
    while (said[0] != 1)
        usleep(1000);
    struct f_owner_ex owners[4] = { { F_OWNER_PID, getpid() }, { F_OWNER_TID, thread_id }, { F_OWNER_PGRP, pid }, { F_OWNER_PID, pid } }, now;
    for (int i = 0; i < 4; i++) {
        MUST(pipe(pipes[i]));
        MUST(fcntl(pipes[i][0], F_SETOWN_EX, &owners[i]));
        if (i < 3)
            MUST(fcntl(pipes[i][0], F_SETSIG, SIGRTMIN + i));
        if (i != 3)
            MUST(fcntl(pipes[i][0], F_SETFL, O_ASYNC));
    }
    int copy = MUST(fcntl(pipes[0][0], F_DUPFD_CLOEXEC, 60));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    MUST(fcntl(pair[0], F_SETOWN, getpid()));
    MUST(fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    int file = MUST(open(in_work("file"), O_CREAT | O_RDWR, 0600)), fifo;
    MUST(fcntl(file, F_SETOWN_EX, &owners[2]));
    MUST(fcntl(file, F_SETSIG, SIGRTMIN + 4));
    MUST(mkfifo(in_work("fifo"), 0600));
    fifo = MUST(open(in_work("fifo"), O_RDWR));
    MUST(fcntl(fifo, F_SETOWN, getpid()));
    MUST(fcntl(fifo, F_SETFL, O_ASYNC));
    ready();
    for (int i = 0; i < 4; i++) {
        CHECK(fcntl(pipes[i][0], F_GETOWN_EX, &now) == 0 && now.type == owners[i].type && now.pid == owners[i].pid);
        CHECK(fcntl(pipes[i][0], F_GETSIG) == (i < 3 ? SIGRTMIN + i : 0) && !(fcntl(pipes[i][0], F_GETFL) & O_ASYNC) == (i == 3));
    }
    CHECK(fcntl(copy, F_GETOWN_EX, &now) == 0 && now.pid == getpid() && fcntl(file, F_GETSIG) == SIGRTMIN + 4 && fcntl(file, F_GETOWN_EX, &now) == 0 && now.type == F_OWNER_PGRP && now.pid == pid);
    siginfo_t info = { 0 };
    struct timespec soon = { 5, 0 };
    CHECK(write(pipes[0][1], "x", 1) == 1 && sigtimedwait(&set, &info, &soon) == SIGRTMIN && info.si_fd == pipes[0][0] && info.si_code == POLL_IN);
    CHECK(write(pair[1], "x", 1) == 1 && sigtimedwait(&set, &info, &soon) == SIGIO && fcntl(pair[0], F_GETFL) & O_ASYNC);
    CHECK(write(fifo, "x", 1) == 1 && sigtimedwait(&set, &info, &soon) == SIGIO);
    sigset_t pending;
    CHECK(write(pipes[1][1], "x", 1) == 1 && sigpending(&pending) == 0 && !sigismember(&pending, SIGRTMIN + 1));
    char path[64], text[4096] = "", wanted[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/status", thread_id);
    FILE *status = fopen(path, "r");
    CHECK(fread(text, 1, sizeof(text) - 1, status) > 0);
    snprintf(wanted, sizeof(wanted), "SigPnd:\t%016llx", 1ull << (SIGRTMIN + 1 - 1));
    CHECK(strstr(text, wanted) != NULL);
    CHECK(write(pipes[2][1], "x", 1) == 1 && waitpid(pid, NULL, 0) == pid && said[1] == SIGRTMIN + 2);
    return finish();
}
