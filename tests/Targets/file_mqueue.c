// POSIX message queues that were unlinked, with messages, open several times and shared with a child; a new one has the name of one.
#include "target.h"
#include <mqueue.h>

int main(int argc, char **argv)
{
    struct mq_attr room = { .mq_maxmsg = 5, .mq_msgsize = 100 }, state;
    struct stat s;
    char name[64], second[64], got[100];
    unsigned priority;
    begin(argv);
    snprintf(name, sizeof(name), "/firn-%d", getpid());
    snprintf(second, sizeof(second), "/firn-%d-new", getpid());
    mqd_t queue = MUST(mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0640, &room)), reader = MUST(mq_open(name, O_RDONLY)), writer = MUST(mq_open(name, O_WRONLY | O_NONBLOCK));
    int copy = MUST(fcntl(queue, F_DUPFD_CLOEXEC, 60));
    MUST(fchown(queue, 3, 4));
    MUST(mq_unlink(name));
    mqd_t empty = MUST(mq_open(second, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &room));
    MUST(mq_unlink(second));
    MUST(mq_send(queue, "low", 3, 1));
    MUST(mq_send(queue, "high", 4, 7));
    MUST(mq_send(queue, "", 0, 0));
    int pid = MUST(fork());
    if (!pid) {
        wait_for_wake();
        _exit(mq_receive(reader, got, sizeof(got), &priority) == 4 && !memcmp(got, "high", 4) && priority == 7 ? 0 : 1);
    }
    ready();
    int status = -1;
    CHECK(mq_getattr(queue, &state) == 0 && state.mq_curmsgs == 3 && state.mq_maxmsg == 5 && state.mq_msgsize == 100 && state.mq_flags == O_NONBLOCK);
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && mq_receive(copy, got, sizeof(got), &priority) == 3 && !memcmp(got, "low", 3) && priority == 1);
    CHECK(mq_send(writer, "more", 4, 3) == 0 && mq_send(reader, "x", 1, 1) == -1 && errno == EBADF && mq_receive(reader, got, sizeof(got), &priority) == 4 && priority == 3);
    CHECK(mq_receive(queue, got, sizeof(got), &priority) == 0 && mq_receive(queue, got, sizeof(got), &priority) == -1 && errno == EAGAIN);
    CHECK(fstat(queue, &s) == 0 && s.st_nlink == 0 && s.st_uid == 3 && s.st_gid == 4 && (s.st_mode & 0777) == 0640 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    CHECK(mq_send(empty, "x", 1, 1) == 0 && mq_getattr(empty, &state) == 0 && state.mq_curmsgs == 1 && mq_open(name, O_RDONLY) == -1);
    return finish();
}
