// Every policy of scheduling with its parameters, in threads and in processes, nice values, CPUs, I/O priorities; what this machine refuses
// is left out.
#include "target.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct attributes { unsigned size, policy; unsigned long long flags; int nice; unsigned priority; unsigned long long runtime, deadline, period; unsigned min, max; };
enum { OTHER, SLICE, BATCH, IDLE, FIFO, RR, DEADLINE, CPU, NICE_RR, IDLE_IO, COUNT };
static const struct attributes wanted[COUNT] = {
    [OTHER] = { .policy = SCHED_OTHER, .nice = 5 },
    [SLICE] = { .policy = SCHED_OTHER, .nice = -4, .runtime = 7000000 },
    [BATCH] = { .policy = SCHED_BATCH, .nice = 19 },
    [IDLE] = { .policy = SCHED_IDLE, .nice = 3 },
    [FIFO] = { .policy = SCHED_FIFO, .priority = 7 },
    [RR] = { .policy = SCHED_RR, .priority = 3, .flags = 1 },
    [DEADLINE] = { .policy = 6, .runtime = 1000000, .deadline = 50000000, .period = 100000000 },
    [CPU] = { .policy = SCHED_OTHER },
    [NICE_RR] = { .policy = SCHED_RR, .priority = 1 },
    [IDLE_IO] = { .policy = SCHED_OTHER },
};
struct state { struct attributes attributes; int nice, io; cpu_set_t cpus; };
struct pair { struct state was, is; };
static volatile int started, go;

static void look(struct state *s)
{
    memset(s, 0, sizeof *s);
    syscall(SYS_sched_getattr, 0, &s->attributes, sizeof s->attributes, 0);
    s->nice = syscall(SYS_getpriority, PRIO_PROCESS, 0);
    s->io = syscall(SYS_ioprio_get, 1, 0);
    sched_getaffinity(0, sizeof s->cpus, &s->cpus);
}

static void set(int me)
{
    struct attributes a = wanted[me];
    cpu_set_t last;
    a.size = sizeof a;
    if (me == NICE_RR)
        setpriority(PRIO_PROCESS, syscall(SYS_gettid), 11);
    if (me == CPU) {
        CPU_ZERO(&last);
        CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &last);
        sched_setaffinity(0, sizeof last, &last);
    }
    if (me == IDLE_IO)
        syscall(SYS_ioprio_set, 1, 0, 3 << 13);
    if (me == BATCH)
        syscall(SYS_ioprio_set, 1, 0, 1 << 13 | 2);
    if (syscall(SYS_sched_setattr, 0, &a, 0))
        fprintf(stderr, "policy %d: %m\n", a.policy);
}

static const char *changed(const struct pair *p)
{
    return memcmp(&p->was.attributes, &p->is.attributes, sizeof p->was.attributes) ? "attributes" : p->was.nice != p->is.nice ? "nice value"
        : p->was.io != p->is.io ? "I/O priority" : !CPU_EQUAL(&p->was.cpus, &p->is.cpus) ? "CPUs" : NULL;
}

static struct pair pairs[COUNT];

static void *run(void *argument)
{
    int me = (int)(long)argument;
    set(me);
    look(&pairs[me].was);
    __sync_fetch_and_add(&started, 1);
    while (!go)
        usleep(10000);
    look(&pairs[me].is);
    return NULL;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t threads[COUNT];
    int children[COUNT], told[2], start[2], status;
    struct pair pair;
    char byte;
    begin(argv);
    MUST(pipe(told));
    MUST(pipe(start));
    for (int i = 0; i < COUNT; i++) {
        if (!(children[i] = MUST(fork()))) {
            set(i);
            look(&pair.was);
            MUST(write(told[1], "r", 1));
            MUST(read(start[0], &byte, 1));
            look(&pair.is);
            _exit(changed(&pair) ? 1 : 0);
        }
        MUST(read(told[0], &byte, 1));
    }
    for (int i = 0; i < COUNT; i++)
        pthread_create(&threads[i], NULL, run, (void *)(long)i);
    while (started < COUNT)
        usleep(1000);
    ready();
    go = 1;
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        if (changed(&pairs[i]))
            differ("thread %d: its %s: policy %u, was %u; nice %d, was %d; runtime %llu, was %llu", i, changed(&pairs[i]),
                pairs[i].is.attributes.policy, pairs[i].was.attributes.policy, pairs[i].is.nice, pairs[i].was.nice,
                pairs[i].is.attributes.runtime, pairs[i].was.attributes.runtime);
        MUST(write(start[1], "g", 1));
    }
    for (int i = 0; i < COUNT; i++)
        if (waitpid(children[i], &status, 0) != children[i] || status)
            differ("process %d: status %x", i, status);
    return finish();
}
