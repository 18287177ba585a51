// A program that talks all the time over TCP connections between its two processes, and takes no error for an answer: what comes is what
// was sent, byte for byte, and options are what it has set. It counts in a file that others map, as `checking` does. Argument: the file.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 48, PIECE = 512, AHEAD = 8192 };
struct counters { uint32_t pid[2]; uint32_t ready; uint32_t parts; _Atomic uint64_t count[8]; _Atomic uint32_t bad; char what[240]; };

static struct counters *shared;

static void fail(int k, const char *what)
{
    uint32_t none = 0;
    int error = errno;
    if (atomic_compare_exchange_strong(&shared->bad, &none, 1))
        snprintf(shared->what, sizeof(shared->what), "process %d: %s: %s", k, what, strerror(error));
    _exit(3);
}

static uint8_t byte(int i, uint64_t at)
{
    return at * 7 + (at >> 8) + i;
}

// Each process sends on all its ends, and reads on them what the other has sent.
static void talk(int k, const int *ends)
{
    static uint64_t sent[CONNECTIONS], got[CONNECTIONS];
    uint8_t piece[PIECE];
    for (uint64_t round = 0;; round++) {
        for (int i = 0; i < CONNECTIONS; i++) {
            // Not further ahead than the other end is: else both would wait.
            if (sent[i] < got[i] + AHEAD) {
                for (int b = 0; b < PIECE; b++)
                    piece[b] = byte(i, sent[i] + b);
                ssize_t n = send(ends[i], piece, PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno != EAGAIN)
                    fail(k, "send");
                sent[i] += n > 0 ? n : 0;
            }
            ssize_t n = recv(ends[i], piece, PIECE, MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                fail(k, "recv");
            for (ssize_t b = 0; b < n; b++)
                if (piece[b] != byte(i, got[i]++))
                    fail(k, "other bytes");
            shared->count[k] += n > 0;
        }
        int i = round % CONNECTIONS, value = 0;
        socklen_t size = sizeof(value);
        if (getsockopt(ends[i], SOL_SOCKET, SO_REUSEADDR, &value, &size) || value != 1)
            fail(k, "SO_REUSEADDR");
        if (getsockopt(ends[i], SOL_SOCKET, SO_OOBINLINE, &value, &size) || value != 0)
            fail(k, "SO_OOBINLINE");
        usleep(200);
    }
}

int main(int count, char **arguments)
{
    int fd = open(arguments[count - 1], O_RDWR | O_CREAT | O_CLOEXEC, 0644), ends[2][CONNECTIONS], on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(a);
    if (fd < 0 || ftruncate(fd, 4096) || (shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        return 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (void *)&a, n) || listen(listener, 5) || getsockname(listener, (void *)&a, &n))
        return 2;
    for (int i = 0; i < CONNECTIONS; i++) {
        if ((ends[0][i] = socket(AF_INET, SOCK_STREAM, 0)) < 0 || connect(ends[0][i], (void *)&a, n)
            || (ends[1][i] = accept(listener, NULL, NULL)) < 0)
            return 2;
        for (int k = 0; k < 2; k++)
            setsockopt(ends[k][i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    int child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        talk(1, ends[1]);
    }
    shared->pid[0] = getpid();
    shared->pid[1] = child;
    shared->parts = 2;
    shared->ready = 1;
    talk(0, ends[0]);
}
