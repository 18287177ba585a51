// Rings at rest: one that was used thousands of times, with requests that were not submitted and completions that were not seen; one as
// it was made; a small one whose one request is always the same; under two numbers, close on exec, and in an epoll. After a restore they
// lie where they were, and work on.
#include "uring_target.h"
#include <sys/epoll.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct ring used, fresh, single;
    if (ring_open(&used, 8, 0, 0) < 0 && (errno == ENOSYS || errno == EPERM))
        return skip("there is no io_uring here");
    MUST(ring_open(&fresh, 128, 0, 512));
    MUST(ring_open(&single, 4, 0, 0));
    ring_use(&used, 5003);
    for (int i = 0; i < 3; i++) {
        ring_put(&single, IORING_OP_NOP, -1, NULL, 0, 9);
        memset(single.entries, 0, 256);
        ((struct io_uring_sqe *)single.entries)->user_data = 9;
        memset(single.array, 0, 16);
        CHECK(ring_enter(&single, 1, 1) == 1 && ring_take(&single, 9) == 0);
    }
    for (int i = 0; i < 5; i++) {
        ring_put(&used, IORING_OP_NOP, -1, NULL, 0, 70 + i);
        CHECK(ring_enter(&used, 1, 0) == 1);
    }
    char text[4] = "";
    int ends[2], twin = MUST(dup(used.fd)), epoll = MUST(epoll_create1(0));
    MUST(fcntl(twin, F_SETFD, 0));
    struct epoll_event wanted = { .events = EPOLLIN, .data.u64 = 33 }, event;
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fresh.fd, &wanted));
    MUST(pipe(ends));
    MUST(write(ends[1], "pqr", 3));
    ring_put(&used, IORING_OP_READ, ends[0], text, 3, 80);
    ring_put(&used, IORING_OP_NOP, -1, NULL, 0, 81);
    struct ring before = used;
    unsigned head = *used.sq_head, tail = *used.sq_tail, seen = *used.cq_head, completed = *used.cq_tail;
    ready();
    CHECK(head == *used.sq_head && tail == *used.sq_tail && seen == *used.cq_head && completed == *used.cq_tail);
    CHECK(head == 5008 && completed == 5008 && seen == 5003 && before.rings == used.rings);
    CHECK(fcntl(used.fd, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0);
    for (int i = 0; i < 5; i++)
        CHECK(ring_take(&used, 70 + i) == 0);
    CHECK(ring_take(&used, 0) == -1000);
    CHECK(syscall(SYS_io_uring_enter, twin, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0) == 2);
    CHECK(ring_take(&used, 80) == 3 && ring_take(&used, 81) == 0 && !memcmp(text, "pqr", 3));
    CHECK(ring_works(&used));
    CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
    ring_put(&fresh, IORING_OP_NOP, -1, NULL, 0, 90);
    CHECK(ring_enter(&fresh, 1, 0) == 1 && epoll_wait(epoll, &event, 1, 1000) == 1 && event.data.u64 == 33);
    CHECK(ring_take(&fresh, 90) == 0 && ring_works(&fresh));
    *single.sq_tail += 1;
    CHECK(ring_enter(&single, 1, 1) == 1 && ring_take(&single, 9) == 0 && ring_works(&single));
    CHECK(ring_is_full_at(&used, used.p.cq_entries));
    return finish();
}
