// A ring that a child has from its parent, mapped by both, by another child under another number and by none; after a restore what one
// submits the other sees.
#include "uring_target.h"

int main(int argc, char **argv)
{
    begin(argv);
    struct ring r, kept;
    int go[2], done[2];
    if (ring_open(&r, 8, 0, 0) < 0 || ring_open(&kept, 8, 0, 0) < 0)
        return skip("there is no io_uring here");
    MUST(pipe(go));
    MUST(pipe(done));
    ring_use(&r, 100);
    madvise(kept.rings, kept.length, MADV_DONTFORK);
    pid_t child = MUST(fork());
    if (child == 0) {
        char byte;
        ring_use(&r, 3);
        MUST(write(done[1], "u", 1));
        MUST(read(go[0], &byte, 1));
        int is_kept = msync(kept.rings, 4096, MS_ASYNC) < 0 && errno == ENOMEM;
        ring_put(&r, IORING_OP_NOP, -1, NULL, 0, 7);
        int submitted = ring_enter(&r, 1, 0) == 1;
        MUST(write(done[1], is_kept && submitted ? "y" : "n", 1));
        _exit(0);
    }
    pid_t moved = MUST(fork());
    if (moved == 0) {
        char byte;
        int fd = MUST(dup2(r.fd, 50));
        close(r.fd);
        munmap(r.rings, r.length);
        munmap(r.entries, r.entries_length);
        MUST(write(done[1], "m", 1));
        MUST(read(go[0], &byte, 1));
        int submitted = syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0) == 1;
        MUST(write(done[1], submitted ? "y" : "n", 1));
        _exit(0);
    }
    char byte, answer = 'n';
    MUST(read(done[0], &byte, 1));
    MUST(read(done[0], &byte, 1));
    unsigned tail = *r.sq_tail;
    ready();
    CHECK(*r.sq_tail == tail && tail == 103);
    ring_put(&r, IORING_OP_NOP, -1, NULL, 0, 6);
    CHECK(*r.sq_head == 103);
    // One of them submits what waits, then the other its own; in which order is theirs.
    CHECK(write(go[1], "x", 1) == 1 && read(done[0], &answer, 1) == 1 && answer == 'y');
    CHECK(*r.cq_tail - *r.cq_head >= 1);
    if (*r.sq_tail == *r.sq_head)
        ring_put(&r, IORING_OP_NOP, -1, NULL, 0, 6);
    CHECK(write(go[1], "x", 1) == 1 && read(done[0], &answer, 1) == 1 && answer == 'y');
    CHECK(waitpid(child, NULL, 0) == child && waitpid(moved, NULL, 0) == moved);
    *r.cq_head = *r.cq_tail;
    if (*r.sq_tail != *r.sq_head)
        CHECK(ring_enter(&r, *r.sq_tail - *r.sq_head, 1) > 0);
    *r.cq_head = *r.cq_tail;
    CHECK(ring_works(&r) && ring_works(&kept));
    return finish();
}
