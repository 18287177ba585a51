// mounts-for-itself
// inotify on an overlay, as .NET's file watchers have it in containers: files and directories of the lower and of the upper layer, renamed
// ones, one that is copied up while it is watched, one that is removed.
#include "target.h"
#include <sys/inotify.h>
#include <sys/mount.h>

static int has(int fd, int wd, unsigned mask)
{
    char events[4096];
    int found = 0;
    while (!found && readable(fd, 200)) {
        ssize_t n = read(fd, events, sizeof(events));
        for (char *p = events; p < events + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len) {
            struct inotify_event *e = (struct inotify_event *)p;
            found |= e->wd == wd && (e->mask & mask);
        }
    }
    return found;
}

static void touch(const char *path)
{
    int fd = MUST(open(path, O_CREAT | O_WRONLY, 0600));
    MUST(write(fd, "x", 1));
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argv);
    char options[2048], merged[512], path[1024];
    MUST(mkdir(in_work("lower"), 0755));
    MUST(mkdir(in_work("lower/dir"), 0755));
    MUST(mkdir(in_work("upper"), 0755));
    MUST(mkdir(in_work("scratch"), 0755));
    MUST(mkdir(in_work("merged"), 0755));
    touch(in_work("lower/settings"));
    touch(in_work("lower/copied"));
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in_work("lower"), in_work("upper"), in_work("scratch"));
    snprintf(merged, sizeof(merged), "%s", in_work("merged"));
    if (mount("overlay", merged, "overlay", 0, options)) {
        ready();
        return finish();
    }
#define MERGED(name) (snprintf(path, sizeof(path), "%s/" name, merged), path)
    touch(MERGED("new"));
    touch(MERGED("removed"));
    MUST(mkdir(MERGED("made"), 0755));
    int fd = MUST(inotify_init1(IN_NONBLOCK));
    int root = MUST(inotify_add_watch(fd, merged, IN_CREATE)), dir = MUST(inotify_add_watch(fd, MERGED("dir"), IN_CREATE));
    int settings = MUST(inotify_add_watch(fd, MERGED("settings"), IN_OPEN)), new = MUST(inotify_add_watch(fd, MERGED("new"), IN_MODIFY));
    int made = MUST(inotify_add_watch(fd, MERGED("made"), IN_CREATE)), copied = MUST(inotify_add_watch(fd, MERGED("copied"), IN_MODIFY));
    MUST(inotify_add_watch(fd, MERGED("removed"), IN_MODIFY));
    MUST(unlink(MERGED("removed")));
    touch(MERGED("copied"));
    char moved[1024];
    snprintf(moved, sizeof(moved), "%s/moved", merged);
    MUST(rename(MERGED("made"), moved));
    char drain[4096];
    while (read(fd, drain, sizeof(drain)) > 0)
        ;
    ready();
    touch(MERGED("another"));
    CHECK(has(fd, root, IN_CREATE));
    touch(MERGED("dir/file"));
    CHECK(has(fd, dir, IN_CREATE));
    close(open(MERGED("settings"), O_RDONLY));
    CHECK(has(fd, settings, IN_OPEN));
    touch(MERGED("new"));
    CHECK(has(fd, new, IN_MODIFY));
    touch(MERGED("moved/file"));
    CHECK(has(fd, made, IN_CREATE));
    touch(MERGED("copied"));
    CHECK(has(fd, copied, IN_MODIFY));
    umount2(merged, MNT_DETACH);
    return finish();
}
