// Threads within system calls that wait for room or for what comes from elsewhere: connect to a listener that is full, POSIX message queues
// with and without an end of the time, linux-aio, the end of a child by its pidfd. Each goes on to wait after a restore, and gets what it
// waits for, and not EINTR.
#include "target.h"
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { CONNECT, RECEIVE, RECEIVE_IN_TIME, SEND, EVENTS, WAITID, COUNT };
static const char *names[] = { "connect", "mq_receive", "mq_timedreceive", "mq_send", "io_getevents", "waitid(pidfd)" };
static volatile int started, ended[COUNT], released[COUNT], early[COUNT];
static int result[COUNT], error[COUNT], listener, first, client, null, child, pidfd;
static mqd_t queues[COUNT];
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static aio_context_t context;

static int wait_in(int me)
{
    char letter[8];
    struct io_event event = { 0 };
    struct timespec end;
    siginfo_t info;
    switch (me) {
    case CONNECT:
        return connect(client, (void *)&address, sizeof address) == 0;
    case RECEIVE:
        return mq_receive(queues[me], letter, sizeof letter, NULL);
    case RECEIVE_IN_TIME:
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 3600;
        return mq_timedreceive(queues[me], letter, sizeof letter, NULL, &end);
    case SEND:
        return mq_send(queues[me], "xy", 2, 0) == 0;
    case WAITID:
        return waitid(3 /* P_PIDFD */, pidfd, &info, WEXITED) == 0 && info.si_pid == child && info.si_status == SIGKILL;
    default:
        return syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1 && event.data == 77;
    }
}

static void *run(void *argument)
{
    int me = (int)(long)argument;
    __sync_fetch_and_add(&started, 1);
    result[me] = wait_in(me);
    error[me] = errno;
    early[me] = !released[me];
    ended[me] = 1;
    return NULL;
}

static void release(int me)
{
    char letter[8];
    struct iocb request = { .aio_data = 77, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = null }, *list = &request;
    released[me] = 1;
    switch (me) {
    case CONNECT:
        CHECK(accept(listener, NULL, NULL) >= 0);
        break;
    case SEND:
        CHECK(mq_receive(queues[me], letter, sizeof letter, NULL) == 1);
        break;
    case WAITID:
        CHECK(kill(child, SIGKILL) == 0);
        break;
    case EVENTS:
        CHECK(syscall(SYS_io_submit, context, 1, &list) == 1);
        break;
    default:
        CHECK(mq_send(queues[me], "x", 1, 0) == 0);
    }
}

int main(int argc __attribute__((unused)), char **argv)
{
    struct mq_attr room = { .mq_maxmsg = 1, .mq_msgsize = 8 };
    pthread_t threads[COUNT];
    char name[64], letter[8];
    begin(argv);
    null = MUST(open("/dev/null", O_RDONLY));
    if (syscall(SYS_io_setup, 10, &context) < 0 && errno == ENOSYS)
        return skip("the kernel has no io_setup(2)");
    if (!(child = MUST(fork())))
        for (;;)
            pause();
    pidfd = MUST(syscall(SYS_pidfd_open, child, 0));
    for (int i = RECEIVE; i <= SEND; i++) {
        snprintf(name, sizeof name, "/firn-%d-blocked-%d", getpid(), i);
        queues[i] = MUST(mq_open(name, O_RDWR | O_CREAT, 0600, &room));
        MUST(mq_unlink(name));
    }
    MUST(mq_send(queues[SEND], "z", 1, 0));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", work);
    listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    first = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&address, sizeof address));
    MUST(listen(listener, 0));
    MUST(connect(first, (void *)&address, sizeof address));
    for (long i = 0; i < COUNT; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
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
            differ("%s: %d (%s)%s", names[i], result[i], strerror(error[i]), early[i] ? ", too early" : "");
    }
    CHECK(mq_receive(queues[SEND], letter, sizeof letter, NULL) == 2);
    int second = accept(listener, NULL, NULL);
    CHECK(second >= 0 && write(client, "hello", 5) == 5 && read(second, letter, sizeof letter) == 5);
    return finish();
}
