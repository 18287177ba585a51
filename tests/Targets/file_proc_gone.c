// expect-refusal: process-gone
// A file of /proc that holds the memory of a process which is gone.
#include "target.h"

int main(int argc, char **argv)
{
    char path[64];
    begin(argv);
    int pid = MUST(fork());
    if (!pid)
        pause();
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    int maps = MUST(open(path, O_RDONLY));
    kill(pid, SIGKILL);
    MUST(waitpid(pid, NULL, 0));
    ready();
    CHECK(read(maps, path, sizeof(path)) <= 0);
    return finish();
}
