// What is done on each signal, flags and masks; the mask of each thread; a stack for handlers in each thread, one of them in use.
#include "target.h"
#include <pthread.h>
#include <sys/syscall.h>

struct action { void *handler; unsigned long flags; void *restorer; unsigned long mask; };
static struct action was[65], now[65];
static volatile int at_rest, go;
static char stacks[2][65536];
static volatile int on_stack_was, on_stack_is;

static void on_stack(int signal)
{
    char here;
    (void)signal;
    on_stack_was = &here > stacks[1] && &here < stacks[1] + sizeof stacks[1];
    __atomic_add_fetch(&at_rest, 1, __ATOMIC_SEQ_CST);
    while (!go)
        usleep(10000);
    stack_t stack;
    sigaltstack(NULL, &stack);
    on_stack_is = stack.ss_sp == stacks[1] && stack.ss_size == sizeof stacks[1] && stack.ss_flags == SS_ONSTACK;
}

static void nothing(int signal, siginfo_t *info, void *context) { (void)signal, (void)info, (void)context; }

static unsigned long mask_of_thread(void)
{
    unsigned long mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
    return mask;
}

static void *other(void *unused)
{
    sigset_t set;
    stack_t stack = { .ss_sp = stacks[1], .ss_size = sizeof stacks[1] };
    sigfillset(&set);
    sigdelset(&set, SIGRTMIN + 2);
    sigdelset(&set, SIGHUP);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    unsigned long before = mask_of_thread();
    MUST(sigaltstack(&stack, NULL));
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGRTMIN + 2);
    unsigned long after = mask_of_thread();
    if (before != after)
        differ("mask of the thread: %lx, was %lx", after, before);
    return unused;
}

static void read_all(struct action *actions)
{
    for (int i = 1; i < 65; i++)
        if (i != SIGKILL && i != SIGSTOP)
            MUST(syscall(SYS_rt_sigaction, i, NULL, &actions[i], 8));
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    begin(argv);
    for (int i = 1; i < 65; i++) {
        if (i == SIGKILL || i == SIGSTOP || i == SIGUSR1 || i == 32 || i == 33)
            continue;
        struct sigaction action = { .sa_flags = i % 3 ? SA_RESTART : SA_NOCLDSTOP };
        if (i % 4 == 0)
            action.sa_handler = SIG_IGN;
        else if (i % 4 == 1) {
            action.sa_sigaction = nothing;
            action.sa_flags |= SA_SIGINFO | (i % 5 ? SA_ONSTACK : SA_NODEFER);
        }
        for (int k = 1; k < 65; k++)
            if ((k * i) % 7 == 0)
                sigaddset(&action.sa_mask, k);
        sigaction(i, &action, NULL);
    }
    struct sigaction on = { .sa_handler = on_stack, .sa_flags = SA_ONSTACK };
    sigaction(SIGRTMIN + 2, &on, NULL);
    stack_t stack = { .ss_sp = stacks[0], .ss_size = sizeof stacks[0] };
    MUST(sigaltstack(&stack, NULL));
    pthread_create(&thread, NULL, other, NULL);
    while (!at_rest)
        usleep(1000);
    unsigned long mask = mask_of_thread();
    read_all(was);
    ready();
    read_all(now);
    for (int i = 1; i < 65; i++)
        if (memcmp(&was[i], &now[i], sizeof was[i]))
            differ("action of signal %d", i);
    CHECK(mask == mask_of_thread());
    stack_t found;
    sigaltstack(NULL, &found);
    CHECK(found.ss_sp == stacks[0] && found.ss_size == sizeof stacks[0] && found.ss_flags == 0);
    go = 1;
    pthread_join(thread, NULL);
    CHECK(on_stack_was && on_stack_is);
    return finish();
}
