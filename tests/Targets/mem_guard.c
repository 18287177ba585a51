// Guard pages (MADV_GUARD_INSTALL, Linux 6.13): they stay, and what lies around them too.
#include "mem_target.h"
#include <setjmp.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
static sigjmp_buf back;
static void fault(int signal) { siglongjmp(back, signal); }
static int faults(volatile unsigned char *at)
{
    int signal = sigsetjmp(back, 1);
    if (signal)
        return signal == SIGSEGV;
    *at = 1;
    return 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    unsigned char *at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(at, 64 * PAGE, 1);
    int guarded = madvise(at + 8 * PAGE, 4 * PAGE, MADV_GUARD_INSTALL) == 0 && madvise(at + 60 * PAGE, 4 * PAGE, MADV_GUARD_INSTALL) == 0;
    signal(SIGSEGV, fault);
    ready();
    CHECK(filled(at, 8 * PAGE, 1));
    if (guarded) {
        CHECK(faults(at + 8 * PAGE) && faults(at + 11 * PAGE) && faults(at + 63 * PAGE));
        CHECK(madvise(at + 8 * PAGE, 4 * PAGE, 103 /* MADV_GUARD_REMOVE */) == 0 && zero(at + 8 * PAGE, 4 * PAGE));
    }
    CHECK(!faults(at + 12 * PAGE) && at[12 * PAGE + 1] == (unsigned char)((12 * PAGE + 1) * 31 + 12 * 7 + 1));
    return finish();
}
