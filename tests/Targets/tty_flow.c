// Terminals whose output is stopped, by ^S and by the program (TCOOFF), with output that waits; settings that are locked; exclusive use.
#include "target.h"
#include <termios.h>

static void pair(int *master, int *slave)
{
    char name[64];
    *master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    MUST(grantpt(*master));
    MUST(unlockpt(*master));
    MUST(ptsname_r(*master, name, sizeof(name)));
    *slave = MUST(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
}

static int writable(int fd)
{
    struct pollfd p = { fd, POLLOUT, 0 };
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static int until(int fd, int wanted)
{
    for (int i = 0; i < 1000 && writable(fd) != wanted; i++)
        usleep(5000);
    return writable(fd) == wanted;
}

int main(int argc, char **argv)
{
    char text[64];
    int key[2], program[2], locked[2], exclusive[2];
    struct termios t, mask, now;
    begin(argv);
    pair(&key[0], &key[1]);
    MUST(write(key[1], "before", 6));
    MUST(write(key[0], "\023", 1));
    if (!until(key[1], 0))
        _exit(3);
    pair(&program[0], &program[1]);
    MUST(tcflow(program[1], TCOOFF));
    MUST(write(program[0], "typed\n", 6));
    pair(&locked[0], &locked[1]);
    memset(&mask, 0, sizeof(mask));
    mask.c_lflag = ECHO;
    MUST(ioctl(locked[1], TIOCSLCKTRMIOS, &mask));
    pair(&exclusive[0], &exclusive[1]);
    MUST(ioctl(exclusive[1], TIOCEXCL));
    ready();
    int on = 0;
    CHECK(!writable(key[1]) && write(key[1], "x", 1) == -1 && errno == EAGAIN && read(key[0], text, 64) == 6 && !memcmp(text, "before", 6));
    CHECK(tcflow(key[1], TCOON) == 0 && !writable(key[1]) && write(key[0], "\021", 1) == 1 && until(key[1], 1) && write(key[1], "after", 5) == 5);
    CHECK(readable(key[0], 5000) && read(key[0], text, 64) == 5);
    CHECK(!writable(program[1]) && write(program[0], "\021", 1) == 1 && read(program[1], text, 64) == 6 && !memcmp(text, "typed\n", 6));
    CHECK(!writable(program[1]) && tcflow(program[1], TCOON) == 0 && writable(program[1]) && write(program[1], "x", 1) == 1);
    CHECK(tcgetattr(locked[1], &t) == 0 && (t.c_lflag & ECHO));
    t.c_lflag &= ~(ECHO | ISIG);
    CHECK(tcsetattr(locked[1], TCSANOW, &t) == 0 && tcgetattr(locked[1], &now) == 0 && (now.c_lflag & ECHO) && !(now.c_lflag & ISIG));
    CHECK(ioctl(exclusive[1], TIOCGEXCL, &on) == 0 && on == 1 && ioctl(locked[1], TIOCGEXCL, &on) == 0 && on == 0);
    return finish();
}
