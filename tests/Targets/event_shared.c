// Every kind of descriptor that stands for no file's content: each shared by two processes, duplicated and close-on-exec within one, beside
// another one of its kind that is neither.
#include "flight.h"
#include <mqueue.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <termios.h>

enum { EVENTS, EPOLL, SIGNALS, TIMER, INOTIFY, FANOTIFY, PIDFD, NAMESPACE, MASTER, SLAVE, PLACE, GROUP, MEMORY, QUEUE, KINDS };
enum { COPIES = 60, CHILDS = 100 };
static int masters[2];

static int make(int kind, int which)
{
    char name[64];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    switch (kind) {
    case EVENTS: return eventfd(which, 0);
    case EPOLL: return epoll_create1(0);
    case SIGNALS: return signalfd(-1, &set, 0);
    case TIMER: return timerfd_create(CLOCK_MONOTONIC, 0);
    case INOTIFY: return inotify_init1(0);
    case FANOTIFY: return fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
    case PIDFD: return syscall(SYS_pidfd_open, getpid(), 0);
    case NAMESPACE: return open("/proc/self/ns/uts", O_RDONLY);
    case MASTER:
        masters[which] = MUST(posix_openpt(O_RDWR | O_NOCTTY));
        MUST(unlockpt(masters[which]));
        return masters[which];
    case SLAVE: return ioctl(masters[which], TIOCGPTPEER, O_RDWR | O_NOCTTY);
    case PLACE: return open(work, O_RDONLY | O_DIRECTORY);
    case GROUP: return open("/sys/fs/cgroup/cgroup.procs", O_RDONLY);
    case MEMORY: return memfd_create("shared", 0);
    default:
        snprintf(name, sizeof(name), "/firn-shared-%d-%d", getpid(), which);
        mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
        mq_unlink(name);
        return queue;
    }
}

// Whether a descriptor of one process and one of another stand for one open file description.
static int same(int pid, int fd, int other, int its)
{
    return syscall(SYS_kcmp, pid, other, 0, fd, its) == 0;
}

int main(int argc, char **argv)
{
    int shared[KINDS], alone[KINDS], gate[2];
    char byte;
    begin(argv);
    for (int k = 0; k < KINDS; k++) {
        shared[k] = make(k, 0);
        alone[k] = make(k, 1);
        if (shared[k] >= 0)
            MUST(dup3(shared[k], COPIES + k, O_CLOEXEC));
    }
    MUST(pipe(gate));
    int child = MUST(fork());
    if (!child) {
        for (int k = 0; k < KINDS; k++)
            if (shared[k] >= 0) {
                MUST(dup3(shared[k], CHILDS + k, k & 1 ? O_CLOEXEC : 0));
                close(shared[k]);
                close(alone[k]);
                close(COPIES + k);
            }
        close(gate[1]);
        publish("shared", "");
        // The end of the pipe is that of the parent.
        if (read(gate[0], &byte, 1))
            _exit(1);
        for (int k = 0; k < KINDS; k++)
            if (shared[k] >= 0 && fcntl(CHILDS + k, F_GETFD) != (k & 1 ? FD_CLOEXEC : 0))
                _exit(2);
        _exit(0);
    }
    close(gate[0]);
    while (access(in_work("shared"), F_OK))
        usleep(1000);
    ready();
    for (int k = 0; k < KINDS; k++) {
        if (shared[k] < 0) {
            if (k != FANOTIFY && k != GROUP)
                differ("kind %d could not be made", k);
            continue;
        }
        if (!same_file(shared[k], COPIES + k) || !same(getpid(), shared[k], child, CHILDS + k))
            differ("kind %d: the descriptions are no longer one", k);
        if (same_file(shared[k], alone[k]) || same(getpid(), alone[k], child, CHILDS + k))
            differ("kind %d: two descriptions have become one", k);
        if (fcntl(shared[k], F_GETFD) != (k == QUEUE || k == PIDFD ? FD_CLOEXEC : 0) || fcntl(COPIES + k, F_GETFD) != FD_CLOEXEC)
            differ("kind %d: close-on-exec", k);
    }
    close(gate[1]);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
