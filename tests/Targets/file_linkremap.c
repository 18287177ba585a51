// options: --link-remap
// only-restored
// A file that has lost the name it was opened by, but has another one.
#include "target.h"

int main(int argc, char **argv)
{
    char text[16];
    struct stat a, b;
    begin(argv);
    int fd = MUST(open(in_work("first"), O_CREAT | O_RDWR, 0600));
    MUST(write(fd, "linked", 6));
    MUST(link(in_work("first"), in_work("second")));
    MUST(unlink(in_work("first")));
    ready();
    CHECK(lseek(fd, 0, SEEK_CUR) == 6 && pread(fd, text, 6, 0) == 6 && !memcmp(text, "linked", 6));
    CHECK(fstat(fd, &a) == 0 && stat(in_work("second"), &b) == 0 && a.st_ino == b.st_ino && access(in_work("first"), F_OK) == -1);
    CHECK(a.st_nlink == 1);
    return finish();
}
