// What the targets of task state share: say ready, wait for SIGUSR1 without touching any signal, say how it went.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *target_directory;
static volatile sig_atomic_t target_asked;

static void target_on_ask(int signal) { (void)signal; target_asked = 1; }

// Before any thread: SIGUSR1 is the question "are you as you were?".
static void target_begin(int argc, char **argv)
{
    if (argc != 2) exit(2);
    target_directory = argv[1];
    struct sigaction action = { .sa_handler = target_on_ask };
    sigaction(SIGUSR1, &action, NULL);
}

static void target_write(const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.new", target_directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) _exit(3);
    close(fd);
    char final[4096];
    snprintf(final, sizeof final, "%s/%s", target_directory, name);
    if (rename(path, final)) _exit(3);
}

static void target_ready(void) { target_write("ready", ""); }

// Sleeps by short naps: a question that comes between the look and the nap is seen after it.
static void target_wait(void)
{
    while (!target_asked) nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
}

static void target_fail(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text - 2, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof text - 2) length = sizeof text - 2;
    strcpy(text + length, "\n");
    target_write("result", text);
    _exit(1);
}

static void target_ok(void) { target_write("result", "ok\n"); _exit(0); }

#define CHECK(condition) do { if (!(condition)) target_fail("line %d: %s (errno %d)", __LINE__, #condition, errno); } while (0)
#define EQUAL(found, wanted) do { long long f_ = (long long)(found), w_ = (long long)(wanted); \
    if (f_ != w_) target_fail("line %d: %s is %lld (0x%llx), was %lld (0x%llx)", __LINE__, #found, f_, f_, w_, w_); } while (0)
