// Where a process stands: an unlinked working directory and a umask; the child has another root, directory and umask.
#include "target.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char text[512];
    struct stat s;
    begin(argv);
    int *answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(mkdir(in_work("gone"), 0711));
    MUST(mkdir(in_work("root"), 0755));
    MUST(mkdir(in_work("root/inner"), 0755));
    int pid = MUST(fork());
    if (!pid) {
        MUST(chroot(in_work("root")));
        MUST(chdir("/inner"));
        umask(0111);
        *answer = 1;
        while (*answer != 2)
            usleep(10000);
        int good = umask(0) == 0111 && getcwd(text, sizeof(text)) && !strcmp(text, "/inner") && access("/inner", F_OK) == 0 && access("/proc", F_OK) == -1;
        _exit(good ? 0 : 1);
    }
    while (*answer != 1)
        usleep(10000);
    MUST(chdir(in_work("gone")));
    MUST(rmdir(in_work("gone")));
    umask(0027);
    ready();
    int status = -1;
    *answer = 2;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(umask(0) == 0027 && stat(".", &s) == 0 && s.st_nlink == 0 && (s.st_mode & 07777) == 0711);
    CHECK(!getcwd(text, sizeof(text)) && errno == ENOENT && access(in_work("gone"), F_OK) == -1);
    return finish();
}
