// expect-refusal: io-uring-thread
// A ring whose requests a thread of the kernel takes: refused by name.
#include "target.h"
#include <linux/io_uring.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1 };
    int ring = MUST(syscall(SYS_io_uring_setup, 4, &p));
    ready();
    CHECK(syscall(SYS_io_uring_enter, ring, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) == 0);
    return finish();
}
