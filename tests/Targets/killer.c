// Kills Firn with SIGKILL at random moments, inside a pid namespace where nothing else runs but what it is told of.
//   killer dump KILLS SEED COUNTERS COMMAND...      of dumps that leave `checking` running: it must go on and find nothing wrong
//   killer restore KILLS SEED PROCESSES COMMAND...  of detached restores: nothing may be left of the tree
//   killer target COUNT SEED COMMAND...             kills the target instead, which it starts anew each time: see below
//   killer state KILLS SEED FILE TEXT COMMAND...    of dumps: FILE must soon say TEXT again each time
// KILLS counts those that came in time; a dump or restore that ended before is no round. Ends with status 0 if all was well. The last
// line sums up.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct counters { uint32_t pid[2]; uint32_t ready; uint32_t parts; _Atomic uint64_t count[8]; _Atomic uint32_t bad; char what[240]; };

static const long long patience = 30000000000LL;
static uint64_t state;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void nap(long long nanoseconds)
{
    struct timespec t = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    nanosleep(&t, NULL);
}

// splitmix64: the same moments, as far as the seed decides them, on every machine.
static uint64_t draw(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static int run(char **command)
{
    int pid = vfork();
    if (pid == 0) {
        execv(command[0], command);
        _exit(127);
    }
    return pid;
}

static int reap(int pid)
{
    int status;
    while (waitpid(pid, &status, 0) != pid)
        ;
    return status;
}

// Waits for a while for its end; -1 if it is still there.
static int reap_within(int pid, long long nanoseconds)
{
    int status;
    for (long long end = now() + nanoseconds; now() < end; nap(500000))
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
    return -1;
}

static int usual_cmp(const void *a, const void *b)
{
    return (*(long long *)a > *(long long *)b) - (*(long long *)a < *(long long *)b);
}

static int entries(const char *format, int pid)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof(path), format, pid);
    DIR *directory = opendir(path);
    if (!directory)
        return -1;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static int scratches(int pid)
{
    char path[64], line[512];
    int count = 0;
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    if (!maps)
        return -1;
    while (fgets(line, sizeof(line), maps))
        count += strstr(line, "memfd:firn-scratch") != NULL;
    fclose(maps);
    return count;
}

// All processes but the launcher and this one; kills them where asked. Zombies count: the launcher reaps them in a moment.
static int others(int signal)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        int pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid()) {
            count++;
            if (signal)
                kill(pid, signal);
        }
    }
    closedir(directory);
    return count;
}

static int progresses(struct counters *shared)
{
    uint64_t before[8];
    for (uint32_t part = 0; part < shared->parts; part++)
        before[part] = shared->count[part];
    for (long long end = now() + patience; now() < end; nap(200000)) {
        uint32_t further = 0;
        if (shared->bad)
            break;
        for (uint32_t part = 0; part < shared->parts; part++)
            further += shared->count[part] > before[part];
        if (further == shared->parts)
            return 1;
    }
    for (uint32_t part = 0; part < shared->parts; part++)
        if (shared->count[part] == before[part])
            printf("part %u stands still\n", part);
    printf("the target: %s\n", shared->bad ? shared->what : "stands still");
    return 0;
}

static long long usual(char **command, int *failed)
{
    long long took[5];
    for (int k = 0; k < 5; k++) {
        long long begin = now();
        *failed += reap(run(command)) != 0;
        took[k] = now() - begin;
    }
    qsort(took, 5, sizeof(took[0]), usual_cmp);
    return took[2];
}

// How long a run takes changes with what else the machine does: fewer moments beyond its end are drawn if many come late, more if the last
// ones come in time.
static void adapt(long long *took, long long delay, int in_time)
{
    if (!in_time)
        *took -= *took / 16;
    else if (delay > *took - *took / 8)
        *took += *took / 8;
}

static int kill_dumps(int count, const char *file, char **command)
{
    int fd = open(file, O_RDWR | O_CLOEXEC), failed = 0, killed = 0, ended = 0;
    struct counters *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || shared == MAP_FAILED)
        return 2;
    int before[2] = { entries("/proc/%d/fd", shared->pid[0]), entries("/proc/%d/fd", shared->pid[1]) };
    long long took = usual(command, &failed);
    for (int round = 0; killed < count; round++) {
        if (round > 20 * count) {
            printf("only %d of %d rounds were killed in time\n", killed, round);
            return 1;
        }
        long long delay = draw() % took;
        int pid = run(command);
        nap(delay);
        kill(pid, SIGKILL);
        int status = reap(pid);
        if (WIFSIGNALED(status))
            killed++;
        else {
            ended++;
            failed += status != 0;
        }
        adapt(&took, delay, WIFSIGNALED(status));
        if (!progresses(shared)) {
            printf("round %d, killed after %lld us of %lld\n", round, delay / 1000, took / 1000);
            return 1;
        }
    }
    // What killed ones left, a descriptor or a mapping, the next one clears away.
    failed += reap(run(command)) != 0;
    int well = progresses(shared);
    for (int k = 0; k < 2; k++) {
        int after = entries("/proc/%d/fd", shared->pid[k]), left = scratches(shared->pid[k]);
        if (after != before[k] || left) {
            printf("pid %u: %d descriptors, before %d; %d scratches\n", shared->pid[k], after, before[k], left);
            well = 0;
        }
    }
    printf("%d killed, %d ended before, %d failed; a dump took %lld us\n", killed, ended, failed, took / 1000);
    return !well || failed;
}

