// Directories read half way, removed ones and what was in them, a removed working directory and a removed root.
#include "target.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int count(int fd, int limit)
{
    char buffer[512];
    int entries = 0;
    for (long n; entries < limit && (n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0;)
        for (char *p = buffer; p < buffer + n; p += *(unsigned short *)(p + 16))
            entries++;
    return entries;
}

int main(int argc, char **argv)
{
    char text[64], name[64], link[64], before[256] = { 0 }, now[256] = { 0 };
    struct stat s;
    begin(argv);
    MUST(mkdir(in_work("many"), 0700));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "many/entry-%d", i);
        close(MUST(open(in_work(name), O_CREAT | O_WRONLY, 0600)));
    }
    int whole = MUST(open(in_work("many"), O_RDONLY | O_DIRECTORY)), half = MUST(open(in_work("many"), O_RDONLY | O_DIRECTORY)), same = MUST(dup(half));
    int seen = count(half, 30), all = count(whole, 1000);
    MUST(mkdir(in_work("a"), 0750));
    MUST(mkdir(in_work("a/b"), 0711));
    MUST(mkdir(in_work("a/b/c"), 0700));
    int file = MUST(open(in_work("a/b/c/file"), O_CREAT | O_RDWR, 0600)), other = MUST(open(in_work("a/b/c/other"), O_CREAT | O_RDWR, 0600));
    int mapped = MUST(open(in_work("a/b/mapped"), O_CREAT | O_RDWR, 0600)), deep = MUST(open(in_work("a/b/c"), O_RDONLY | O_DIRECTORY)), upper = MUST(open(in_work("a"), O_PATH));
    MUST(ftruncate(mapped, 4096));
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
    strcpy(memory, "mapped");
    close(mapped);
    MUST(write(file, "file", 4) + write(other, "other", 5));
    MUST(unlink(in_work("a/b/c/file")) | unlink(in_work("a/b/c/other")) | unlink(in_work("a/b/mapped")));
    MUST(rmdir(in_work("a/b/c")) | rmdir(in_work("a/b")) | rmdir(in_work("a")));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    MUST(readlink(link, before, sizeof(before) - 1));
    int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(mkdir(in_work("root"), 0755));
    MUST(mkdir(in_work("place"), 0755));
    int pid = MUST(fork());
    if (!pid) {
        MUST(chdir(in_work("place")));
        MUST(chroot(in_work("root")));
        said[0] = 1;
        while (((volatile int *)said)[0] != 2)
            usleep(10000);
        int good = stat("/", &s) == 0 && s.st_nlink == 0 && (s.st_mode & 07777) == 0755 && stat(".", &s) == 0 && s.st_nlink == 0 && access("/proc", F_OK) == -1;
        _exit(good ? 0 : 1);
    }
    while (((volatile int *)said)[0] != 1)
        usleep(10000);
    MUST(rmdir(in_work("root")) | rmdir(in_work("place")));
    ready();
    int rest = count(same, 1000);
    CHECK(seen + rest == all && all == 102 && count(half, 10) == 0 && count(whole, 10) == 0);
    CHECK(readlink(link, now, sizeof(now) - 1) > 0 && !strcmp(before, now));
    CHECK(pread(file, text, 8, 0) == 4 && !memcmp(text, "file", 4) && pread(other, text, 8, 0) == 5 && !memcmp(text, "other", 5) && !strcmp(memory, "mapped"));
    CHECK(fstat(file, &s) == 0 && s.st_nlink == 0 && fstat(deep, &s) == 0 && s.st_nlink == 0 && (s.st_mode & 07777) == 0700 && fstat(upper, &s) == 0 && (s.st_mode & 07777) == 0750);
    CHECK(access(in_work("a"), F_OK) == -1 && access(in_work("root"), F_OK) == -1 && access(in_work("place"), F_OK) == -1);
    int status = -1;
    said[0] = 2;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return finish();
}
