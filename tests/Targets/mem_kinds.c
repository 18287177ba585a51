// Rarer mappings: of /dev/zero, private and shared; far into a file; memory that may be dropped; a stack of its own that grows down to its
// guard; the vsyscall page; the zero page and holes, which are not written. A child has all of them too.
#include "mem_target.h"
#include <setjmp.h>
#include <sys/time.h>

enum { GROWS = 1 << 20 };
static unsigned char *private_zero, *shared_zero, *far, *droppable, *stack, *zeroes, *holes;
static volatile unsigned char *flags;
static sigjmp_buf back;

static void fault(int signal) { siglongjmp(back, signal); }

static int faults(volatile unsigned char *at)
{
    if (sigsetjmp(back, 1))
        return 1;
    *at = 1;
    return 0;
}

static int vsyscall_works(void)
{
    struct timeval now = { 0 };
    return strcmp(mapping((void *)0xffffffffff600000), "none") == 0
        || (((long (*)(struct timeval *, void *))0xffffffffff600000)(&now, NULL) == 0 && now.tv_sec > 1700000000);
}

static int right(int child)
{
    int good = filled(private_zero, 4 * PAGE, child ? 11 : 1) && zero(private_zero + 4 * PAGE, 4 * PAGE) && filled(far, 4 * PAGE, 3);
    good &= filled(shared_zero, 4 * PAGE, 2) && filled(stack + GROWS - 32 * PAGE, 32 * PAGE, 4);
    good &= strstr(mapping(private_zero), "/dev/zero\n") && strstr(mapping(private_zero), "rw-p") && strstr(mapping(far), "11d800000");
    good &= strstr(mapping(shared_zero), "/dev/zero (deleted)") && strstr(mapping(shared_zero), "rw-s") && has_flag(stack + GROWS - PAGE, "gd");
    good &= zero(zeroes, 64 * PAGE) && kib(zeroes, "Rss:") <= 256 && zero(holes, PAGE) && filled(holes + 63 * PAGE, PAGE, 6);
    good &= droppable == MAP_FAILED || (has_flag(droppable, "dp") && (filled(droppable, PAGE, 7) || zero(droppable, PAGE)));
    return good && vsyscall_works();
}

int main(int argc, char **argv)
{
    begin(argv);
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int device = MUST(open("/dev/zero", O_RDWR)), file = MUST(open(in_work("far"), O_CREAT | O_RDWR, 0600));
    private_zero = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, device, 0);
    shared_zero = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
    close(device);
    MUST(ftruncate(file, 6L << 30));
    far = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0x11d800000);
    close(file);
    droppable = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | 8, -1, 0);
    // Room below it, so that it may grow, and something at the end of that.
    unsigned char *room = mmap(NULL, 4 * GROWS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(munmap(room + PAGE, 4 * GROWS - PAGE));
    MUST(mprotect(room, PAGE, PROT_READ));
    stack = room + 2 * GROWS;
    MUST(mmap(stack + GROWS - 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0)
        == MAP_FAILED ? -1 : 0);
    for (int page = 3; page <= 32; page++)
        stack[GROWS - page * PAGE] = 1;
    zeroes = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    holes = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(private_zero, 4 * PAGE, 1);
    fill(shared_zero, 4 * PAGE, 2);
    fill(far, 4 * PAGE, 3);
    fill(stack + GROWS - 32 * PAGE, 32 * PAGE, 4);
    fill(holes + 63 * PAGE, PAGE, 6);
    if (droppable != MAP_FAILED)
        fill(droppable, PAGE, 7);
    CHECK(zero(zeroes, 64 * PAGE));
    pid_t child = MUST(fork());
    if (child == 0) {
        fill(private_zero, 4 * PAGE, 11);
        flags[1] = 1;
        while (!flags[0])
            usleep(1000);
        _exit(!right(1));
    }
    while (!flags[1])
        usleep(1000);
    ready();
    CHECK(right(0));
    flags[0] = 1;
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    // It grows on, until it comes too near to what lies below.
    signal(SIGSEGV, fault);
    CHECK(!faults(stack + GROWS - 200 * PAGE) && zero(stack + GROWS - 199 * PAGE, PAGE));
    CHECK(faults(room + 100 * PAGE));
    return finish();
}
