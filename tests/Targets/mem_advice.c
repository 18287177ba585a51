// Advice and locks: each comes back, and those about fork do what they say.
#include "mem_target.h"

enum { COUNT = 9, SIZE = 4 << 20 };
static const struct { int advice; const char *flag; } advices[COUNT] = {
    { MADV_SEQUENTIAL, "sr" }, { MADV_RANDOM, "rr" }, { MADV_DONTFORK, "dc" }, { MADV_DONTDUMP, "dd" }, { MADV_HUGEPAGE, "hg" },
    { MADV_NOHUGEPAGE, "nh" }, { MADV_WIPEONFORK, "wf" }, { MADV_MERGEABLE, "mg" }, { MADV_NORMAL, "" },
};

int main(int argc, char **argv)
{
    begin(argv);
    unsigned char *at[COUNT];
    int set[COUNT];
    for (int i = 0; i < COUNT; i++) {
        // A page between them that can't be touched, so that no two are merged.
        at[i] = mmap(NULL, SIZE + 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MUST(mprotect(at[i], SIZE, PROT_READ | PROT_WRITE));
        set[i] = madvise(at[i], SIZE, advices[i].advice) == 0;
        fill(at[i], SIZE, i);
    }
    unsigned char *locked = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int is_locked = mlock(locked, 4 * PAGE) == 0;
    fill(locked, 4 * PAGE, 50);
    ready();
    for (int i = 0; i < COUNT; i++) {
        CHECK(filled(at[i], SIZE, i));
        CHECK(!set[i] || has_flag(at[i], advices[i].flag));
        for (int other = 0; other < COUNT - 1; other++)
            if (other != i)
                CHECK(!has_flag(at[i], advices[other].flag));
    }
    CHECK(filled(locked, 4 * PAGE, 50) && (!is_locked || has_flag(locked, "lo")));
    pid_t child = MUST(fork());
    if (child == 0)
        _exit((zero(at[6], SIZE) ? 0 : 1) | (strcmp(mapping(at[2]), "none") ? 2 : 0));
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
