// Rings of io_setup(2): a new one, one whose events were all fetched, one with events that wait, across its end. After a restore they
// take requests, and the events come in their order. A child has none of them.
#include "mem_target.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>

struct ring { unsigned id, nr, head, tail, magic, compatible, incompatible, size; };
static int null;

static void submit(aio_context_t context, unsigned from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct iocb request = { .aio_data = from + i, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = null }, *list = &request;
        MUST(syscall(SYS_io_submit, context, 1, &list) == 1 ? 0 : -1);
    }
}

static int fetch(aio_context_t context, unsigned from, unsigned count)
{
    struct timespec none = { 0 };
    struct io_event event;
    for (unsigned i = 0; i < count; i++)
        if (syscall(SYS_io_getevents, context, 1, 1, &event, &none) != 1 || event.data != from + i)
            return 0;
    return 1;
}

static int empty(aio_context_t context)
{
    struct timespec none = { 0 };
    struct io_event event;
    return syscall(SYS_io_getevents, context, 0, 1, &event, &none) == 0;
}

// All that a ring of this size has room for, and not one more.
static unsigned room(aio_context_t context)
{
    unsigned count = 0;
    struct iocb request = { .aio_data = 5, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = null }, *list = &request;
    while (count < 1 << 20 && syscall(SYS_io_submit, context, 1, &list) == 1)
        count++;
    return count;
}

int main(int argc, char **argv)
{
    begin(argv);
    aio_context_t fresh = 0, used = 0, waiting = 0, full = 0;
    null = MUST(open("/dev/null", O_RDONLY));
    if (syscall(SYS_io_setup, 10, &fresh) < 0 && errno == ENOSYS)
        return skip("the kernel has no io_setup(2)");
    MUST(syscall(SYS_io_setup, 100, &used));
    MUST(syscall(SYS_io_setup, 500, &waiting));
    MUST(syscall(SYS_io_setup, 10, &full));
    submit(used, 0, 50);
    CHECK(fetch(used, 0, 50) && empty(used));
    unsigned events = ((struct ring *)waiting)->nr, turn = events - 20;
    for (unsigned at = 0; at < turn; at += 10) {
        submit(waiting, at, 10);
        CHECK(fetch(waiting, at, 10));
    }
    submit(waiting, 1000, 60);
    unsigned most = room(full);
    struct ring before = *(struct ring *)waiting, after;
    CHECK(before.tail < before.head);
    int go[2];
    MUST(pipe(go));
    pid_t child = MUST(fork());
    if (child == 0) {
        char byte;
        _exit(read(go[0], &byte, 1) != 1);
    }
    ready();
    after = *(struct ring *)waiting;
    CHECK(after.nr == before.nr && after.head == before.head && after.tail == before.tail && after.magic == 0xa10a10a1);
    CHECK(strstr(mapping((void *)waiting), "/[aio] (deleted)") && strstr(mapping((void *)fresh), "rw-s"));
    CHECK(empty(fresh) && empty(used) && fetch(waiting, 1000, 60) && empty(waiting));
    aio_context_t all[] = { fresh, used, waiting };
    for (int i = 0; i < 3; i++)
        for (unsigned at = 0; at < 1200; at += 30) {
            submit(all[i], at, 30);
            CHECK(fetch(all[i], at, 30) && empty(all[i]));
        }
    unsigned more = room(full);
    struct timespec none = { 0 };
    struct io_event event[8];
    unsigned fetched = 0;
    for (long got; (got = syscall(SYS_io_getevents, full, 1, 8, event, &none)) > 0; fetched += got)
        CHECK(event[0].data == 5);
    CHECK(fetched == most + more && fetched < ((struct ring *)full)->nr);
    CHECK(room(fresh) > 0 && syscall(SYS_io_destroy, fresh) == 0 && syscall(SYS_io_destroy, waiting) == 0);
    CHECK(write(go[1], "x", 1) == 1 && waitpid(child, NULL, 0) == child);
    return finish();
}
