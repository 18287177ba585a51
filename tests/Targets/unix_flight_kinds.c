// Every kind of descriptor in flight, held by nobody: each is received after the restore and does what it did.
#include "flight.h"
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <linux/netlink.h>

enum { FILE_, GONE, DIRECTORY, PATH, FIFO_, MASTER, SLAVE, MEMFD, EVENT, TIMER, SIGNAL, EPOLL, INOTIFY, PID, LISTENER, INET, UDP, NETLINK, COUNT };

int main(int argc, char **argv)
{
    begin(argv);
    int s[2], f[COUNT], got[64];
    char data[65];
    struct stat st;
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    sigset_t usr2;
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    f[FILE_] = MUST(open(in_work("file"), O_CREAT | O_RDWR | O_APPEND, 0600));
    MUST(write(f[FILE_], "0123", 4));
    f[GONE] = MUST(open(in_work("gone"), O_CREAT | O_RDWR, 0600));
    MUST(write(f[GONE], "ghost", 5));
    MUST(unlink(in_work("gone")));
    f[DIRECTORY] = MUST(open(work, O_RDONLY | O_DIRECTORY));
    f[PATH] = MUST(open(in_work("file"), O_PATH));
    MUST(mkfifo(in_work("fifo"), 0600));
    f[FIFO_] = MUST(open(in_work("fifo"), O_RDWR));
    MUST(write(f[FIFO_], "fifo", 4));
    f[MASTER] = MUST(posix_openpt(O_RDWR | O_NOCTTY));
    MUST(grantpt(f[MASTER]));
    MUST(unlockpt(f[MASTER]));
    f[SLAVE] = MUST(open(ptsname(f[MASTER]), O_RDWR | O_NOCTTY));
    f[MEMFD] = MUST(memfd_create("flight", 0));
    MUST(write(f[MEMFD], "memory", 6));
    f[EVENT] = MUST(eventfd(7, EFD_SEMAPHORE));
    f[TIMER] = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    MUST(timerfd_settime(f[TIMER], 0, &(struct itimerspec){ { 0 }, { 1000, 0 } }, NULL));
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    MUST(sigprocmask(SIG_BLOCK, &usr2, NULL));
    f[SIGNAL] = MUST(signalfd(-1, &usr2, SFD_NONBLOCK));
    f[EPOLL] = MUST(epoll_create1(0));
    f[INOTIFY] = MUST(inotify_init1(IN_NONBLOCK));
    int watch = MUST(inotify_add_watch(f[INOTIFY], work, IN_CREATE));
    pid_t child = MUST(fork());
    if (child == 0) {
        wait_for_wake();
        _exit(5);
    }
    f[PID] = MUST(syscall(SYS_pidfd_open, child, 0));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work("sock"));
    f[LISTENER] = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(f[LISTENER], (void *)&a, sizeof(a)));
    MUST(listen(f[LISTENER], 3));
    f[INET] = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(bind(f[INET], (void *)&any, sizeof(any)));
    MUST(listen(f[INET], 2));
    f[UDP] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(bind(f[UDP], (void *)&any, sizeof(any)));
    f[NETLINK] = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    // The epoll watches one that is in flight itself, and was added under a number that is closed by then.
    MUST(epoll_ctl(f[EPOLL], EPOLL_CTL_ADD, f[EVENT], &(struct epoll_event){ EPOLLIN, { .u32 = 77 } }));
    send_fds(s[0], "all", 3, f, COUNT);
    for (int i = 0; i < COUNT; i++)
        close(f[i]);
    ready();
    CHECK(receive_fds(s[1], data, 64, got, NULL) == COUNT && !strcmp(data, "all"));
    CHECK(write(got[FILE_], "4", 1) == 1 && lseek(got[FILE_], 0, SEEK_CUR) == 5 && (fcntl(got[FILE_], F_GETFL) & O_APPEND));
    CHECK(pread(got[GONE], data, 5, 0) == 5 && !memcmp(data, "ghost", 5) && !fstat(got[GONE], &st) && st.st_nlink == 0);
    CHECK(fstatat(got[DIRECTORY], "file", &st, 0) == 0 && st.st_size == 5);
    CHECK((fcntl(got[PATH], F_GETFL) & O_PATH) && fstat(got[PATH], &st) == 0 && st.st_size == 5);
    CHECK(read(got[FIFO_], data, 64) == 4 && !memcmp(data, "fifo", 4));
    CHECK(write(got[MASTER], "line\n", 5) == 5 && read(got[SLAVE], data, 64) == 5 && !memcmp(data, "line\n", 5));
    CHECK(pread(got[MEMFD], data, 6, 0) == 6 && !memcmp(data, "memory", 6));
    struct epoll_event e = { 0 };
    CHECK(epoll_wait(got[EPOLL], &e, 1, 0) == 1 && e.data.u32 == 77);
    uint64_t count = 0;
    CHECK(read(got[EVENT], &count, 8) == 8 && count == 1);
    struct itimerspec left;
    CHECK(timerfd_gettime(got[TIMER], &left) == 0 && left.it_value.tv_sec > 300);
    struct signalfd_siginfo info;
    kill(getpid(), SIGUSR2);
    CHECK(read(got[SIGNAL], &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
    struct inotify_event event[8];
    int made = open(in_work("made"), O_CREAT | O_WRONLY, 0600);
    CHECK(made >= 0 && read(got[INOTIFY], event, sizeof(event)) > 0);
    // The file that says that this is ready was an event, which is lost with a restore.
    int next = (event[0].mask & IN_Q_OVERFLOW) != 0;
    CHECK(event[next].wd == watch && (event[next].mask & IN_CREATE));
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(client, (void *)&a, sizeof(a)) == 0 && accept(got[LISTENER], NULL, NULL) >= 0);
    socklen_t n = sizeof(any);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(getsockname(got[INET], (void *)&any, &n) == 0 && connect(stream, (void *)&any, n) == 0 && accept(got[INET], NULL, NULL) >= 0);
    CHECK(getsockname(got[UDP], (void *)&any, &n) == 0 && sendto(got[UDP], "self", 4, 0, (void *)&any, n) == 4);
    CHECK(readable(got[UDP], 1000) && recv(got[UDP], data, 64, 0) == 4);
    struct sockaddr_nl nl;
    n = sizeof(nl);
    CHECK(getsockname(got[NETLINK], (void *)&nl, &n) == 0 && nl.nl_family == AF_NETLINK);
    CHECK(!readable(got[PID], 0) && syscall(SYS_pidfd_send_signal, got[PID], SIGUSR1, NULL, 0) == 0 && readable(got[PID], 5000));
    siginfo_t ended = { 0 };
    CHECK(waitid(P_PIDFD, got[PID], &ended, WEXITED) == 0 && ended.si_pid == child && ended.si_status == 5);
    return finish();
}
