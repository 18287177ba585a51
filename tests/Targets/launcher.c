// The first process of a pid namespace: reaps all that ends, at once, and does what it is told over standard input, a line at a time.
// Fields are separated by \x1f. Answers are one line each.
//   start FLAGS STDIN STDOUT STDERR PROGRAM ARGUMENT...   starts a program ("s" in FLAGS: in a session of its own): "pid N"
//   wait PID      waits for its end: "exit STATUS NANOSECONDS", 128 and the signal where one killed it
//   kill PID N    sends a signal: "ok" or "errno N"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 256, MOST = 256 };
static struct { int pid, ended, status; long long begin, end; } kept[KEPT];
static int next;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void reap(void)
{
    int status, pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
        for (int i = 0; i < KEPT; i++)
            if (kept[i].pid == pid && !kept[i].ended) {
                kept[i].ended = 1;
                kept[i].end = now();
                kept[i].status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
}

static void start(char **field, int fields, const sigset_t *mask)
{
    static char *environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", NULL };
    long long begin = now();
    if (fields < 6) {
        printf("errno %d\n", EINVAL);
        return;
    }
    int pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        signal(SIGPIPE, SIG_DFL); // .NET ignores it, and what it starts would too
        signal(SIGHUP, SIG_DFL); // nohup and shells ignore these for what they start in the background
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        if (strchr(field[1], 's'))
            setsid();
        for (int fd = 0; fd < 3; fd++) {
            int opened = open(field[2 + fd], fd ? O_WRONLY | O_CREAT | O_APPEND : O_RDONLY, 0644);
            if (opened < 0 || dup2(opened, fd) < 0)
                _exit(126);
        }
        close_range(3, ~0U, 0);
        if (chdir("/"))
            _exit(126);
        environ = environment;
        execvp(field[5], field + 5);
        _exit(127);
    }
    for (int i = 0; i < KEPT; i++)
        if (kept[i].pid == pid)
            kept[i].pid = 0;
    kept[next].pid = pid;
    kept[next].ended = 0;
    kept[next].begin = begin;
    next = (next + 1) % KEPT;
    printf("pid %d\n", pid);
}

static int find(int pid)
{
    for (int i = 0; i < KEPT; i++)
        if (kept[i].pid == pid)
            return i;
    return -1;
}

static int serve(void)
{
    static char line[1 << 16];
    size_t length = 0;
    int waiting = -1;
    sigset_t children, before;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, &before);
    struct pollfd polled[2] = { { 0, POLLIN, 0 }, { signalfd(-1, &children, SFD_CLOEXEC), POLLIN, 0 } };
    for (;;) {
        reap();
        if (waiting >= 0 && kept[waiting].ended) {
            printf("exit %d %lld\n", kept[waiting].status, kept[waiting].end - kept[waiting].begin);
            kept[waiting].pid = 0;
            waiting = -1;
        }
        fflush(stdout);
        if (poll(polled, 2, -1) < 0)
            continue;
        if (polled[1].revents) {
            struct signalfd_siginfo information;
            if (read(polled[1].fd, &information, sizeof(information)) < 0)
                return 1;
        }
        if (!polled[0].revents)
            continue;
        ssize_t got = read(0, line + length, sizeof(line) - 1 - length);
        if (got <= 0)
            return 0;
        length += got;
        if (line[length - 1] != '\n')
            continue;
        line[length - 1] = 0;
        length = 0;
        char *field[MOST];
        int fields = 0;
        for (char *at = line; at && fields < MOST - 1;)
            field[fields++] = strsep(&at, "\x1f");
        field[fields] = NULL;
        if (!strcmp(field[0], "start"))
            start(field, fields, &before);
        else if (!strcmp(field[0], "wait") && fields == 2) {
            waiting = find(atoi(field[1]));
            if (waiting < 0)
                printf("errno %d\n", ECHILD);
        } else if (!strcmp(field[0], "kill") && fields == 3)
            printf(kill(atoi(field[1]), atoi(field[2])) ? "errno %d\n" : "ok\n", errno);
        else
            printf("errno %d\n", EINVAL);
    }
}

int main(void)
{
    if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)) {
        printf("errno %d\n", errno);
        return 1;
    }
    int init = fork();
    if (init == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL)) {
            printf("errno %d\n", errno);
            return 1;
        }
        setsid();
        _exit(serve());
    }
    printf("init %d\n", init);
    fflush(stdout);
    close(0);
    int status;
    waitpid(init, &status, 0);
    return 0;
}
