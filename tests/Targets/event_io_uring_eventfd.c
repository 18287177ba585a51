// expect-refusal: io-uring-registered
// A ring with a registered eventfd, which can't be told from others: refused by name, and it signals on.
#include "uring_target.h"
#include <sys/eventfd.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct ring r;
    if (ring_open(&r, 4, 0, 0) < 0)
        return skip("there is no io_uring here");
    int event = MUST(eventfd(0, EFD_NONBLOCK));
    MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_EVENTFD, &event, 1));
    ready();
    unsigned long long count = 0;
    CHECK(ring_do(&r, IORING_OP_NOP, -1, NULL, 0, 1) == 0 && read(event, &count, 8) == 8 && count == 1);
    CHECK(ring_works(&r));
    return finish();
}
