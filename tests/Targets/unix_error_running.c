// expect-refusal: unix-error-pending
// dump-options: --leave-running
// The same where the program is to run on: refused, and all of it still there afterwards.
#include "unix_error.h"

int main(int argc, char **argv)
{
    begin(argv);
    int fd = reset_before_packets();
    ready();
    check_reset_before_packets(fd);
    return finish();
}
