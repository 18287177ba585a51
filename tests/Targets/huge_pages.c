// Huge pages of hugetlbfs: private and shared anonymous memory, memfds, a System V segment, files with and without a name. A child shares
// and inherits them. Some pages were never touched.
#include "mem_target.h"
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>

#ifndef SHM_HUGETLB
#define SHM_HUGETLB 04000
#endif
enum { HUGE = 2 << 20 };

static unsigned char *map(size_t size, int flags, int fd)
{
    unsigned char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    MUST(at == MAP_FAILED ? -1 : 0);
    return at;
}

static int is_huge(const void *at) { return has_flag(at, "ht") && kib(at, "KernelPageSize:") == 2048; }

int main(int argc, char **argv)
{
    begin(argv);
    unsigned char *private = map(3 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
    unsigned char *shared = map(3 * HUGE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26, -1);
    int object = MUST(memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING)), lonely = MUST(memfd_create("lonely", MFD_HUGETLB | 21U << 26));
    MUST(ftruncate(object, 4L * HUGE));
    MUST(ftruncate(lonely, HUGE));
    MUST(fcntl(object, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    unsigned char *part = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, object, HUGE), *copy = map(HUGE, MAP_PRIVATE, lonely);
    unsigned char *alone = map(HUGE, MAP_SHARED, lonely);
    int id = MUST(shmget(IPC_PRIVATE, HUGE + 5, SHM_HUGETLB | IPC_CREAT | 0600));
    unsigned char *segment = shmat(id, NULL, 0);
    MUST(shmctl(id, IPC_RMID, NULL));
    unsigned char *named = MAP_FAILED, *unlinked = MAP_FAILED;
    if (argc > 2) {
        char path[512];
        snprintf(path, sizeof(path), "%s/named", argv[2]);
        int fd = MUST(open(path, O_CREAT | O_RDWR, 0600));
        MUST(ftruncate(fd, 2L * HUGE));
        named = map(2 * HUGE, MAP_SHARED, fd);
        fill(named + HUGE, HUGE, 9);
        snprintf(path, sizeof(path), "%s/unlinked", argv[2]);
        fd = MUST(open(path, O_CREAT | O_RDWR, 0600));
        MUST(ftruncate(fd, HUGE));
        unlinked = map(HUGE, MAP_SHARED, fd);
        fill(unlinked, HUGE, 10);
        MUST(unlink(path));
    }
    fill(private, HUGE, 1);
    fill(private + HUGE, HUGE, 2);
    fill(shared + HUGE, HUGE, 3);
    fill(part, HUGE, 4);
    fill(alone, HUGE, 5);
    fill(copy, HUGE, 6);
    close(lonely);
    fill(segment, HUGE, 7);
    MUST(mprotect(private + HUGE, HUGE, PROT_READ));
    volatile unsigned char *flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = MUST(fork());
    if (child == 0) {
        fill(private, HUGE, 8);
        flags[1] = 1;
        while (!flags[0])
            usleep(1000);
        flags[2] = filled(private, HUGE, 8) && filled(private + HUGE, HUGE, 2) && filled(shared, HUGE, 20) && filled(segment, HUGE, 21)
            && filled(alone, HUGE, 22) ? 1 : 2;
        _exit(0);
    }
    while (!flags[1])
        usleep(1000);
    ready();
    CHECK(is_huge(private) && is_huge(shared) && is_huge(part) && is_huge(alone) && is_huge(copy) && is_huge(segment));
    CHECK(filled(private, HUGE, 1) && filled(private + HUGE, HUGE, 2) && filled(shared + HUGE, HUGE, 3) && filled(part, HUGE, 4));
    CHECK(filled(alone, HUGE, 5) && filled(copy, HUGE, 6) && filled(segment, HUGE, 7) && zero(shared, HUGE) && zero(private + 2 * HUGE, HUGE));
    CHECK(strstr(mapping(private), "rw-p") && strstr(mapping(private + HUGE), "r--p") && strstr(mapping(shared), "rw-s"));
    CHECK(strstr(mapping(private), "/anon_hugepage") && strstr(mapping(part), "/memfd:huge") && strstr(mapping(segment), "/SYSV"));
    struct stat st;
    CHECK(fstat(object, &st) == 0 && st.st_size == 4L * HUGE && st.st_blksize == HUGE && st.st_blocks <= HUGE / 512);
    CHECK(fcntl(object, F_GET_SEALS) == (F_SEAL_GROW | F_SEAL_SHRINK));
    if (argc > 2)
        CHECK(is_huge(named) && filled(named + HUGE, HUGE, 9) && strstr(mapping(named), "/named") && is_huge(unlinked) && filled(unlinked, HUGE, 10));
    fill(shared, HUGE, 20);
    fill(segment, HUGE, 21);
    fill(alone, HUGE, 22);
    flags[0] = 1;
    CHECK(waitpid(child, NULL, 0) == child && flags[2] == 1);
    CHECK(shmdt(segment) == 0);
    return finish();
}
