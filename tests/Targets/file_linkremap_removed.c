// options: --link-remap
// only-restored
// A file that has another name, while the directory in which it was opened was removed; mapped, too, and open twice.
#include "target.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char text[16];
    struct stat a, b;
    begin(argv);
    MUST(mkdir(in_work("dir"), 0700));
    MUST(mkdir(in_work("dir/below"), 0700));
    int fd = MUST(open(in_work("dir/below/first"), O_CREAT | O_RDWR, 0600)), reader = MUST(open(in_work("dir/below/first"), O_RDONLY | O_CLOEXEC));
    MUST(ftruncate(fd, 4096));
    MUST(write(fd, "linked", 6));
    char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    MUST(link(in_work("dir/below/first"), in_work("second")));
    MUST(unlink(in_work("dir/below/first")));
    MUST(rmdir(in_work("dir/below")) | rmdir(in_work("dir")));
    ready();
    CHECK(lseek(fd, 0, SEEK_CUR) == 6 && read(reader, text, 6) == 6 && !memcmp(text, "linked", 6) && !strcmp(memory, "linked") && fcntl(reader, F_GETFD) == FD_CLOEXEC);
    CHECK(fstat(fd, &a) == 0 && stat(in_work("second"), &b) == 0 && a.st_ino == b.st_ino && a.st_nlink == 1 && access(in_work("dir"), F_OK) == -1);
    return finish();
}
