// The terminal of a session in the tree, held as /dev/tty by the session's leader and by a child of it.
#include "target.h"
#include <sys/mman.h>
#include <termios.h>

static void session(const char *name, volatile int *said)
{
    MUST(setsid());
    int slave = MUST(open(name, O_RDWR | O_CLOEXEC));
    int tty = MUST(open("/dev/tty", O_RDWR | O_CLOEXEC));
    int pid = MUST(fork());
    said[pid ? 0 : 1] = 1;
    while (said[2] != 1)
        usleep(10000);
    if (!pid)
        _exit(write(tty, "child\n", 6) == 6 && getsid(0) == getppid() ? 0 : 1);
    int status = -1;
    int good = waitpid(pid, &status, 0) == pid && status == 0 && write(tty, "leader\n", 7) == 7;
    _exit(good && tcgetsid(tty) == getpid() && tcgetpgrp(slave) == getpid() && open("/dev/tty", O_RDWR) >= 0 ? 0 : 1);
}

int main(int argc, char **argv)
{
    char text[64] = "", name[64];
    int status = -1, used = 0;
    begin(argv);
    int master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    MUST(grantpt(master));
    MUST(unlockpt(master));
    MUST(ptsname_r(master, name, sizeof(name)));
    volatile int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pid = MUST(fork());
    if (!pid)
        session(name, said);
    while (!said[0] || !said[1])
        usleep(10000);
    ready();
    said[2] = 1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    while (used < 15 && readable(master, 2000)) {
        int count = read(master, text + used, sizeof(text) - 1 - used);
        if (count <= 0)
            break;
        used += count;
    }
    CHECK(!strcmp(text, "child\r\nleader\r\n"));
    return finish();
}
