// Targets of the measurements. Each watches its own clock: SIGUSR1 makes it write the longest time between two looks, in nanoseconds,
// and begin anew.
//   clocked processes N FILE   fills 1 MiB, then forks N children that sleep
//   clocked sharers N FILE     fills 64 MiB, then forks N children that sleep
//   clocked threads N FILE     N threads that sleep
//   clocked mappings N FILE    N mappings, each with a page of content
//   clocked memory MIB FILE    fills so much memory (0: none)
//   clocked write MIB FILE     the limit of a dump: writes so many bytes and ends
//   clocked read MIB FILE      the limit of a restore: reads them into fresh memory and ends
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static void ask(int signal) { asked = signal; }
static void *rest(void *unused) { for (;;) pause(); return unused; }

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *fill(size_t size)
{
    if (!size)
        return NULL;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; at < size; at += 64)
        *(unsigned long *)(memory + at) = at * 2654435761UL + 1;
    return memory;
}

static void tell(const char *file, long long value)
{
    char temporary[4096];
    snprintf(temporary, sizeof(temporary), "%s.new", file);
    FILE *output = fopen(temporary, "w");
    fprintf(output, "%lld\n", value);
    fclose(output);
    rename(temporary, file);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const char *kind = argv[1], *file = argv[3];
    size_t number = strtoul(argv[2], NULL, 10), size = number << 20, chunk = 1 << 20;
    if (!strcmp(kind, "write")) {
        int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        char *memory = fill(chunk);
        for (size_t at = 0; at < size; at += chunk)
            if (write(fd, memory, chunk) != (ssize_t)chunk)
                return 1;
        return 0;
    }
    if (!strcmp(kind, "read")) {
        int fd = open(file, O_RDONLY);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t at = 0; at < size; at += chunk)
            if (read(fd, memory + at, chunk) != (ssize_t)chunk)
                return 1;
        return 0;
    }
    signal(SIGUSR1, ask);
    if (!strcmp(kind, "memory"))
        fill(size);
    else if (!strcmp(kind, "processes") || !strcmp(kind, "sharers")) {
        fill(*kind == 's' ? 64 << 20 : 1 << 20);
        for (size_t i = 0; i < number; i++)
            if (!fork())
                rest(NULL);
    } else if (!strcmp(kind, "threads")) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 65536);
        for (size_t i = 0; i < number; i++) {
            pthread_t thread;
            if (pthread_create(&thread, &attributes, rest, NULL))
                return 1;
        }
    } else if (!strcmp(kind, "mappings")) {
        char *memory = fill(number << 12);
        for (size_t i = 1; i < number; i += 2)
            if (mprotect(memory + (i << 12), 1 << 12, PROT_READ))
                return 1;
    } else
        return 2;
    tell(file, 0);
    struct timespec pause = { 0, 100000 };
    for (long long last = now(), longest = 0;;) {
        long long time = now();
        if (time - last > longest)
            longest = time - last;
        if (asked) {
            asked = 0;
            tell(file, longest);
            longest = 0;
            time = now();
        }
        last = time;
        nanosleep(&pause, NULL);
    }
}
