// Files that something was mounted over since they were opened: one, a directory above another, one that is not in what covers it; and a working directory.
#include "target.h"
#include <sys/mount.h>

int main(int argc, char **argv)
{
    char text[64];
    begin(argv);
    MUST(mkdir(in_work("dir"), 0755));
    MUST(mkdir(in_work("dir/below"), 0755));
    MUST(mkdir(in_work("over"), 0755));
    MUST(mkdir(in_work("over/below"), 0755));
    int same = MUST(open(in_work("dir/below/same"), O_CREAT | O_RDWR, 0600)), only = MUST(open(in_work("dir/below/only"), O_CREAT | O_RDWR | O_APPEND, 0600));
    int single = MUST(open(in_work("single"), O_CREAT | O_RDWR | O_CLOEXEC, 0600)), copy = MUST(dup(single)), directory = MUST(open(in_work("dir/below"), O_RDONLY | O_DIRECTORY));
    MUST(write(same, "under", 5) + write(only, "only", 4) + write(single, "single", 6));
    int other = MUST(open(in_work("over/below/same"), O_CREAT | O_RDWR, 0600));
    MUST(close(open(in_work("cover"), O_CREAT | O_RDWR, 0600)));
    MUST(write(other, "over", 4));
    MUST(chdir(in_work("dir/below")));
    MUST(mount(in_work("over"), in_work("dir"), NULL, MS_BIND, NULL));
    MUST(mount(in_work("cover"), in_work("single"), NULL, MS_BIND, NULL));
    int above = MUST(open(in_work("dir/below/same"), O_RDWR));
    ready();
    CHECK(lseek(same, 0, SEEK_CUR) == 5 && pread(same, text, 64, 0) == 5 && !memcmp(text, "under", 5) && pread(above, text, 64, 0) == 4 && !memcmp(text, "over", 4));
    CHECK(write(only, "!", 1) == 1 && pread(only, text, 64, 0) == 5 && !memcmp(text, "only!", 5) && fcntl(single, F_GETFD) == FD_CLOEXEC && pread(copy, text, 64, 0) == 6);
    CHECK(faccessat(directory, "only", F_OK, 0) == 0 && access("only", F_OK) == 0 && access(in_work("dir/below/only"), F_OK) == -1);
    close(above);
    CHECK(umount(in_work("dir")) == 0 && umount(in_work("single")) == 0 && access(in_work("dir/below/only"), F_OK) == 0);
    return finish();
}
