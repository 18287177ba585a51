// Locks of memory that is still to come (mlockall, MCL_FUTURE): at once in the one process, when touched in its child; a third has none.
// What was mapped before stays as it was: locked, locked when touched, or not.
#include "mem_target.h"

static volatile unsigned char *flags;

static int locked_status(void)
{
    char line[256];
    long found = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof(line), file))
        if (!strncmp(line, "VmLck:", 6))
            found = strtol(line + 6, NULL, 10);
    fclose(file);
    return found;
}

static int comes(const char *one, const char *two)
{
    unsigned char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int locked = has_flag(at, "lo"), on_fault = has_flag(at, "lf"), good = locked == (one != NULL) && on_fault == (two != NULL);
    munmap(at, 8 * PAGE);
    return good;
}

int main(int argc, char **argv)
{
    begin(argv);
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *all = mmap(NULL, 96 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *before = all, *locked = all + 32 * PAGE, *touched = all + 64 * PAGE;
    fill(before, 4 * PAGE, 1);
    kib(all, "Rss:");
    int able = mlock(locked, 16 * PAGE) == 0 && mlock2(touched, 32 * PAGE, MLOCK_ONFAULT) == 0;
    fill(touched, 2 * PAGE, 2);
    pid_t child = MUST(fork()), none = child ? MUST(fork()) : 0;
    if (!child || !none) {
        if (!child && able)
            able = mlockall(MCL_FUTURE | MCL_ONFAULT) == 0;
        flags[child ? 2 : 1] = 1;
        while (!flags[0])
            usleep(1000);
        _exit(!(comes(!child && able ? "lo" : NULL, !child && able ? "lf" : NULL) && filled(before, 4 * PAGE, 1) && !has_flag(before, "lo")
            && !has_flag(locked, "lo")));
    }
    if (able)
        MUST(mlockall(MCL_FUTURE));
    while (!flags[1] || !flags[2])
        usleep(1000);
    long status = locked_status();
    ready();
    CHECK(locked_status() == status);
    CHECK(!able || (comes("lo", NULL) && has_flag(locked, "lo") && !has_flag(locked, "lf") && kib(locked, "Rss:") == 64));
    CHECK(!able || (has_flag(touched, "lo") && has_flag(touched, "lf") && kib(touched, "Rss:") == 8 && filled(touched, 2 * PAGE, 2)));
    CHECK(!has_flag(before, "lo") && filled(before, 4 * PAGE, 1) && zero(before + 4 * PAGE, PAGE));
    int result = -1;
    flags[0] = 1;
    CHECK(waitpid(child, &result, 0) == child && result == 0);
    CHECK(waitpid(none, &result, 0) == none && result == 0);
    if (able)
        CHECK(mlockall(MCL_CURRENT) == 0 && has_flag(before, "lo") && munlockall() == 0 && comes(NULL, NULL));
    return finish();
}
