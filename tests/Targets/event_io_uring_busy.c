// expect-refusal: io-uring-busy
// A ring in which a request waits for a pipe: refused by name; the request is completed afterwards.
#include "target.h"
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct io_uring_params p = { 0 };
    int ring = MUST(syscall(SYS_io_uring_setup, 4, &p)), ends[2];
    MUST(pipe(ends));
    char *rings = mmap(NULL, 4096 * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries = mmap(NULL, 4 * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || entries == MAP_FAILED)
        return 2;
    memset(entries, 0, sizeof(*entries));
    entries->opcode = IORING_OP_POLL_ADD;
    entries->fd = ends[0];
    entries->poll32_events = POLLIN;
    entries->user_data = 77;
    ((unsigned *)(rings + p.sq_off.array))[0] = 0;
    *(unsigned *)(rings + p.sq_off.tail) = 1;
    MUST(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0));
    ready();
    CHECK(write(ends[1], "x", 1) == 1 && syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 0);
    struct io_uring_cqe *done = (void *)(rings + p.cq_off.cqes);
    CHECK(done->user_data == 77 && (done->res & POLLIN));
    return finish();
}
