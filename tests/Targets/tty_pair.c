// A pseudo-terminal held on both sides: index, settings, size, what waits in both directions; it is the child's controlling terminal.
#include "target.h"
#include <stdint.h>
#include <sys/mman.h>
#include <termios.h>

int main(int argc, char **argv)
{
    char text[64], name[64], now[64];
    struct termios t, u;
    struct winsize size = { 33, 111, 5, 7 }, got = { 0 };
    begin(argv);
    int master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    MUST(grantpt(master));
    MUST(unlockpt(master));
    MUST(ptsname_r(master, name, sizeof(name)));
    int slave = MUST(open(name, O_RDWR | O_NOCTTY));
    MUST(tcgetattr(slave, &t));
    t.c_cc[VERASE] = 'x';
    t.c_lflag &= ~ECHO;
    t.c_iflag |= IXANY;
    MUST(tcsetattr(slave, TCSANOW, &t));
    MUST(ioctl(slave, TIOCSWINSZ, &size));
    volatile int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pid = MUST(fork());
    if (!pid) {
        MUST(setsid());
        MUST(ioctl(slave, TIOCSCTTY, 0));
        *said = 1;
        while (*said != 2)
            usleep(10000);
        int tty = open("/dev/tty", O_RDWR);
        _exit(tty >= 0 && tcgetsid(slave) == getpid() && tcgetpgrp(slave) == getpid() ? 0 : 1);
    }
    while (*said != 1)
        usleep(10000);
    MUST(write(master, "a line\npart", 11));
    MUST(write(slave, "output\n", 7));
    ready();
    CHECK(ptsname_r(master, now, sizeof(now)) == 0 && !strcmp(name, now) && !ttyname_r(slave, now, sizeof(now)) && !strcmp(name, now));
    CHECK(tcgetattr(slave, &u) == 0 && u.c_iflag == t.c_iflag && u.c_oflag == t.c_oflag && u.c_lflag == t.c_lflag && u.c_cflag == t.c_cflag);
    CHECK(!memcmp(t.c_cc, u.c_cc, sizeof(t.c_cc)) && ioctl(master, TIOCGWINSZ, &got) == 0 && !memcmp(&size, &got, sizeof(got)));
    CHECK(read(slave, text, 64) == 7 && !memcmp(text, "a line\n", 7));
    CHECK(write(master, "ial\n", 4) == 4 && read(slave, text, 64) == 8 && !memcmp(text, "partial\n", 8));
    CHECK(read(master, text, 64) == 8 && !memcmp(text, "output\r\n", 8) && read(master, text, 1) == -1 && errno == EAGAIN);
    CHECK((fcntl(master, F_GETFL) & O_NONBLOCK) && fcntl(master, F_GETFD) == FD_CLOEXEC && !(fcntl(slave, F_GETFL) & O_NONBLOCK));
    int status = -1;
    *said = 2;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return finish();
}
