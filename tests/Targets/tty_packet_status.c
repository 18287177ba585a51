// expect-refusal: terminal-packet-status
// A terminal in packet mode whose state has changed, which its master has not read yet.
#include "target.h"
#include <termios.h>

int main(int argc, char **argv)
{
    char text[64];
    int on = 1;
    begin(argv);
    int master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
    MUST(grantpt(master));
    MUST(unlockpt(master));
    MUST(ptsname_r(master, text, sizeof(text)));
    int slave = MUST(open(text, O_RDWR | O_NOCTTY));
    MUST(ioctl(master, TIOCPKT, &on));
    MUST(tcflush(slave, TCIFLUSH));
    ready();
    CHECK(read(master, text, 64) == 1 && text[0] == TIOCPKT_FLUSHREAD);
    return finish();
}
