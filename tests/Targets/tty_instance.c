// A terminal of another instance of devpts than that of /dev/pts.
#include "target.h"
#include <sys/mount.h>
#include <termios.h>

int main(int argc, char **argv)
{
    char text[64], link[64], before[256] = { 0 }, after[256] = { 0 }, name[32];
    int number = -1;
    begin(argv);
    MUST(mkdir(in_work("pts"), 0755));
    MUST(mount("devpts", in_work("pts"), "devpts", 0, "newinstance,ptmxmode=0666"));
    int first = MUST(open(in_work("pts/ptmx"), O_RDWR | O_NOCTTY)), master = MUST(open(in_work("pts/ptmx"), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    close(first);
    MUST(unlockpt(master));
    MUST(ioctl(master, TIOCGPTN, &number));
    snprintf(name, sizeof(name), "pts/%d", number);
    int slave = MUST(open(in_work(name), O_RDWR | O_NOCTTY));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", slave);
    MUST(readlink(link, before, sizeof(before) - 1));
    MUST(write(master, "typed\n", 6));
    ready();
    MUST(readlink(link, after, sizeof(after) - 1));
    if (strcmp(before, after))
        differ("%s: it was %s", after, before);
    CHECK(read(slave, text, 64) == 6 && !memcmp(text, "typed\n", 6) && read(master, text, 64) == 7 && access(in_work(name), F_OK) == 0);
    CHECK(write(slave, "x", 1) == 1 && readable(master, 5000) && fcntl(master, F_GETFD) == FD_CLOEXEC);
    close(master);
    close(slave);
    CHECK(umount(in_work("pts")) == 0);
    return finish();
}
