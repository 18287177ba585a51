// Pid namespaces below the tree's, two deep: ids of tasks, threads, groups and sessions in each; an init with children, an orphan, and a
// zombie; /proc of the inner ones; a task that has come in from outside; one whose next child is to be there; one whose next is to be
// in a namespace that nobody is in yet; what names tasks by their ids: signals that wait, timers, owners of files, pidfds.
#include "reports.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

static int proc_shows(pid_t self)
{
    char link[32] = "";
    int length = readlink("/proc/self", link, sizeof(link) - 1);
    return length > 0 && atoi(link) == self;
}

static void own_proc(void)
{
    MUST(unshare(CLONE_NEWNS));
    MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    // Something on it, as engines have it.
    MUST(mount("tmpfs", "/proc/acpi", "tmpfs", MS_RDONLY, "size=0k"));
    MUST(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL));
    MUST(mount("none", "/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
}

static int proc_is_covered(void)
{
    int is_covered = access("/proc/acpi/x", F_OK) && errno == ENOENT;
    return is_covered && access("/proc/sys/kernel/pid_max", R_OK) == 0 && access("/proc/sys/kernel/hostname", W_OK) && errno == EROFS;
}

static pid_t thread_id;

static void *wait_there(void *unused)
{
    __atomic_store_n(&thread_id, gettid(), __ATOMIC_SEQ_CST);
    for (;;)
        pause();
    return unused;
}

static void second_init(void)
{
    own_proc();
    pid_t child = MUST(fork());
    if (child == 0)
        for (;;)
            pause();
    say_ready();
    wait_for_go();
    CHECK(getpid() == 1 && getppid() == 0 && child == 2 && kill(child, 0) == 0);
    CHECK(getpgid(0) == 0 && getsid(0) == 0 && getpgid(child) == 0);
    CHECK(proc_shows(1) && proc_is_covered() && access("/proc/2", F_OK) == 0 && access("/proc/3", F_OK));
    report();
    _exit(0);
}

// A group with a thread, and a namespace further down.
static void member(int leads)
{
    pthread_t thread;
    if (leads)
        MUST(setpgid(0, 0));
    pid_t self = getpid(), group = getpgid(0);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    pthread_create(&thread, NULL, wait_there, NULL);
    while (!__atomic_load_n(&thread_id, __ATOMIC_SEQ_CST))
        usleep(1000);
    pid_t tid = thread_id;
    sigqueue(self, SIGRTMIN, (union sigval){ .sival_int = 7 });
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1 };
    event._sigev_un._tid = tid;
    timer_t timer;
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec far = { .it_value = { .tv_sec = 1000 } };
    MUST(timer_settime(timer, 0, &far, NULL));
    pid_t second = 0;
    if (leads) {
        MUST(unshare(CLONE_NEWPID));
        if ((second = MUST(fork())) == 0)
            second_init();
    }
    say_ready();
    wait_for_go();
    siginfo_t information;
    struct timespec now = { 0 };
    CHECK(getpid() == self && getpgid(0) == group && (!leads || group == self) && getppid() == 1);
    CHECK(syscall(SYS_tgkill, self, tid, 0) == 0);
    CHECK(sigtimedwait(&blocked, &information, &now) == SIGRTMIN && information.si_pid == self && information.si_value.sival_int == 7);
    struct itimerspec left;
    CHECK(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec > 700);
    if (second) {
        int status;
        CHECK(kill(second, 0) == 0 && getpgid(second) == self);
        CHECK(waitpid(second, &status, 0) == second && status == 0);
    }
    report();
    _exit(0);
}