static int kill_restores(int count, int processes, char **command)
{
    int killed = 0, complete = 0, partial = 0, failed = 0;
    long long took = 0;
    // A tree that is whole by the time of the kill is no round either.
    for (int round = -3; killed - complete < count; round++) {
        if (round > 20 * count) {
            printf("only %d of %d rounds were killed in time\n", killed, round);
            return 1;
        }
        long long begin = now(), delay = round < 0 ? patience : (long long)(draw() % took);
        int pid = run(command);
        int status;
        if (round < 0) {
            status = reap(pid);
            took = now() - begin;
        } else {
            nap(delay);
            kill(pid, SIGKILL);
            status = reap(pid);
        }
        if (WIFSIGNALED(status))
            killed++;
        else
            failed += status != 0;
        // What dies with its tracer takes a moment to be reaped: what stays the same for a while stays.
        int left = others(0);
        for (long long since = now(); left && WIFSIGNALED(status) && now() < since + (left == processes ? 50000000 : 500000000); nap(500000)) {
            int seen = others(0);
            if (seen != left)
                since = now();
            left = seen;
        }
        if (left && left != processes) {
            partial++;
            printf("round %d, killed after %lld us of %lld: %d processes left\n", round, delay / 1000, took / 1000, left);
            others(SIGKILL);
        } else if (left) {
            complete++;
            others(SIGKILL);
        }
        if (round >= 0)
            adapt(&took, delay, WIFSIGNALED(status) && left != processes);
        for (long long end = now() + patience; others(0); nap(300000))
            if (now() > end) {
                printf("round %d: what is left does not die\n", round);
                return 1;
            }
    }
    printf("%d killed, %d complete, %d in part, %d failed; a restore took %lld us\n", killed, complete, partial, failed, took / 1000);
    return partial || failed;
}

// COMMAND is a dump with "PID" in place of the target's pid; the target is `sleep`-like: argument 0 up to "--".
static int kill_targets(int count, char **both)
{
    char **command = both, number[16];
    int errors = 0, successes = 0, at = -1;
    while (strcmp(*command, "--"))
        command++;
    *command++ = NULL;
    for (int k = 0; command[k]; k++)
        if (!strcmp(command[k], "PID"))
            at = k;
    long long took = 0;
    for (int round = -3; round < count; round++) {
        int target = fork();
        if (target == 0) {
            setsid();
            execv(both[0], both);
            _exit(127);
        }
        nap(15000000);
        snprintf(number, sizeof(number), "%d", target);
        command[at] = number;
        long long begin = now();
        int pid = run(command), status;
        if (round >= 0) {
            nap(draw() % (took + took / 5));
            kill(target, SIGKILL);
        }
        status = reap_within(pid, patience);
        if (status < 0) {
            printf("round %d: firn hangs\n", round);
            kill(pid, SIGABRT);
            return 1;
        }
        if (round < 0)
            took = now() - begin;
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
            printf("round %d: firn ended with %x\n", round, status);
            return 1;
        }
        *(status ? &errors : &successes) += 1;
        kill(target, SIGKILL);
        reap(target);
        for (long long end = now() + patience; others(SIGKILL); nap(300000))
            if (now() > end) {
                printf("round %d: what is left does not die\n", round);
                return 1;
            }
    }
    printf("%d ended with an error, %d well; a dump took %lld us\n", errors, successes, took / 1000);
    return 0;
}

static int says(const char *file, const char *text)
{
    char line[64] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    long length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    close(fd);
    return length > 0 && !strncmp(line, text, strlen(text));
}

static int kill_states(int count, const char *file, const char *text, char **command)
{
    int failed = 0, killed = 0;
    long long took = usual(command, &failed);
    for (int round = 0; round < count; round++) {
        long long delay = draw() % took;
        int pid = run(command);
        nap(delay);
        kill(pid, SIGKILL);
        int status = reap(pid);
        killed += WIFSIGNALED(status);
        failed += !WIFSIGNALED(status) && status != 0;
        // FREEZING, in between, is on its way.
        for (long long end = now() + 2000000000LL; !says(file, text); nap(500000))
            if (now() > end) {
                printf("round %d, killed after %lld us of %lld: the state is not what it was\n", round, delay / 1000, took / 1000);
                return 1;
            }
    }
    printf("%d killed, %d failed; a dump took %lld us\n", killed, failed, took / 1000);
    return failed || !killed;
}

int main(int count, char **arguments)
{
    if (count < 6)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1);
    state = strtoull(arguments[3], NULL, 0);
    printf("seed %s\n", arguments[3]);
    int rounds = atoi(arguments[2]);
    if (!strcmp(arguments[1], "dump"))
        return kill_dumps(rounds, arguments[4], arguments + 5);
    if (!strcmp(arguments[1], "restore"))
        return kill_restores(rounds, atoi(arguments[4]), arguments + 5);
    if (!strcmp(arguments[1], "state"))
        return kill_states(rounds, arguments[4], arguments[5], arguments + 6);
    return kill_targets(rounds, arguments + 4);
}
