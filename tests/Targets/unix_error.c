// only-restored
// A reset that waits to be reported, of a socket of packets, with packets behind it: the reset comes first, then these, then the end.
#include "unix_error.h"

int main(int argc, char **argv)
{
    begin(argv);
    int fd = reset_before_packets();
    ready();
    check_reset_before_packets(fd);
    return finish();
}
