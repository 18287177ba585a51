// expect-refusal: mqueue-notify
// A POSIX message queue that tells by a signal when a message comes.
#include "target.h"
#include <mqueue.h>

int main(int argc, char **argv)
{
    struct mq_attr room = { .mq_maxmsg = 5, .mq_msgsize = 100 };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value = { .sival_int = 77 } };
    char name[64];
    begin(argv);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    snprintf(name, sizeof(name), "/firn-notify-%d", getpid());
    mqd_t queue = MUST(mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &room));
    MUST(mq_notify(queue, &event));
    ready();
    siginfo_t info = { 0 };
    CHECK(mq_send(queue, "x", 1, 1) == 0 && sigtimedwait(&set, &info, &(struct timespec){ 5, 0 }) == SIGUSR2 && info.si_value.sival_int == 77);
    mq_unlink(name);
    return finish();
}
