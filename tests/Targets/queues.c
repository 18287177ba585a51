// gcc: -O2
// Sockets in whose queues much waits, and two processes that look all the time whether anybody has changed an option of them.
// Arguments: a file. Layout: see `checking`.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flight.h"

enum { PAIRS = 60, DATAGRAMS = 20, MESSAGES = 40 };
struct counters { uint32_t pid[2]; uint32_t ready; uint32_t parts; _Atomic uint64_t count[8]; _Atomic uint32_t bad; char what[240]; };
static struct counters *shared;
static int pairs[PAIRS][2], datagrams[DATAGRAMS];

static void must_be(int socket, int level, int option, int wanted, const char *name)
{
    int value = -99;
    socklen_t length = sizeof(value);
    uint32_t none = 0;
    if (getsockopt(socket, level, option, &value, &length) || value != wanted) {
        if (atomic_compare_exchange_strong(&shared->bad, &none, 1))
            snprintf(shared->what, sizeof(shared->what), "%s is %d (errno %d)", name, value, errno);
        _exit(3);
    }
}

static void watch(int part)
{
    for (;; shared->count[part]++) {
        for (int i = 0; i < PAIRS; i++) {
            must_be(pairs[i][1], SOL_SOCKET, SO_PASSCRED, 0, "SO_PASSCRED");
            must_be(pairs[i][1], SOL_SOCKET, SO_PEEK_OFF, -1, "SO_PEEK_OFF");
        }
        for (int i = 0; i < DATAGRAMS; i++) {
            must_be(datagrams[i], SOL_SOCKET, SO_PEEK_OFF, -1, "SO_PEEK_OFF");
            must_be(datagrams[i], IPPROTO_IP, IP_PKTINFO, 0, "IP_PKTINFO");
        }
        usleep(100);
    }
}

int main(int count, char **arguments)
{
    static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
    int fd = open(arguments[count - 1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 4096) || (shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        return 2;
    for (int i = 0; i < PAIRS; i++) {
        MUST(socketpair(AF_UNIX, types[i % 3], 0, pairs[i]));
        // A queue of datagrams takes no more than net.unix.max_dgram_qlen and one.
        for (int k = 0; k < (types[i % 3] == SOCK_DGRAM ? 9 : MESSAGES); k++)
            send_fds(pairs[i][0], "message", 7, &fd, i % 2 && k % 4 == 0);
    }
    for (int i = 0; i < DATAGRAMS; i++) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        datagrams[i] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
        MUST(bind(datagrams[i], (void *)&a, sizeof(a)));
        MUST(getsockname(datagrams[i], (void *)&a, &(socklen_t){ sizeof(a) }));
        for (int k = 0; k < MESSAGES; k++)
            MUST(sendto(datagrams[i], "datagram", 8, 0, (void *)&a, sizeof(a)));
    }
    shared->parts = 2;
    shared->pid[0] = getpid();
    int pid = fork();
    if (pid == 0)
        watch(1);
    shared->pid[1] = pid;
    shared->ready = 1;
    watch(0);
}
