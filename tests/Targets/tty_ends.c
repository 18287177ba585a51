// Terminals of which one side is left: a master whose slaves are closed, with output that waits; one never opened; a slave that was hung up, and a new pair with its number.
#include "target.h"
#include <termios.h>

static int master_of(char *name)
{
    int master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    MUST(grantpt(master));
    MUST(unlockpt(master));
    MUST(ptsname_r(master, name, 64));
    return master;
}

int main(int argc, char **argv)
{
    char text[64], closed_name[64], fresh_name[64], hung_name[64], new_name[64], link[64], before[128] = { 0 }, after[128] = { 0 };
    struct winsize size = { 7, 77, 0, 0 }, got = { 0 };
    begin(argv);
    int closed = master_of(closed_name), slave = MUST(open(closed_name, O_RDWR | O_NOCTTY));
    MUST(write(slave, "last words\n", 11));
    close(slave);
    int fresh = master_of(fresh_name), locked = MUST(posix_openpt(O_RDWR | O_NOCTTY)), on = 1;
    MUST(ioctl(fresh, TIOCSWINSZ, &size));
    int hung_master = master_of(hung_name), hung = MUST(open(hung_name, O_RDWR | O_NOCTTY)), copy = MUST(fcntl(hung, F_DUPFD_CLOEXEC, 40));
    close(hung_master);
    int again = master_of(new_name), other = MUST(open(new_name, O_RDWR | O_NOCTTY)), second = MUST(open(new_name, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", hung);
    MUST(readlink(link, before, sizeof(before) - 1));
    ready();
    CHECK(read(closed, text, 64) == 12 && !memcmp(text, "last words\r\n", 12) && read(closed, text, 64) == -1 && errno == EIO);
    CHECK(read(fresh, text, 64) == -1 && errno == EAGAIN && ioctl(fresh, TIOCGWINSZ, &got) == 0 && got.ws_col == 77);
    CHECK(ioctl(locked, TIOCGPTLCK, &on) == 0 && on == 1 && ptsname_r(locked, text, 64) == 0 && open(text, O_RDWR | O_NOCTTY) == -1 && errno == EIO);
    CHECK((slave = open(fresh_name, O_RDWR | O_NOCTTY)) >= 0 && write(slave, "x", 1) == 1 && readable(fresh, 5000) && read(fresh, text, 64) == 1);
    CHECK(read(hung, text, 64) == 0 && write(hung, "x", 1) == -1 && errno == EIO && ioctl(hung, TIOCGWINSZ, &got) == -1 && errno == EIO && read(copy, text, 1) == 0);
    CHECK(readlink(link, after, sizeof(after) - 1) > 0 && !strcmp(before, after) && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    CHECK(ptsname_r(again, text, 64) == 0 && !strcmp(text, new_name) && write(other, "to the master", 13) == 13 && readable(again, 5000) && read(again, text, 64) == 13);
    CHECK(write(again, "line\n", 5) == 5 && readable(second, 5000) && read(second, text, 64) == 5 && !memcmp(text, "line\n", 5) && fcntl(second, F_GETFD) == FD_CLOEXEC && (fcntl(second, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_NONBLOCK);
    return finish();
}
