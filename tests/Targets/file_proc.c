// Files and directories of /proc: of the task itself, of its threads, of its child, of a process that is gone; shared and duplicated.
#include "target.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int thread_id;
static void *sleeper(void *unused) { __atomic_store_n(&thread_id, syscall(SYS_gettid), __ATOMIC_SEQ_CST); pause(); return unused; }

static int opened(const char *format, int id, int flags)
{
    char path[64];
    snprintf(path, sizeof(path), format, id);
    return MUST(open(path, flags));
}

int main(int argc, char **argv)
{
    char text[256], more[256], link[256];
    struct stat s, t;
    pthread_t thread;
    begin(argv);
    pthread_create(&thread, NULL, sleeper, NULL);
    while (!__atomic_load_n(&thread_id, __ATOMIC_SEQ_CST))
        usleep(1000);
    int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int own = opened("/proc/self/stat", 0, O_RDONLY), maps = MUST(open("/proc/self/maps", O_RDONLY)), score = MUST(open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
    int directory = MUST(open("/proc/self", O_PATH | O_DIRECTORY)), table = MUST(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
    int comm = opened("/proc/self/task/%d/comm", thread_id, O_RDWR), tasks = opened("/proc/self/task/%d", thread_id, O_RDONLY | O_DIRECTORY), copy = MUST(dup(comm));
    int version = MUST(open("/proc/version", O_RDONLY)), setting = MUST(open("/proc/sys/kernel/osrelease", O_RDONLY)), mounts = MUST(open("/proc/self/mounts", O_RDONLY));
    MUST(read(version, text, 6));
    int dead = MUST(fork());
    if (!dead)
        pause();
    int late = opened("/proc/%d/stat", dead, O_RDONLY), lost = opened("/proc/%d", dead, O_RDONLY | O_DIRECTORY), name = opened("/proc/%d/comm", dead, O_PATH | O_CLOEXEC);
    kill(dead, SIGKILL);
    MUST(waitpid(dead, NULL, 0));
    int pid = MUST(fork());
    if (!pid) {
        int parent = opened("/proc/%d/comm", getppid(), O_RDONLY);
        said[0] = 1;
        while (((volatile int *)said)[0] != 2)
            usleep(10000);
        int good = read(parent, text, 4) == 4 && !memcmp(text, "file", 4) && pread(comm, text, 6, 0) == 6 && !memcmp(text, "second", 6) && lseek(own, 0, SEEK_CUR) == 5;
        _exit(good ? 0 : 1);
    }
    int child = opened("/proc/%d/stat", pid, O_RDONLY), children = opened("/proc/%d/status", pid, O_RDONLY | O_CLOEXEC);
    while (((volatile int *)said)[0] != 1)
        usleep(10000);
    MUST(write(comm, "second", 6));
    ready();
    CHECK(read(own, text, 5) == 5 && pread(child, text, 63, 0) > 0 && atoi(text) == pid && read(children, text, 5) == 5 && !memcmp(text, "Name:", 5) && fcntl(children, F_GETFD) == FD_CLOEXEC);
    CHECK(pread(own, text, 63, 0) > 0 && atoi(text) == getpid() && read(maps, text, 63) == 63 && strchr(text, '-') && fcntl(score, F_GETFD) == FD_CLOEXEC && fcntl(score, F_GETFL) & O_RDWR);
    CHECK(faccessat(directory, "stat", F_OK, 0) == 0 && fstat(directory, &s) == 0 && stat("/proc/self", &t) == 0 && s.st_ino == t.st_ino && faccessat(table, "0", F_OK, 0) == 0);
    CHECK(pread(comm, text, 64, 0) == 7 && !memcmp(text, "second\n", 7) && lseek(copy, 0, SEEK_CUR) == lseek(comm, 0, SEEK_CUR) && lseek(comm, 3, SEEK_SET) == 3 && lseek(copy, 0, SEEK_CUR) == 3);
    CHECK(faccessat(tasks, "comm", F_OK, 0) == 0 && lseek(version, 0, SEEK_CUR) == 6 && read(version, text, 8) == 8 && !memcmp(text, "version ", 8) && read(setting, text, 64) > 0 && read(mounts, text, 64) == 64);
    CHECK(read(late, text, 64) == -1 && errno == ESRCH && faccessat(lost, "stat", F_OK, 0) == -1 && fcntl(name, F_GETFL) & O_PATH && fcntl(name, F_GETFD) == FD_CLOEXEC);
    snprintf(text, sizeof(text), "/proc/%d/stat", dead);
    snprintf(more, sizeof(more), "/proc/self/fd/%d", late);
    CHECK(access(text, F_OK) == -1 && readlink(more, link, sizeof(link)) > 0 && !strncmp(link, text, strlen(text)));
    int status = -1;
    said[0] = 2;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return finish();
}
