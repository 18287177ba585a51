// expect-refusal: machine-terminal
// A virtual console.
#include "target.h"

int main(int argc, char **argv)
{
    begin(argv);
    int console = open("/dev/tty1", O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (console < 0) {
        // No such device, or no kernel with consoles: the number is what counts.
        MUST(mknod(in_work("console"), S_IFCHR | 0600, 4 << 8 | 1));
        console = open(in_work("console"), O_RDWR | O_NOCTTY | O_NONBLOCK);
    }
    if (console < 0)
        console = MUST(open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK));
    ready();
    CHECK(fcntl(console, F_GETFD) == 0);
    return finish();
}
