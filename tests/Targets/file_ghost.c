// Files without a name: unlinked, shared by descriptors, mapped, with holes, O_TMPFILE, unlinked directories; a new file under an old name.
#include "target.h"
#include <sys/mman.h>

static int gone(const char *name, int flags)
{
    int fd = MUST(open(in_work(name), O_CREAT | O_RDWR | flags, 0604));
    return fd;
}

int main(int argc, char **argv)
{
    char text[64], link[64], path[512], before[512] = { 0 }, after[512] = { 0 };
    struct stat s;
    begin(argv);
    int plain = gone("plain", 0), again = MUST(open(in_work("plain"), O_RDONLY)), append = MUST(open(in_work("plain"), O_WRONLY | O_APPEND));
    MUST(write(plain, "content", 7));
    MUST(fchown(plain, 12, 34));
    struct timespec times[2] = { { 1000000000, 5000 }, { 1111111111, 7000 } };
    MUST(futimens(plain, times));
    MUST(unlink(in_work("plain")));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", plain);
    MUST(readlink(link, before, sizeof(before) - 1));
    int sparse = gone("sparse", 0);
    MUST(pwrite(sparse, "end", 3, 8 << 20));
    MUST(pwrite(sparse, "start", 5, 4096));
    MUST(unlink(in_work("sparse")));
    int mapped = gone("mapped", 0);
    MUST(ftruncate(mapped, 8192));
    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
    strcpy(shared + 4096, "mapped");
    MUST(unlink(in_work("mapped")));
    int temporary = MUST(open(work, O_TMPFILE | O_RDWR, 0600)), reused = gone("reused", 0);
    MUST(write(temporary, "temporary", 9));
    MUST(write(reused, "old", 3));
    MUST(unlink(in_work("reused")));
    close(gone("reused", 0));
    MUST(mkdir(in_work("dir"), 0750));
    MUST(mkdir(in_work("dir/below"), 0700));
    int directory = MUST(open(in_work("dir/below"), O_RDONLY | O_DIRECTORY));
    MUST(rmdir(in_work("dir/below")));
    MUST(rmdir(in_work("dir")));
    ready();
    CHECK(readlink(link, after, sizeof(after) - 1) > 0 && !strcmp(before, after));
    CHECK(fstat(plain, &s) == 0 && s.st_nlink == 0 && s.st_uid == 12 && s.st_gid == 34 && (s.st_mode & 07777) == 0604 && s.st_mtim.tv_sec == 1111111111);
    CHECK(lseek(plain, 0, SEEK_CUR) == 7 && lseek(again, 0, SEEK_CUR) == 0 && write(append, "!", 1) == 1 && read(again, text, 64) == 8 && !memcmp(text, "content!", 8));
    CHECK(fstat(sparse, &s) == 0 && s.st_size == (8 << 20) + 3 && s.st_blocks < 64 && pread(sparse, text, 5, 4096) == 5 && !memcmp(text, "start", 5));
    CHECK(pread(sparse, text, 3, 8 << 20) == 3 && !memcmp(text, "end", 3) && pread(sparse, text, 1, 1 << 20) == 1 && text[0] == 0);
    CHECK(!strcmp(shared + 4096, "mapped"));
    strcpy(shared, "written");
    CHECK(pread(mapped, text, 8, 0) == 8 && !strcmp(text, "written") && fstat(mapped, &s) == 0 && s.st_nlink == 0);
    CHECK(lseek(temporary, 0, SEEK_CUR) == 9 && pread(temporary, text, 9, 0) == 9 && !memcmp(text, "temporary", 9));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", temporary);
    CHECK(linkat(AT_FDCWD, path, AT_FDCWD, in_work("named"), AT_SYMLINK_FOLLOW) == 0);
    CHECK(pread(reused, text, 4, 0) == 3 && !memcmp(text, "old", 3) && stat(in_work("reused"), &s) == 0 && s.st_size == 0);
    CHECK(fstat(directory, &s) == 0 && S_ISDIR(s.st_mode) && s.st_nlink == 0 && access(in_work("dir"), F_OK) == -1 && access(in_work("plain"), F_OK) == -1);
    return finish();
}
