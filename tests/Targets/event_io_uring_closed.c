// expect-refusal: io-uring
// A ring that is mapped, and whose descriptor is closed: refused by name.
#include "uring_target.h"

int main(int argc, char **argv)
{
    begin(argv);
    struct ring r;
    if (ring_open(&r, 4, 0, 0) < 0)
        return skip("there is no io_uring here");
    ring_use(&r, 5);
    close(r.fd);
    ready();
    CHECK(*r.sq_tail == 5 && *r.cq_tail == 5);
    return finish();
}
