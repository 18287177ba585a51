// Processes whose first thread has exited while others run: the root of the tree, and a child of it. The end of the child's last thread ends
// the process. Memory, descriptors, signals, timers and a grandchild are those of the process, as ever.
#include "target.h"
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>

static int pipe_ends[2], event, child;
static volatile int alarms;
static pthread_t first;

static void on_alarm(int signal __attribute__((unused)))
{
    alarms++;
}

static char state_of(int pid, int tid)
{
    char path[64], text[512], *end;
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    FILE *file = fopen(path, "r");
    if (!file)
        return '?';
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = 0;
    fclose(file);
    end = strrchr(text, ')');
    return end ? end[2] : '?';
}

// The last number of the line.
static int exit_code_of(int pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file))
        return -1;
    fclose(file);
    return atoi(strrchr(text, ' '));
}

static void wait_for_zombie(int pid)
{
    while (state_of(pid, pid) != 'Z')
        usleep(1000);
}

static void *last_of_child(void *unused)
{
    char byte;
    wait_for_zombie(getpid());
    int grandchild = MUST(fork());
    if (!grandchild) {
        MUST(read(pipe_ends[0], &byte, 1));
        _exit(byte);
    }
    publish("child", "");
    MUST(read(event, &(long){ 0 }, 8));
    int status;
    MUST(waitpid(grandchild, &status, 0));
    syscall(SYS_exit, WIFEXITED(status) && WEXITSTATUS(status) == 'g' ? 5 : 1);
    return unused;
}

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void *rest(void *unused)
{
    (void)unused;
    int status, self = getpid();
    long one = 1;
    pthread_t other;
    struct itimerval real = { { 0, 0 }, { 5000, 0 } }, left;
    timer_t timer;
    struct itimerspec times = { { 0, 0 }, { 6000, 0 } }, rests;
    sigset_t set;
    wait_for_zombie(self);
    pthread_create(&other, NULL, idle, NULL);
    while (access(in_work("child"), F_OK))
        usleep(1000);
    MUST(setitimer(ITIMER_REAL, &real, NULL));
    MUST(timer_create(CLOCK_MONOTONIC, NULL, &timer));
    MUST(timer_settime(timer, 0, &times, NULL));
    MUST(kill(self, SIGUSR2));
    ready();
    CHECK(getpid() == self && syscall(SYS_gettid) != self);
    CHECK(state_of(self, self) == 'Z');
    CHECK(state_of(child, child) == 'Z');
    CHECK(exit_code_of(child) == 7 << 8);
    CHECK(!getitimer(ITIMER_REAL, &left) && left.it_value.tv_sec > 3000);
    CHECK(!timer_gettime(timer, &rests) && rests.it_value.tv_sec > 4000);
    CHECK(!sigpending(&set) && sigismember(&set, SIGUSR2));
    CHECK(!pthread_kill(other, SIGALRM));
    while (!alarms)
        usleep(1000);
    CHECK(write(pipe_ends[1], "g", 1) == 1);
    CHECK(write(event, &one, 8) == 8);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) != 5)
        differ("the child has status %d", WEXITSTATUS(status));
    CHECK(!pthread_join(first, NULL));
    exit(finish());
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    sigset_t set;
    begin(argv);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    MUST(pipe(pipe_ends));
    event = MUST(eventfd(0, 0));
    signal(SIGALRM, on_alarm);
    first = pthread_self();
    child = MUST(fork());
    pthread_create(&thread, NULL, child ? rest : last_of_child, NULL);
    if (!child)
        syscall(SYS_exit, 7);
    pthread_exit(NULL);
}
