// expect-refusal: io-uring
// An io_uring: refused by name, and it works on.
#include "target.h"
#include <linux/io_uring.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct io_uring_params p = { 0 };
    int ring = MUST(syscall(SYS_io_uring_setup, 4, &p));
    ready();
    CHECK(syscall(SYS_io_uring_enter, ring, 0, 0, 0, NULL, 0) == 0);
    return finish();
}
