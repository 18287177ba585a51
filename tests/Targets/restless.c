// Makes threads and processes as fast as it can, all of them short-lived, and checks that each has done its work.
// Arguments: a file. Layout: see `checking`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS, FORKS, PARTS };
struct counters { uint32_t pid[2]; uint32_t ready; uint32_t parts; _Atomic uint64_t count[8]; _Atomic uint32_t bad; char what[240]; };
static struct counters *shared;

static void fail(const char *what, long value)
{
    uint32_t none = 0;
    if (atomic_compare_exchange_strong(&shared->bad, &none, 1))
        snprintf(shared->what, sizeof(shared->what), "%s (%ld, errno %d)", what, value, errno);
    _exit(3);
}

static void *short_lived(void *value)
{
    return (void *)((long)value * 3);
}

static void *forks(void *none)
{
    for (long i = 0;; i++) {
        int status, pid = fork();
        if (pid == 0)
            _exit(i & 0x7f);
        if (pid < 0)
            fail("fork", pid);
        if (waitpid(pid, &status, 0) != pid)
            fail("waitpid", pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != (i & 0x7f))
            fail("status of a child", status);
        shared->count[FORKS]++;
    }
    return none;
}

int main(int count, char **arguments)
{
    int fd = open(arguments[count - 1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 4096) || (shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        return 2;
    pthread_t forker, thread;
    shared->parts = PARTS;
    shared->pid[0] = getpid();
    pthread_create(&forker, NULL, forks, NULL);
    shared->ready = 1;
    for (long i = 0;; i++) {
        void *result;
        int error = pthread_create(&thread, NULL, short_lived, (void *)i);
        if (error)
            fail("pthread_create", error);
        if (pthread_join(thread, &result) || (long)result != i * 3)
            fail("result of a thread", (long)result);
        shared->count[THREADS]++;
    }
}
