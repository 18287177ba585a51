// What every target shares. A target sets a state up, calls ready() and sleeps there; SIGUSR1 wakes it, it checks itself, and
// finish() writes "ok" or all that differs into the work directory.
#ifndef TARGET_H
#define TARGET_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *work;
static char differs[8192];

static inline const char *in_work(const char *name)
{
    static char path[4][512];
    static int next;
    char *p = path[next++ & 3];
    snprintf(p, 512, "%s/%s", work, name);
    return p;
}

static inline void differ(const char *format, ...)
{
    va_list args;
    size_t used = strlen(differs);
    va_start(args, format);
    vsnprintf(differs + used, sizeof(differs) - used - 2, format, args);
    va_end(args);
    strcat(differs, "\n");
}

#define CHECK(condition) do { if (!(condition)) differ("line %d: %s (errno %d)", __LINE__, #condition, errno); } while (0)
#define MUST(call) ({ long r_ = (long)(call); if (r_ < 0) { fprintf(stderr, "line %d: %s: %m\n", __LINE__, #call); _exit(2); } r_; })

static inline void publish(const char *name, const char *text)
{
    char temporary[64];
    snprintf(temporary, sizeof(temporary), ".%s", name);
    int fd = MUST(open(in_work(temporary), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644));
    MUST(write(fd, text, strlen(text)));
    close(fd);
    MUST(rename(in_work(temporary), in_work(name)));
}

static inline void begin(char **argv)
{
    sigset_t wake;
    work = argv[1];
    sigemptyset(&wake);
    sigaddset(&wake, SIGUSR1);
    sigprocmask(SIG_BLOCK, &wake, NULL);
}

static inline void wait_for_wake(void)
{
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, SIGUSR1);
    while (sigwaitinfo(&wake, NULL) != SIGUSR1)
        ;
}

static inline void ready(void)
{
    publish("ready", "");
    wait_for_wake();
}

// The first of 16 numbers, of Ethernet protocols for instance, that no other copy of the target has: they run at the same time in one
// network namespace, partly with the same pids.
static inline int own_numbers(void)
{
    unsigned short number;
    MUST(getrandom(&number, sizeof(number), 0));
    return 0x9000 + number % 0x6f0 * 16;
}

// For main to return: what is tested is not here.
static inline int skip(const char *reason)
{
    publish("skipped", reason);
    return 0;
}

static inline int finish(void)
{
    publish("result", differs[0] ? differs : "ok\n");
    return differs[0] != 0;
}

// Whether a descriptor becomes readable soon.
static inline int readable(int fd, int milliseconds)
{
    struct pollfd p = { fd, POLLIN, 0 };
    return poll(&p, 1, milliseconds) == 1 && (p.revents & POLLIN);
}
#endif
