// A ring as a program without liburing has it.
#ifndef URING_TARGET_H
#define URING_TARGET_H
#include "target.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

struct ring {
    int fd, sqe_size, cqe_size;
    struct io_uring_params p;
    char *rings, *entries;
    size_t length, entries_length;
    unsigned *sq_head, *sq_tail, *sq_mask, *array, *cq_head, *cq_tail, *cq_mask;
};

static inline int ring_open(struct ring *r, unsigned entries, unsigned flags, unsigned completions)
{
    memset(r, 0, sizeof(*r));
    r->p.flags = flags | (completions ? IORING_SETUP_CQSIZE : 0);
    r->p.cq_entries = completions;
    r->fd = syscall(SYS_io_uring_setup, entries, &r->p);
    if (r->fd < 0)
        return -1;
    r->sqe_size = flags & IORING_SETUP_SQE128 ? 128 : 64;
    r->cqe_size = flags & IORING_SETUP_CQE32 ? 32 : 16;
    size_t array = r->p.sq_off.array + r->p.sq_entries * 4, cqes = r->p.cq_off.cqes + r->p.cq_entries * r->cqe_size;
    r->length = array > cqes ? array : cqes;
    r->entries_length = r->p.sq_entries * r->sqe_size;
    r->rings = mmap(NULL, r->length, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
    r->entries = mmap(NULL, r->entries_length, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
    if (r->rings == MAP_FAILED || r->entries == MAP_FAILED)
        return -1;
    r->sq_head = (void *)(r->rings + r->p.sq_off.head);
    r->sq_tail = (void *)(r->rings + r->p.sq_off.tail);
    r->sq_mask = (void *)(r->rings + r->p.sq_off.ring_mask);
    r->array = flags & IORING_SETUP_NO_SQARRAY ? NULL : (void *)(r->rings + r->p.sq_off.array);
    r->cq_head = (void *)(r->rings + r->p.cq_off.head);
    r->cq_tail = (void *)(r->rings + r->p.cq_off.tail);
    r->cq_mask = (void *)(r->rings + r->p.cq_off.ring_mask);
    return 0;
}

static inline void ring_put(struct ring *r, int opcode, int fd, const void *address, unsigned length, unsigned long long data)
{
    unsigned tail = *r->sq_tail, index = tail & *r->sq_mask;
    struct io_uring_sqe *sqe = (void *)(r->entries + index * r->sqe_size);
    memset(sqe, 0, r->sqe_size);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->addr = (unsigned long)address;
    sqe->len = length;
    sqe->user_data = data;
    if (r->array)
        r->array[index] = index;
    __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static inline struct io_uring_sqe *ring_last(struct ring *r)
{
    return (void *)(r->entries + ((*r->sq_tail - 1) & *r->sq_mask) * r->sqe_size);
}

static inline int ring_enter(struct ring *r, unsigned submit, unsigned wait)
{
    return syscall(SYS_io_uring_enter, r->fd, submit, wait, IORING_ENTER_GETEVENTS, NULL, 0);
}

// Takes the next completion: its result; or -1000 where there is none, or it is another.
static inline int ring_take(struct ring *r, unsigned long long data)
{
    unsigned head = *r->cq_head;
    if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
        return -1000;
    struct io_uring_cqe *cqe = (void *)(r->rings + r->p.cq_off.cqes + (head & *r->cq_mask) * r->cqe_size);
    int result = cqe->user_data == data ? cqe->res : -1000;
    __atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
    return result;
}

static inline int ring_do(struct ring *r, int opcode, int fd, const void *address, unsigned length, unsigned long long data)
{
    ring_put(r, opcode, fd, address, length, data);
    return ring_enter(r, 1, 1) == 1 ? ring_take(r, data) : -2000;
}

static inline void ring_use(struct ring *r, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        if (ring_do(r, IORING_OP_NOP, -1, NULL, 0, i) != 0)
            MUST(-1);
}

// Reads a file, waits for a pipe, and for a time-out.
static inline int ring_works(struct ring *r)
{
    char text[5] = "";
    int ends[2];
    struct __kernel_timespec soon = { 0, 1000000 };
    int file = MUST(open(in_work("text"), O_RDWR | O_CREAT, 0644));
    MUST(pipe(ends));
    int works = pwrite(file, "abcd", 4, 0) == 4 && ring_do(r, IORING_OP_READ, file, text, 4, 1) == 4 && !strcmp(text, "abcd");
    ring_put(r, IORING_OP_POLL_ADD, ends[0], NULL, 0, 2);
    ring_last(r)->poll32_events = POLLIN;
    works &= ring_enter(r, 1, 0) == 1 && write(ends[1], "x", 1) == 1 && ring_enter(r, 0, 1) == 0 && (ring_take(r, 2) & POLLIN);
    works &= ring_do(r, IORING_OP_TIMEOUT, -1, &soon, 1, 3) == -ETIME;
    for (unsigned i = 0; i < 3 * r->p.cq_entries; i++)
        works &= ring_do(r, IORING_OP_NOP, -1, NULL, 0, 100 + i) == 0;
    close(file);
    close(ends[0]);
    close(ends[1]);
    return works && ring_take(r, 0) == -1000;
}

// No more completions than there is room for: the kernel must know how many were not seen.
static inline int ring_is_full_at(struct ring *r, unsigned count)
{
    unsigned *overflow = (void *)(r->rings + r->p.cq_off.overflow), waiting = *r->cq_tail - *r->cq_head, done = 0;
    while (*r->cq_tail - *r->cq_head < r->p.cq_entries && done < 2 * r->p.cq_entries) {
        ring_put(r, IORING_OP_NOP, -1, NULL, 0, 500);
        if (ring_enter(r, 1, 0) != 1)
            return 0;
        done++;
    }
    return *overflow == 0 && waiting + done == count;
}
#endif
