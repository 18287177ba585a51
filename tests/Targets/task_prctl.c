// What a process and its threads have set by prctl(2) and in /proc: faults of RDTSC, what failing memory does, memory that may not be
// written and executed, pages that may be merged, what a core has of it, the nice value of its session; some in one thread only.
#include "target.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { WORDS = 9, GET_MDWE = 66, SET_MDWE = 65, GET_MERGE = 68, SET_MERGE = 67 };
struct state { long words[WORDS]; char text[2][64]; };
static struct state was[3], is[3];
static volatile int at_rest, go;

static void read_text(const char *name, char *text)
{
    int fd = open(name, O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, text, 63);
    text[size < 0 ? 0 : size] = 0;
    close(fd);
    char *nice = strstr(text, "nice");
    if (nice)
        memmove(text, nice, strlen(nice) + 1);
}

static void look(struct state *s)
{
    int counter = 0;
    long *w = s->words;
    memset(s, 0, sizeof *s);
    prctl(PR_GET_TSC, &counter);
    *w++ = counter;
    *w++ = syscall(SYS_arch_prctl, 0x1011, 0);
    *w++ = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
    *w++ = prctl(GET_MDWE, 0, 0, 0, 0);
    *w++ = prctl(GET_MERGE, 0, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        *w++ = prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0);
    *w++ = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    read_text("/proc/self/coredump_filter", s->text[0]);
    read_text("/proc/self/autogroup", s->text[1]);
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY);
    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        fprintf(stderr, "%s: %m\n", name);
    close(fd);
}

static void *other(void *unused)
{
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0);
    prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE, 0, 0);
    look(&was[1]);
    at_rest = 1;
    while (!go)
        usleep(10000);
    look(&is[1]);
    return unused;
}

static void compare(int n)
{
    for (int i = 0; i < WORDS; i++)
        if (was[n].words[i] != is[n].words[i])
            differ("%d: value %d is %lx, was %lx", n, i, is[n].words[i], was[n].words[i]);
    for (int i = 0; i < 2; i++)
        if (strcmp(was[n].text[i], is[n].text[i]))
            differ("%d: text %d is %s, was %s", n, i, is[n].text[i], was[n].text[i]);
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    int go_on[2], tell[2];
    begin(argv);
    MUST(pipe(go_on));
    MUST(pipe(tell));
    put("/proc/self/coredump_filter", "0x7d");
    put("/proc/self/autogroup", "6");
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
    int child = MUST(fork());
    if (!child) {
        // A session of its own, and nothing forbidden but what it forbids itself.
        setsid();
        put("/proc/self/autogroup", "3");
        put("/proc/self/coredump_filter", "0x11");
        prctl(SET_MERGE, 1, 0, 0, 0);
        look(&was[2]);
        MUST(write(tell[1], &was[2], sizeof was[2]));
        MUST(read(go_on[0], &is[2], 1));
        look(&is[2]);
        MUST(write(tell[1], &is[2], sizeof is[2]));
        _exit(0);
    }
    MUST(read(tell[0], &was[2], sizeof was[2]));
    pthread_create(&thread, NULL, other, NULL);
    while (!at_rest)
        usleep(1000);
    if (prctl(SET_MDWE, 1 | 2, 0, 0, 0))
        prctl(SET_MDWE, 1, 0, 0, 0);
    look(&was[0]);
    was[1].words[3] = was[0].words[3];
    ready();
    look(&is[0]);
    go = 1;
    pthread_join(thread, NULL);
    MUST(write(go_on[1], "g", 1));
    MUST(read(tell[0], &is[2], sizeof is[2]));
    for (int i = 0; i < 3; i++)
        compare(i);
    return finish();
}