static void init(void)
{
    own_proc();
    pid_t plain = MUST(fork());
    if (plain == 0)
        member(0);
    pid_t leader = MUST(fork());
    if (leader == 0)
        member(1);
    // A session whose leader is gone, and a child of it that was adopted.
    int ids[2];
    pid_t orphan;
    MUST(pipe(ids));
    pid_t gone = MUST(fork());
    if (gone == 0) {
        setsid();
        pid_t child = MUST(fork());
        if (child == 0)
            for (;;)
                pause();
        MUST(write(ids[1], &child, sizeof(child)));
        _exit(0);
    }
    MUST(read(ids[0], &orphan, sizeof(orphan)));
    MUST(waitpid(gone, NULL, 0));
    pid_t zombie = MUST(fork());
    if (zombie == 0)
        _exit(9);
    siginfo_t information;
    MUST(waitid(P_PID, zombie, &information, WEXITED | WNOWAIT));
    MUST(fcntl(ids[0], F_SETOWN, leader));
    MUST(fcntl(ids[1], F_SETOWN, -leader));
    int pidfd = MUST(syscall(SYS_pidfd_open, leader, 0));
    say_ready();
    wait_for_go();
    CHECK(getpid() == 1 && getppid() == 0 && getpgid(0) == 0 && getsid(0) == 0);
    CHECK(getpgid(plain) == 0 && getpgid(leader) == leader && getsid(leader) == 0);
    CHECK(getsid(orphan) == gone && getpgid(orphan) == gone && kill(gone, 0) == -1);
    CHECK(fcntl(ids[0], F_GETOWN) == leader && fcntl(ids[1], F_GETOWN) == -leader);
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0);
    int status;
    CHECK(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 9);
    CHECK(proc_shows(1) && proc_is_covered() && access("/proc/2", F_OK) == 0);
    CHECK(waitpid(plain, &status, 0) == plain && status == 0);
    CHECK(waitpid(leader, &status, 0) == leader && status == 0);
    pid_t fresh = fork();
    if (fresh == 0)
        _exit(0);
    CHECK(fresh > zombie && waitpid(fresh, NULL, 0) == fresh);
    report();
    // The others that are here end with it.
    wait_for_go();
    _exit(0);
}

static void outer(int number)
{
    char name[32];
    MUST(unshare(CLONE_NEWPID));
    pid_t inner = MUST(fork());
    if (inner == 0)
        init();
    snprintf(name, sizeof(name), "%d", inner);
    publish("inner", name);
    int pidfd = MUST(syscall(SYS_pidfd_open, inner, 0));
    say_ready();
    wait_for_go();
    CHECK(kill(inner, 0) == 0 && getpgid(inner) == number && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0);
    // What it forks now is still born in there.
    pid_t later = fork();
    if (later == 0)
        _exit(getppid() == 0 && getpid() > 1 && getpid() < 100 ? 0 : 1);
    int status;
    CHECK(waitpid(later, &status, 0) == later && status == 0);
    report();
    while (waitpid(inner, &status, 0) != inner)
        ;
    _exit(0);
}

static void visitor(pid_t inner)
{
    int pidfd = MUST(syscall(SYS_pidfd_open, inner, 0));
    MUST(setns(pidfd, CLONE_NEWPID));
    close(pidfd);
    pid_t child = MUST(fork());
    if (child == 0) {
        pid_t self = getpid();
        say_ready();
        wait_for_go();
        CHECK(getpid() == self && self < 100 && getppid() == 0 && kill(1, 0) == 0);
        report();
        _exit(0);
    }
    say_ready();
    wait_for_go();
    int status;
    CHECK(kill(inner, 0) == 0 && waitpid(child, &status, 0) == child && status == 0);
    report();
    _exit(0);
}

// Has a namespace for children, and no child.
static void childless(void)
{
    MUST(unshare(CLONE_NEWPID));
    say_ready();
    wait_for_go();
    pid_t child = fork();
    if (child == 0)
        _exit(getpid() == 1 ? 0 : 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    report();
    _exit(0);
}

static pid_t start(int group)
{
    pid_t child = MUST(fork());
    if (child == 0 && group)
        MUST(setpgid(0, 0));
    return child;
}

int main(int argc, char **argv)
{
    char name[32] = "";
    begin(argv);
    begin_reports();
    pid_t maker = start(1);
    if (maker == 0)
        outer(getpid());
    while (access(in_work("inner"), F_OK))
        usleep(1000);
    int fd = MUST(open(in_work("inner"), O_RDONLY | O_CLOEXEC));
    MUST(read(fd, name, sizeof(name) - 1));
    close(fd);
    if (start(0) == 0)
        visitor(atoi(name));
    if (start(0) == 0)
        childless();
    gather_reports(8);
    MUST(write(go[1], "x", 1));
    while (wait(NULL) > 0)
        ;
    return finish();
}
