// inotify: directories and a file, a gap in the watch numbers, a one-shot, one watch of a file that has moved; flags.
#include "target.h"
#include <sys/inotify.h>

static char events[4096];
static ssize_t length;

static int has(int fd, int wd, unsigned mask, const char *name)
{
    if (readable(fd, 200)) {
        ssize_t n = read(fd, events + length, sizeof(events) - length);
        length += n > 0 ? n : 0;
    }
    for (char *p = events; p < events + length;) {
        struct inotify_event *e = (struct inotify_event *)p;
        if (e->wd == wd && (e->mask & mask) && (!name || !strcmp(e->name, name)))
            return 1;
        p += sizeof(*e) + e->len;
    }
    return 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int fd = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), copy = MUST(dup(fd));
    MUST(mkdir(in_work("one"), 0755));
    MUST(mkdir(in_work("two"), 0755));
    close(MUST(open(in_work("file"), O_CREAT | O_RDWR, 0644)));
    int one = MUST(inotify_add_watch(fd, in_work("one"), IN_CREATE | IN_DELETE));
    int gap = MUST(inotify_add_watch(fd, in_work("two"), IN_CREATE));
    int file = MUST(inotify_add_watch(fd, in_work("file"), IN_MODIFY));
    MUST(inotify_rm_watch(fd, gap));
    int two = MUST(inotify_add_watch(fd, in_work("two"), IN_CREATE | IN_ONESHOT | IN_ONLYDIR));
    MUST(rename(in_work("file"), in_work("moved")));
    char drain[512];
    MUST(read(fd, drain, sizeof(drain)));
    ready();
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
    int count = -1;
    CHECK(ioctl(fd, FIONREAD, &count) == 0 && count == 0);
    close(MUST(open(in_work("one/a"), O_CREAT | O_RDWR, 0644)));
    CHECK(has(fd, one, IN_CREATE, "a"));
    CHECK(unlink(in_work("one/a")) == 0 && has(fd, one, IN_DELETE, "a"));
    int f = MUST(open(in_work("moved"), O_RDWR));
    CHECK(write(f, "x", 1) == 1 && has(copy, file, IN_MODIFY, NULL));
    length = 0;
    close(MUST(open(in_work("two/b"), O_CREAT | O_RDWR, 0644)));
    CHECK(has(fd, two, IN_CREATE, "b") && has(fd, two, IN_IGNORED, NULL));
    CHECK(inotify_rm_watch(fd, one) == 0);
    CHECK(inotify_rm_watch(fd, gap) == -1 && errno == EINVAL);
    CHECK(inotify_add_watch(fd, in_work("two"), IN_CREATE) == two + 1);
    return finish();
}
