// Events that wait in an inotify: they are there as long as the program lives; after a restore they are lost, and the program is told so
// as by a full queue.
#include "target.h"
#include <sys/inotify.h>

// Changes with a restore.
static unsigned long long started(void)
{
    char text[1024] = "", *p;
    int fd = MUST(open("/proc/self/stat", O_RDONLY));
    MUST(read(fd, text, sizeof(text) - 1));
    close(fd);
    p = strrchr(text, ')');
    for (int i = 2; i < 22; i++)
        p = strchr(p + 1, ' ');
    return strtoull(p, NULL, 10);
}

static void check(int fd, int wd, const char *name, int restored)
{
    char buffer[4096];
    struct inotify_event *e = (struct inotify_event *)buffer;
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (restored)
        CHECK(n == sizeof(*e) && e->wd == -1 && e->mask == IN_Q_OVERFLOW);
    else
        CHECK(n > (ssize_t)sizeof(*e) && e->wd == wd && e->mask == IN_CREATE && !strcmp(e->name, name));
}

int main(int argc, char **argv)
{
    begin(argv);
    int plain = MUST(inotify_init1(IN_NONBLOCK)), bare = MUST(inotify_init1(0)), quiet = MUST(inotify_init1(IN_NONBLOCK)), count;
    MUST(mkdir(in_work("place"), 0755));
    int wd = MUST(inotify_add_watch(plain, in_work("place"), IN_CREATE));
    int passing = MUST(inotify_add_watch(bare, in_work("place"), IN_CREATE));
    MUST(inotify_add_watch(quiet, in_work("place"), IN_DELETE));
    close(MUST(open(in_work("place/a"), O_CREAT | O_RDWR, 0644)));
    close(MUST(open(in_work("place/b"), O_CREAT | O_RDWR, 0644)));
    MUST(inotify_rm_watch(bare, passing));
    unsigned long long before = started();
    ready();
    int restored = started() != before;
    check(plain, wd, "a", restored);
    check(bare, passing, "a", restored);
    CHECK(ioctl(plain, FIONREAD, &count) == 0 && count == 0 && ioctl(bare, FIONREAD, &count) == 0 && count == 0);
    char buffer[4096];
    struct inotify_event *e = (struct inotify_event *)buffer;
    CHECK(read(quiet, buffer, sizeof(buffer)) == -1 && errno == EAGAIN);
    close(MUST(open(in_work("place/c"), O_CREAT | O_RDWR, 0644)));
    CHECK(read(plain, buffer, sizeof(buffer)) > 0 && e->wd == wd && e->mask == IN_CREATE && !strcmp(e->name, "c"));
    CHECK(inotify_add_watch(plain, work, IN_CREATE) == wd + 1);
    return finish();
}
