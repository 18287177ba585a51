// Pipes in flight in a unix socket's queue: both ends with packets, one end while the task holds the other, and a terminal with what waits in it.
#include "flight.h"
#include <termios.h>

int main(int argc, char **argv)
{
    int s[2], both[2], half[2], f[5], got[64];
    char data[65], text[64];
    begin(argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    MUST(pipe2(both, O_DIRECT | O_NONBLOCK));
    MUST(write(both[1], "one", 3) + write(both[1], "two!", 4));
    MUST(pipe(half));
    MUST(fcntl(half[1], F_SETPIPE_SZ, 1 << 17));
    MUST(write(half[1], "half", 4));
    int master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
    MUST(grantpt(master));
    MUST(unlockpt(master));
    MUST(ptsname_r(master, text, sizeof(text)));
    int slave = MUST(open(text, O_RDWR | O_NOCTTY));
    MUST(write(master, "typed\npart", 10) + write(slave, "shown\n", 6));
    f[0] = both[0];
    f[1] = both[1];
    f[2] = half[0];
    f[3] = master;
    f[4] = slave;
    usleep(50000);
    send_fds(s[0], "pipes", 5, f, 5);
    for (int i = 0; i < 5; i++)
        close(f[i]);
    ready();
    CHECK(write(half[1], "more", 4) == 4 && receive_fds(s[1], data, 64, got, NULL) == 5);
    CHECK(read(got[0], text, 64) == 3 && read(got[0], text, 64) == 4 && !memcmp(text, "two!", 4) && read(got[0], text, 64) == -1 && errno == EAGAIN);
    CHECK(write(got[1], "x", 1) == 1 && read(got[0], text, 64) == 1 && (fcntl(got[1], F_GETFL) & O_DIRECT));
    CHECK(read(got[2], text, 64) == 8 && !memcmp(text, "halfmore", 8) && fcntl(half[1], F_GETPIPE_SZ) == 1 << 17);
    CHECK(read(got[4], text, 64) == 6 && !memcmp(text, "typed\n", 6) && write(got[3], "ial\n", 4) == 4 && read(got[4], text, 64) == 8 && !memcmp(text, "partial\n", 8));
    CHECK(read(got[3], text, 64) > 7);
    return finish();
}
