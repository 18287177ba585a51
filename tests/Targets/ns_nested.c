// Tasks in uts namespaces of their own below the root's: a child, a grandchild that has gone back to the root's, and one in another.
// contain: pu
#include "target.h"
#include <sched.h>

static int home, from_parent;

static int is_called(const char *name)
{
    char host[65] = "";
    gethostname(host, sizeof(host));
    return !strcmp(host, name);
}

static void child(int which, int report)
{
    char byte;
    if (which == 1)
        MUST(setns(home, CLONE_NEWUTS));
    else
        MUST(unshare(CLONE_NEWUTS));
    if (which != 1)
        MUST(sethostname(which ? "second" : "first", which ? 6 : 5));
    if (which < 2 && MUST(fork()) == 0) {
        child(which + 1, report);
        _exit(0);
    }
    close(home);
    MUST(write(report, "r", 1));
    if (MUST(read(from_parent, &byte, 1)) != 1)
        _exit(3);
    CHECK(is_called(which == 0 ? "first" : which == 1 ? "above" : "second"));
    if (which != 1)
        MUST(sethostname("changed", 7));
    MUST(write(report, differs[0] ? differs : "o", differs[0] ? strlen(differs) : 1));
    while (wait(NULL) > 0)
        ;
}

int main(int argc, char **argv)
{
    int down[2], up[2];
    char text[256];
    begin(argv);
    MUST(sethostname("above", 5));
    home = MUST(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
    MUST(pipe2(down, O_CLOEXEC));
    MUST(pipe2(up, O_CLOEXEC));
    from_parent = down[0];
    if (MUST(fork()) == 0) {
        child(0, up[1]);
        _exit(0);
    }
    close(home);
    for (int i = 0; i < 3; i++)
        MUST(read(up[0], text, 1));
    ready();
    for (int i = 0; i < 3; i++) {
        MUST(write(down[1], "x", 1));
        char byte;
        MUST(read(up[0], &byte, 1));
        if (byte != 'o') {
            text[MUST(read(up[0], text, sizeof(text) - 1))] = 0;
            differ("of a child: %c%s", byte, text);
        }
    }
    CHECK(is_called("above"));
    return finish();
}
