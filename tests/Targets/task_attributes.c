// What each thread and the process carry besides memory and registers: names of any bytes, limits, scheduling, prctl values, rseq.
#include "target.h"
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { WORDS = 24 };
struct state { long words[WORDS]; char name[16]; cpu_set_t cpus; struct rlimit limits[16]; };
static struct state was[2], is[2];
static volatile int at_rest, go;

static void look(struct state *s)
{
    long *w = s->words;
    int reaper = 0;
    char attributes[56] = { 0 };
    memset(s, 0, sizeof *s);
    prctl(PR_GET_NAME, s->name);
    prctl(PR_GET_CHILD_SUBREAPER, &reaper);
    *w++ = reaper;
    *w++ = prctl(PR_GET_DUMPABLE);
    *w++ = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    *w++ = prctl(PR_GET_TIMERSLACK);
    *w++ = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    prctl(PR_GET_TID_ADDRESS, w++);
    *w++ = personality(0xffffffff);
    *w++ = syscall(SYS_membarrier, 1 << 9, 0, 0);
    syscall(SYS_get_robust_list, 0, w, w + 1);
    w += 2;
    *w++ = syscall(SYS_getpriority, PRIO_PROCESS, 0);
    *w++ = syscall(SYS_ioprio_get, 1, 0);
    syscall(SYS_sched_getattr, 0, attributes, sizeof attributes, 0);
    memcpy(w++, attributes + 4, 4);
    memcpy(w++, attributes + 8, 8);
    memcpy(w++, attributes + 20, 4);
    *w++ = syscall(SYS_gettid);
    sched_getaffinity(0, sizeof s->cpus, &s->cpus);
    for (int i = 0; i < 16; i++)
        getrlimit(i, &s->limits[i]);
}

static void compare(int n)
{
    for (int i = 0; i < WORDS; i++)
        if (was[n].words[i] != is[n].words[i])
            differ("thread %d: value %d is %lx, was %lx", n, i, is[n].words[i], was[n].words[i]);
    CHECK(!memcmp(was[n].name, is[n].name, 16));
    CHECK(CPU_EQUAL(&was[n].cpus, &is[n].cpus));
    for (int i = 0; i < 16; i++)
        if (memcmp(&was[n].limits[i], &is[n].limits[i], sizeof(struct rlimit)))
            differ("limit %d: %lx %lx, was %lx %lx", i, is[n].limits[i].rlim_cur, is[n].limits[i].rlim_max,
                was[n].limits[i].rlim_cur, was[n].limits[i].rlim_max);
}

static void *other(void *unused)
{
    struct sched_param priority = { 0 };
    cpu_set_t one;
    prctl(PR_SET_NAME, "\xff\xfe) \n(x\x80");
    prctl(PR_SET_TIMERSLACK, 123456);
    MUST(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &priority));
    MUST(setpriority(PRIO_PROCESS, syscall(SYS_gettid), 7));
    MUST(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
    look(&was[1]);
    at_rest = 1;
    while (!go)
        usleep(10000);
    look(&is[1]);
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    begin(argv);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 55, 777 });
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1234567, 7654321 });
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    setrlimit(RLIMIT_STACK, &(struct rlimit){ 4 << 20, 64 << 20 });
    pthread_create(&thread, NULL, other, NULL);
    while (!at_rest)
        usleep(1000);
    prctl(PR_SET_NAME, "a name (with) ) ");
    personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
    setpriority(PRIO_PROCESS, syscall(SYS_gettid), -3);
    look(&was[0]);
    ready();
    look(&is[0]);
    go = 1;
    pthread_join(thread, NULL);
    compare(0);
    compare(1);
    return finish();
}
