// A program that looks after its terminals all the time: their settings, flags and locks are what it has set, and what waits in them is
// what it has typed. It reads all, compares, and types it again. A second process holds the terminals, too. It counts in a file that
// others map, as `checking` does. Argument: the file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <signal.h>

enum { LINES, RAW, PACKETS, LOCKED, PAIRS, MOST = 512 };
struct counters { uint32_t pid[2]; uint32_t ready; uint32_t parts; _Atomic uint64_t count[8]; _Atomic uint32_t bad; char what[240]; };
struct pair { int master, slave; struct termios settings, locks; int input, output; };

static struct counters *shared;
static struct pair pairs[PAIRS];
static char bytes[256];
static const char lines[] = "first\nsecond\nend\004par";

static void fail(int k, const char *what, int value)
{
    uint32_t none = 0;
    if (atomic_compare_exchange_strong(&shared->bad, &none, 1))
        snprintf(shared->what, sizeof(shared->what), "pair %d: %s (%d)", k, what, value);
    _exit(3);
}

static int waiting(int fd)
{
    int count = -1;
    ioctl(fd, FIONREAD, &count);
    return count;
}

// The kernel's workers take a moment. A partial line is not counted.
static void await(int k, int fd, int count, const char *what)
{
    for (int i = 0; waiting(fd) != count; i++) {
        if (i > 20000)
            fail(k, what, waiting(fd));
        usleep(100);
    }
}

static void put(int k, int fd, const char *text, int length)
{
    if (write(fd, text, length) != length)
        fail(k, "write", errno);
}

static void type(int k)
{
    struct pair *p = &pairs[k];
    if (k == RAW) {
        put(k, p->master, bytes, 256);
        put(k, p->slave, bytes, 256);
        p->input = p->output = 256;
    } else if (k == PACKETS) {
        put(k, p->slave, "packets", 7);
        p->input = 0, p->output = 7;
    } else {
        put(k, p->master, lines, sizeof(lines) - 1);
        p->input = 16, p->output = 0;
    }
    await(k, p->slave, p->input, "input comes");
    await(k, p->master, p->output, "output comes");
}

static void get(int k, int fd, const char *expected, int length)
{
    static char text[MOST];
    struct pollfd p = { fd, POLLIN, 0 };
    if (poll(&p, 1, 0) != 1)
        fail(k, "nothing to read of", length);
    int got = read(fd, text, MOST);
    if (got != length || memcmp(text, expected, length))
        fail(k, "read", got);
}

static void take(int k)
{
    struct pair *p = &pairs[k];
    if (k == RAW) {
        get(k, p->slave, bytes, 256);
        get(k, p->master, bytes, 256);
    } else if (k == PACKETS)
        get(k, p->master, "\0packets", 8);
    else {
        get(k, p->slave, "first\n", 6);
        get(k, p->slave, "second\n", 7);
        get(k, p->slave, "end", 3);
        put(k, p->master, "tial\n", 5);
        await(k, p->slave, 8, "the rest of a line comes");
        get(k, p->slave, "partial\n", 8);
    }
}

static void check(int k)
{
    struct pair *p = &pairs[k];
    struct termios t;
    int packets, count;
    memset(&t, 0, sizeof(t));
    if (tcgetattr(p->slave, &t) || memcmp(&t, &p->settings, sizeof(t)))
        fail(k, "settings", t.c_iflag << 16 | t.c_lflag << 8 | t.c_cc[VMIN]);
    memset(&t, 0, sizeof(t));
    if (ioctl(p->slave, TIOCGLCKTRMIOS, &t) || memcmp(&t, &p->locks, 36))
        fail(k, "locked settings", t.c_lflag);
    if (ioctl(p->master, TIOCGPKT, &packets) || packets != (k == PACKETS))
        fail(k, "packet mode", packets);
    if (fcntl(p->master, F_GETFL) & O_NONBLOCK || fcntl(p->slave, F_GETFL) & O_NONBLOCK)
        fail(k, "O_NONBLOCK", 0);
    if ((count = waiting(p->slave)) != p->input)
        fail(k, "input", count);
    if ((count = waiting(p->master)) != p->output)
        fail(k, "output", count);
}

static void make(int k)
{
    struct pair *p = &pairs[k];
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->master < 0 || grantpt(p->master) || unlockpt(p->master) || (p->slave = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY)) < 0)
        _exit(2);
    tcgetattr(p->slave, &p->settings);
    if (k == RAW)
        cfmakeraw(&p->settings);
    p->settings.c_lflag &= ~ECHO;
    tcsetattr(p->slave, TCSANOW, &p->settings);
    if (k == LOCKED) {
        p->locks.c_lflag = ICANON | ISIG;
        p->locks.c_cc[VEOF] = 1;
        if (ioctl(p->slave, TIOCSLCKTRMIOS, &p->locks))
            _exit(2);
    }
    memset(&p->settings, 0, sizeof(p->settings));
    tcgetattr(p->slave, &p->settings);
    int on = k == PACKETS;
    ioctl(p->master, TIOCPKT, &on);
    type(k);
}

int main(int count, char **arguments)
{
    int fd = open(arguments[count - 1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 4096) || (shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        return 2;
    for (int i = 0; i < 256; i++)
        bytes[i] = i;
    for (int k = 0; k < PAIRS; k++)
        make(k);
    int child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;; shared->count[1]++)
            usleep(500);
    }
    shared->pid[0] = getpid();
    shared->pid[1] = child;
    shared->parts = 2;
    shared->ready = 1;
    for (uint64_t i = 1;; i++) {
        for (int k = 0; k < PAIRS; k++)
            check(k);
        if (i % 4 == 0) {
            int k = i / 4 % PAIRS;
            take(k);
            type(k);
        }
        shared->count[0]++;
        usleep(200);
    }
}
