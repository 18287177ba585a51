// A cgroup namespace below the root's: where the child sits is the root of each hierarchy for it, and for its own child.
// contain: p
#include "target.h"
#include <sched.h>

static int from_parent;

// Whether all groups are roots; their names as they are seen.
static int are_roots(char *names, int size)
{
    int fd = MUST(open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC)), length = MUST(read(fd, names, size - 1)), roots = 1;
    names[length] = 0;
    close(fd);
    for (char *end = names; (end = strchr(end, '\n')); end++)
        roots &= end - names >= 2 && end[-1] == '/' && end[-2] == ':';
    return roots;
}

static void child(int report)
{
    char names[4096], after[4096], byte;
    MUST(unshare(CLONE_NEWCGROUP));
    int inner = MUST(fork());
    int before = are_roots(names, sizeof(names));
    MUST(write(report, before ? "r" : "b", 1));
    MUST(read(from_parent, &byte, 1));
    MUST(write(report, are_roots(after, sizeof(after)) && !strcmp(names, after) ? "o" : "b", 1));
    if (inner)
        wait(NULL);
    _exit(0);
}

int main(int argc, char **argv)
{
    char names[4096], after[4096], byte;
    int down[2], up[2];
    begin(argv);
    MUST(pipe2(down, O_CLOEXEC));
    MUST(pipe2(up, O_CLOEXEC));
    from_parent = down[0];
    if (MUST(fork()) == 0)
        child(up[1]);
    for (int i = 0; i < 2; i++)
        if (MUST(read(up[0], &byte, 1)) != 1 || byte != 'r')
            return 1;
    are_roots(names, sizeof(names));
    ready();
    are_roots(after, sizeof(after));
    CHECK(!strcmp(names, after));
    MUST(write(down[1], "xx", 2));
    for (int i = 0; i < 2; i++) {
        MUST(read(up[0], &byte, 1));
        CHECK(byte == 'o');
    }
    return finish();
}
