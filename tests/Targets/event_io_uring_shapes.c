// Rings of all shapes, used and new: requests and completions of double size, without an array of indices, small and large. Each has a
// request that was not submitted; after a restore it is the one that is taken.
#include "uring_target.h"

#define SHAPES 8
static const unsigned shapes[SHAPES] = {
    0, IORING_SETUP_NO_SQARRAY, IORING_SETUP_CQE32, IORING_SETUP_SQE128,
    IORING_SETUP_SQE128 | IORING_SETUP_CQE32, IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQE32,
    IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128, IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CLAMP,
};

int main(int argc, char **argv)
{
    begin(argv);
    static struct ring rings[SHAPES][2][2];
    static const unsigned sizes[] = { 2, 256 };
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++) {
                struct ring *r = &rings[i][j][k];
                if (ring_open(r, sizes[j], shapes[i], 0) < 0)
                    return skip("this kernel does not have all of these rings");
                ring_use(r, k * 1001);
                if (k)
                    ring_put(r, IORING_OP_NOP, -1, NULL, 0, 40 + i);
            }
    ready();
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++) {
                struct ring *r = &rings[i][j][k];
                // Of a new ring with requests of double size and no array nothing tells.
                if (!k && j == 0 && shapes[i] == (IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128))
                    continue;
                if (k && !(ring_enter(r, 1, 1) == 1 && ring_take(r, 40 + i) == 0))
                    differ("flags %x, %d entries: not the request that was to be", shapes[i], sizes[j]);
                if (!ring_works(r))
                    differ("flags %x, %d entries, used %d: does not work on (errno %d)", shapes[i], sizes[j], k, errno);
            }
    return finish();
}
