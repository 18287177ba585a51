// Holds one object that a dump refuses: `refused KIND DIRECTORY`. Ends with status 77 where this kernel does not offer it.
#include "target.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define OFFERED(call) ({ long result_ = (call); if (result_ < 0) _exit(77); (int)result_; })

static const char *directory;

static const char *path(const char *name)
{
    static char text[4096];
    snprintf(text, sizeof(text), "%s/%s", directory, name);
    return text;
}

static int idle(void *unused)
{
    for (;;)
        pause();
    return unused != NULL;
}

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void established(void)
{
    struct sockaddr_in a = loopback();
    socklen_t n = sizeof(a);
    int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&a, n));
    MUST(listen(listener, 1));
    MUST(getsockname(listener, (void *)&a, &n));
    MUST(connect(client, (void *)&a, n));
    MUST(accept(listener, NULL, NULL));
}

static void corked(void)
{
    struct sockaddr_in a = loopback();
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0)), on = 1;
    MUST(bind(fd, (void *)&a, sizeof(a)));
    socklen_t n = sizeof(a);
    MUST(getsockname(fd, (void *)&a, &n));
    MUST(connect(fd, (void *)&a, n));
    MUST(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)));
    MUST(send(fd, "part", 4, 0));
}

static void linked(void)
{
    int fd = MUST(open(path("name"), O_CREAT | O_RDWR, 0600));
    MUST(write(fd, "content", 7));
    char other[4096];
    snprintf(other, sizeof(other), "%s", path("other"));
    MUST(link(path("name"), other));
    MUST(unlink(path("name")));
}

static void ghost(void)
{
    static char block[1 << 20];
    memset(block, 7, sizeof(block));
    int fd = MUST(open(path("large"), O_CREAT | O_RDWR, 0600));
    MUST(write(fd, block, sizeof(block)));
    MUST(write(fd, block, sizeof(block)));
    MUST(unlink(path("large")));
}

static void locked(void)
{
    int fd = MUST(open(path("locked"), O_CREAT | O_RDWR, 0600));
    MUST(flock(fd, LOCK_EX));
}

static void algorithm(void)
{
    struct { unsigned short family; unsigned char type[14]; unsigned feat, mask; unsigned char name[64]; } a = { .family = AF_ALG };
    strcpy((char *)a.type, "hash");
    strcpy((char *)a.name, "sha256");
    int fd = OFFERED(socket(AF_ALG, SOCK_SEQPACKET, 0));
    OFFERED(bind(fd, (void *)&a, sizeof(a)));
}

static void bpf_map(void)
{
    union bpf_attr attributes = { .map_type = BPF_MAP_TYPE_STACK, .value_size = 8, .max_entries = 1 };
    OFFERED(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

static void performance(void)
{
    struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attributes), .config = PERF_COUNT_SW_TASK_CLOCK };
    OFFERED(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

static void listener(void)
{
    struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
    struct sock_fprog program = { 1, &allow };
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OFFERED(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static volatile int apart;

static void *turn_away(void *unused)
{
    MUST(unshare(CLONE_FS));
    apart = 1;
    idle(unused);
    return NULL;
}

static void thread_apart(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, turn_away, NULL);
    while (!apart)
        usleep(1000);
}

// A grandchild has the table of its grandparent, and what is between them has not.
static void shared_over_a_generation(void)
{
    int told[2];
    char byte;
    MUST(pipe(told));
    if (!MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0))) {
        if (!MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)))
            idle(NULL);
        MUST(unshare(CLONE_FILES));
        MUST(write(told[1], "x", 1));
        idle(NULL);
    }
    MUST(read(told[0], &byte, 1));
}

// The leader is no descendant any more, since its parent has ended; and lives.
static void lost_group(void)
{
    int told[2], leader;
    MUST(pipe(told));
    int parent = MUST(fork());
    if (!parent) {
        leader = MUST(fork());
        if (!leader) {
            close(told[0]);
            close(told[1]);
            idle(NULL);
        }
        MUST(setpgid(leader, leader));
        MUST(write(told[1], &leader, sizeof(leader)));
        _exit(0);
    }
    MUST(read(told[0], &leader, sizeof(leader)));
    MUST(waitpid(parent, NULL, 0));
    close(told[0]);
    close(told[1]);
    int member = MUST(fork());
    if (!member)
        idle(NULL);
    MUST(setpgid(member, leader));
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const char *kind = argv[1];
    directory = argv[2];
    begin(argv + 1);
    if (!strcmp(kind, "tcp-established"))
        established();
    else if (!strcmp(kind, "udp-corked"))
        corked();
    else if (!strcmp(kind, "link-remap"))
        linked();
    else if (!strcmp(kind, "ghost-limit"))
        ghost();
    else if (!strcmp(kind, "file-locks"))
        locked();
    else if (!strcmp(kind, "crypto-socket"))
        algorithm();
    else if (!strcmp(kind, "bpf-map"))
        bpf_map();
    else if (!strcmp(kind, "perf-event"))
        performance();
    else if (!strcmp(kind, "seccomp-listener"))
        listener();
    else if (!strcmp(kind, "vsock-socket"))
        OFFERED(socket(AF_VSOCK, SOCK_STREAM, 0));
    else if (!strcmp(kind, "file-system-context"))
        OFFERED(syscall(SYS_fsopen, "tmpfs", 0));
    else if (!strcmp(kind, "userfaultfd"))
        OFFERED(syscall(SYS_userfaultfd, 1));
    else if (!strcmp(kind, "io-uring")) {
        struct io_uring_params parameters = { 0 };
        OFFERED(syscall(SYS_io_uring_setup, 4, &parameters));
    } else if (!strcmp(kind, "landlock-ruleset")) {
        unsigned long long handled[1] = { 1 };
        OFFERED(syscall(444, handled, sizeof(handled), 0));
    } else if (!strcmp(kind, "memfd-secret")) {
        int fd = OFFERED(syscall(447, 0));
        OFFERED(ftruncate(fd, 4096));
        OFFERED(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
        close(fd);
    } else if (!strcmp(kind, "process-group"))
        lost_group();
    else if (!strcmp(kind, "thread-own-state"))
        thread_apart();
    else if (!strcmp(kind, "shared-task-state"))
        shared_over_a_generation();
    else if (!strcmp(kind, "syscall-user-dispatch")) {
        static char allow;
        OFFERED(prctl(59, 1, 0, 0, &allow));
    } else if (!strcmp(kind, "pidfd-outside"))
        OFFERED(syscall(SYS_pidfd_open, getppid(), 0));
    else
        return 2;
    ready();
    return finish();
}
