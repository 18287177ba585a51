// A ring whose completions have not been seen, but one: the kernel must not write over them. After a restore there is room for as many
// as before, and all are there.
#include "uring_target.h"

int main(int argc, char **argv)
{
    begin(argv);
    struct ring r;
    if (ring_open(&r, 4, 0, 16) < 0)
        return skip("there is no io_uring here");
    ring_use(&r, 21);
    for (int i = 0; i < 13; i++) {
        ring_put(&r, IORING_OP_NOP, -1, NULL, 0, 100 + i);
        CHECK(ring_enter(&r, 1, 0) == 1);
    }
    ready();
    CHECK(ring_is_full_at(&r, 16));
    for (int i = 0; i < 13; i++)
        CHECK(ring_take(&r, 100 + i) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(ring_take(&r, 500) == 0);
    CHECK(ring_works(&r));
    return finish();
}
