// expect-refusal: io-uring-registered
// A ring with a registered file: refused by name.
#include "target.h"
#include <linux/io_uring.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct io_uring_params p = { 0 };
    int ring = MUST(syscall(SYS_io_uring_setup, 4, &p)), file = MUST(open("/dev/null", O_RDWR));
    MUST(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &file, 1));
    ready();
    CHECK(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_FILES, NULL, 0) == 0);
    return finish();
}
