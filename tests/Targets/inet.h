// What targets with internet sockets share. All within the target: over the loopback.
#ifndef INET_H
#define INET_H
#include "target.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

static inline int get(int fd, int level, int option)
{
    int v = -1;
    socklen_t n = sizeof(v);
    return getsockopt(fd, level, option, &v, &n) == 0 ? v : -1;
}

static inline void set(int fd, int level, int option, int v)
{
    MUST(setsockopt(fd, level, option, &v, sizeof(v)));
}

static inline int state_of(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t n = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_state : -1;
}

// A listener at the loopback; at all addresses, also those of IPv4, if it is dual.
static inline int listening(int family, int dual)
{
    int fd = MUST(socket(family, SOCK_STREAM, 0));
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
    if (!dual)
        a6.sin6_addr = in6addr_loopback;
    MUST(family == AF_INET ? bind(fd, (void *)&a4, sizeof(a4)) : bind(fd, (void *)&a6, sizeof(a6)));
    MUST(listen(fd, 5));
    return fd;
}

// Another socket's own name, as one connects to it.
static inline socklen_t name_of(int listener, int family, struct sockaddr_in6 *a)
{
    socklen_t n = sizeof(*a);
    MUST(getsockname(listener, (void *)a, &n));
    if (family == AF_INET)
        *(struct sockaddr_in *)a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = a->sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    else
        a->sin6_addr = in6addr_loopback;
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(*a);
}

static inline void connected(int listener, int family, int *client, int *server)
{
    struct sockaddr_in6 a;
    socklen_t n = name_of(listener, family, &a);
    *client = MUST(socket(family, SOCK_STREAM, 0));
    MUST(connect(*client, (void *)&a, n));
    *server = MUST(accept(listener, NULL, NULL));
}

// Writes until nothing more goes in, and keeps a copy.
static inline size_t fill(int fd, char *copy, size_t room, unsigned seed)
{
    size_t done = 0;
    for (size_t i = 0; i < room; i++)
        copy[i] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
    for (int tries = 0; tries < 20 && done < room; tries++) {
        ssize_t n;
        while (done < room && (n = send(fd, copy + done, room - done, MSG_DONTWAIT)) > 0)
            done += (size_t)n;
        usleep(5000);
    }
    return done;
}

static inline int drains(int fd, const char *wanted, size_t length)
{
    static char got[1 << 23];
    size_t done = 0;
    while (done < length && readable(fd, 30000)) {
        ssize_t n = recv(fd, got + done, length - done, MSG_DONTWAIT);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done == length && !memcmp(got, wanted, length);
}

// Both ways more than is there already: windows, timers and sequence numbers are as they were.
static inline void goes_on(int from, int to)
{
    static char out[1 << 20], in[1 << 20];
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 31 + 7);
    size_t put = 0, got = 0;
    while (got < sizeof(in)) {
        ssize_t n = put < sizeof(out) ? send(from, out + put, sizeof(out) - put, MSG_DONTWAIT) : -1;
        put += n > 0 ? (size_t)n : 0;
        n = readable(to, 30000) ? recv(to, in + got, sizeof(in) - got, MSG_DONTWAIT) : 0;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    CHECK(got == sizeof(in) && !memcmp(in, out, sizeof(in)));
}
#endif
