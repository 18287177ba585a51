// Threads and processes within system calls that wait without end: each goes on to wait, and gets what it waits for, and not EINTR.
#include "target.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum {
    READ_PIPE, WRITE_PIPE, READ_SOCKET, RECVMSG, ACCEPT, WAIT4, WAITID, EPOLL, EPOLL_PWAIT, POLL, PPOLL, SELECT, PSELECT, FUTEX, SIGWAIT,
    PAUSE, SIGSUSPEND, EVENT, SEMOP, MSGRCV, COUNT
};
static const char *names[] = {
    "read(pipe)", "write(pipe)", "read(socket)", "recvmsg", "accept", "wait4", "waitid", "epoll_wait", "epoll_pwait", "poll", "ppoll",
    "select", "pselect", "futex", "sigwaitinfo", "pause", "sigsuspend", "read(eventfd)", "semop", "msgrcv"
};
static volatile int started, ended[COUNT], released[COUNT], early[COUNT];
static long result[COUNT];
static int error[COUNT], ends[COUNT][2], children[2], word, semaphore, queue;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static pthread_t threads[COUNT];

static void nothing(int signal)
{
    (void)signal;
}

static long wait_in(int me)
{
    char bytes[65536] = { 0 };
    struct iovec part = { bytes, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    struct epoll_event event = { .events = EPOLLIN };
    struct pollfd polled = { ends[me][0], POLLIN, 0 };
    struct { long type; char text[8]; } letter;
    struct sembuf down = { 0, -1, 0 };
    sigset_t set;
    fd_set read_set;
    siginfo_t info;
    int epoll;
    FD_ZERO(&read_set);
    FD_SET(ends[me][0], &read_set);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    switch (me) {
    case READ_PIPE: case READ_SOCKET:
        return read(ends[me][0], bytes, 1);
    case WRITE_PIPE:
        return write(ends[me][1], bytes, sizeof bytes) + write(ends[me][1], bytes, 1) - sizeof bytes;
    case RECVMSG:
        return recvmsg(ends[me][0], &message, 0);
    case ACCEPT:
        return accept(ends[me][0], NULL, NULL) > 0;
    case WAIT4:
        return waitpid(children[0], NULL, 0) == children[0];
    case WAITID:
        return waitid(P_PID, children[1], &info, WEXITED) == 0;
    case EPOLL: case EPOLL_PWAIT:
        epoll = epoll_create1(0);
        epoll_ctl(epoll, EPOLL_CTL_ADD, ends[me][0], &event);
        return me == EPOLL ? epoll_wait(epoll, &event, 1, -1) : epoll_pwait(epoll, &event, 1, -1, &set);
    case POLL:
        return poll(&polled, 1, -1);
    case PPOLL:
        return ppoll(&polled, 1, NULL, &set);
    case SELECT:
        return select(ends[me][0] + 1, &read_set, NULL, NULL, NULL);
    case PSELECT:
        return pselect(ends[me][0] + 1, &read_set, NULL, NULL, NULL, &set);
    case FUTEX:
        return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL) == 0;
    case SIGWAIT:
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + 1);
        return sigwaitinfo(&set, NULL) == SIGRTMIN + 1;
    case PAUSE:
        return pause() == -1 && errno == EINTR;
    case SIGSUSPEND:
        return sigsuspend(&set) == -1 && errno == EINTR;
    case EVENT:
        return read(ends[me][0], bytes, 8) == 8;
    case SEMOP:
        return semop(semaphore, &down, 1) == 0;
    default:
        return msgrcv(queue, &letter, sizeof letter.text, 0, 0) == 1;
    }
}

static void *run(void *argument)
{
    int me = (int)(long)argument;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    if (me == SIGSUSPEND)
        sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    __sync_fetch_and_add(&started, 1);
    result[me] = wait_in(me);
    error[me] = errno;
    early[me] = !released[me];
    ended[me] = 1;
    return NULL;
}

static void release(int me)
{
    char bytes[65536];
    struct { long type; char text[8]; } letter = { 1, "x" };
    struct sembuf up = { 0, 1, 0 };
    long one = 1;
    int client;
    released[me] = 1;
    switch (me) {
    case WRITE_PIPE:
        CHECK(read(ends[me][0], bytes, sizeof bytes) > 0);
        break;
    case ACCEPT:
        client = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect(client, (void *)&address, sizeof address) == 0);
        break;
    case WAIT4: case WAITID:
        kill(children[me - WAIT4], SIGKILL);
        break;
    case FUTEX:
        while (!ended[me] && syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1) == 0)
            usleep(1000);
        break;
    case SIGWAIT:
        pthread_kill(threads[me], SIGRTMIN + 1);
        break;
    case PAUSE: case SIGSUSPEND:
        pthread_kill(threads[me], SIGUSR2);
        break;
    case EVENT:
        CHECK(write(ends[me][0], &one, 8) == 8);
        break;
    case SEMOP:
        CHECK(semop(semaphore, &up, 1) == 0);
        break;
    case MSGRCV:
        CHECK(msgsnd(queue, &letter, 1, 0) == 0);
        break;
    default:
        CHECK(write(ends[me][1], "x", 1) == 1);
    }
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", work);
    sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = nothing }, NULL);
    for (int i = 0; i < 2; i++)
        if (!(children[i] = MUST(fork())))
            for (;;)
                pause();
    semaphore = MUST(semget(IPC_PRIVATE, 1, 0600));
    queue = MUST(msgget(IPC_PRIVATE, 0600));
    for (int i = 0; i < COUNT; i++) {
        if (i == READ_SOCKET || i == RECVMSG)
            MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]));
        else if (i == ACCEPT) {
            ends[i][0] = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
            MUST(bind(ends[i][0], (void *)&address, sizeof address));
            MUST(listen(ends[i][0], 1));
        } else if (i == EVENT)
            ends[i][0] = MUST(eventfd(0, 0));
        else
            MUST(pipe(ends[i]));
        pthread_create(&threads[i], NULL, run, (void *)(long)i);
    }
    while (started < COUNT)
        usleep(1000);
    usleep(300000);
    ready();
    usleep(50000);
    for (int i = 0; i < COUNT; i++)
        release(i);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        if (result[i] != 1 || early[i])
            differ("%s: %ld (%s)%s", names[i], result[i], strerror(error[i]), early[i] ? ", too early" : "");
    }
    semctl(semaphore, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    return finish();
}
