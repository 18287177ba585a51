// Ids within a pid namespace, wherever the kernel keeps or tells them; and new ones go on above.
// contain: p
#include "target.h"
#include <pthread.h>
#include <sys/syscall.h>

static pid_t thread_id;
static pthread_t thread;

static void *wait_there(void *unused)
{
    thread_id = gettid();
    publish("thread", "");
    for (;;)
        pause();
    return unused;
}

int main(int argc, char **argv)
{
    begin(argv);
    int go[2], told[2];
    MUST(pipe(go));
    MUST(pipe(told));
    for (int i = 0; i < 5; i++)
        if (MUST(fork()) == 0)
            _exit(0);
        else
            wait(NULL);
    pid_t child = MUST(fork());
    if (child == 0) {
        // The leader of a group, with a child of its own in it, and a child in a session of its own.
        setpgid(0, 0);
        pid_t grandchild = MUST(fork());
        if (grandchild == 0)
            for (;;)
                pause();
        pid_t leader = MUST(fork());
        if (leader == 0) {
            setsid();
            for (;;)
                pause();
        }
        char byte;
        int ids[4] = { getpid(), getpgid(grandchild), grandchild, leader };
        MUST(write(told[1], ids, sizeof(ids)));
        MUST(read(go[0], &byte, 1));
        int after[4] = { getpid(), getpgid(grandchild), getsid(leader), getppid() };
        MUST(write(told[1], after, sizeof(after)));
        kill(grandchild, SIGKILL);
        kill(leader, SIGKILL);
        _exit(0);
    }
    int ids[4], after[4];
    MUST(read(told[0], ids, sizeof(ids)));
    usleep(20000);

    // A signal that waits, from the child; an owner of a pipe; a timer that signals a thread.
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigaddset(&blocked, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    pid_t sender = MUST(fork());
    if (sender == 0) {
        sigqueue(getppid(), SIGRTMIN, (union sigval){ .sival_int = 5 });
        _exit(0);
    }
    waitpid(sender, NULL, 0);
    int owned[2];
    MUST(pipe(owned));
    MUST(fcntl(owned[0], F_SETOWN, child));
    int group[2];
    MUST(pipe(group));
    MUST(fcntl(group[0], F_SETOWN, -child));
    int pidfd = MUST(syscall(SYS_pidfd_open, child, 0));
    pthread_create(&thread, NULL, wait_there, NULL);
    while (access(in_work("thread"), F_OK))
        usleep(1000);
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1 };
    event._sigev_un._tid = thread_id;
    timer_t timer;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec far = { .it_value = { .tv_sec = 1000 } };
    MUST(timer_settime(timer, 0, &far, NULL));
    pid_t zombie = MUST(fork());
    if (zombie == 0)
        _exit(9);
    siginfo_t information;
    MUST(waitid(P_PID, zombie, &information, WEXITED | WNOWAIT));

    ready();

    CHECK(getpid() == 1 && getppid() == 0 && getpgid(0) == 1 && getsid(0) == 1);
    CHECK(getpgid(child) == child && ids[0] == child && ids[1] == child);
    struct timespec now = { 0 };
    CHECK(sigtimedwait(&blocked, &information, &now) == SIGRTMIN && information.si_pid == sender && information.si_value.sival_int == 5);
    CHECK(fcntl(owned[0], F_GETOWN) == child && fcntl(group[0], F_GETOWN) == -child);
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0);
    CHECK(syscall(SYS_tgkill, 1, thread_id, 0) == 0);
    struct itimerspec left;
    CHECK(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec > 700);
    CHECK(write(go[1], "x", 1) == 1 && read(told[0], after, sizeof(after)) == sizeof(after));
    CHECK(after[0] == child && after[1] == child && after[2] == ids[3] && after[3] == 1);
    int status;
    CHECK(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 9);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    pid_t fresh = fork();
    if (fresh == 0)
        _exit(0);
    CHECK(fresh > zombie);
    waitpid(fresh, NULL, 0);
    return finish();
}
