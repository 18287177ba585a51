// fanotify: marks on a file, on a directory and its children, ignored masks of both kinds, on a mount and on a file system; a group that
// reports names; one in flight; duplicated, close-on-exec; a file that has moved.
#include "flight.h"
#include <sys/fanotify.h>
#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400
#endif

// Reads what is there; whether an event of that kind is of that inode, or has that name.
static int seen(int group, unsigned long long kind, ino_t inode, const char *name)
{
    static char buffer[65536];
    int found = 0;
    for (int tries = 0; tries < 100 && !found; tries++) {
        ssize_t n = read(group, buffer, sizeof(buffer));
        if (n < 0)
            return found;
        for (struct fanotify_event_metadata *e = (void *)buffer; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
            struct stat st;
            if (e->fd >= 0) {
                if ((e->mask & kind) && !fstat(e->fd, &st) && st.st_ino == inode)
                    found = 1;
                close(e->fd);
            } else if (name && (e->mask & kind) && memmem(e, e->event_len, name, strlen(name) + 1))
                found = 1;
        }
    }
    return found;
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    MUST(stat(path, &st));
    return st.st_ino;
}

static void touch(const char *path)
{
    int fd = MUST(open(path, O_CREAT | O_WRONLY, 0600));
    MUST(write(fd, "x", 1));
    close(fd);
}

static int info_without_position(int fd, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "r");
    size_t used = 0;
    while (f && used + 256 < size && fgets(text + used, size - used, f))
        if (!strncmp(text + used, "fanotify", 8) || !strncmp(text + used, "flags", 5)) {
            // A mount that is made anew has another id.
            char *id = strstr(text + used, "mnt_id:");
            for (char *p = id ? id + 7 : NULL; p && *p != ' '; p++)
                *p = 'x';
            used += strlen(text + used);
        }
    text[used] = 0;
    if (f)
        fclose(f);
    return used;
}

// The lines of two texts, whatever their order.
static int same_lines(char *a, char *b)
{
    int same = strlen(a) == strlen(b);
    for (char *line = a, *end; (end = strchr(line, '\n')); line = end + 1) {
        char copy[512];
        snprintf(copy, sizeof(copy), "%.*s\n", (int)(end - line), line);
        same &= strstr(b, copy) != NULL;
    }
    return same;
}

int main(int argc, char **argv)
{
    begin(argv);
    static char before[3][4096], after[4096];
    MUST(mkdir(in_work("directory"), 0755));
    touch(in_work("file"));
    touch(in_work("ignored"));
    touch(in_work("directory/child"));
    touch(in_work("moving"));
    int plain = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC), groups[3];
    int names = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, O_RDWR);
    int wide = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE, O_RDONLY);
    if (plain < 0 || names < 0 || wide < 0) {
        publish("ready", "");
        wait_for_wake();
        return finish();
    }
    MUST(fanotify_mark(plain, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, in_work("file")));
    MUST(fanotify_mark(plain, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, in_work("moving")));
    MUST(fanotify_mark(plain, FAN_MARK_ADD, FAN_MODIFY | FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD, AT_FDCWD, in_work("directory")));
    MUST(fanotify_mark(plain, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE_WRITE, AT_FDCWD,
                       in_work("directory/child")));
    MUST(fanotify_mark(names, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR, AT_FDCWD, in_work("directory")));
    fanotify_mark(names, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_ATTRIB, AT_FDCWD, in_work("file"));
    fanotify_mark(names, FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY, FAN_DELETE | FAN_ONDIR, AT_FDCWD, work);
    MUST(fanotify_mark(wide, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, work));
    MUST(fanotify_mark(wide, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD, work));
    MUST(fanotify_mark(wide, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD,
                       in_work("ignored")));
    MUST(rename(in_work("moving"), in_work("moved")));
    groups[0] = plain;
    groups[1] = names;
    groups[2] = wide;
    for (int i = 0; i < 3; i++)
        info_without_position(groups[i], before[i], sizeof(before[i]));
    int copy = MUST(dup(names)), s[2], got;
    char data[9];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    send_fds(s[0], "group", 5, &names, 1);
    ready();
    CHECK(fcntl(plain, F_GETFD) == FD_CLOEXEC && (fcntl(plain, F_GETFL) & O_NONBLOCK));
    CHECK(receive_fds(s[1], data, 8, &got, NULL) == 1 && same_file(got, names) && same_file(copy, names));
    for (int i = 0; i < 3; i++) {
        info_without_position(groups[i], after, sizeof(after));
        if (!same_lines(before[i], after))
            differ("group %d was %s and is %s", i, before[i], after);
    }
    touch(in_work("file"));
    touch(in_work("moved"));
    CHECK(seen(plain, FAN_MODIFY, inode_of(in_work("file")), NULL));
    touch(in_work("moved"));
    CHECK(seen(plain, FAN_MODIFY, inode_of(in_work("moved")), NULL));
    touch(in_work("directory/child"));
    CHECK(!seen(plain, FAN_CLOSE_WRITE, inode_of(in_work("directory/child")), NULL));
    touch(in_work("directory/new"));
    CHECK(seen(plain, FAN_CLOSE_WRITE, inode_of(in_work("directory/new")), NULL));
    CHECK(seen(copy, FAN_CREATE, 0, "new"));
    touch(in_work("file"));
    CHECK(seen(wide, FAN_CLOSE_WRITE, inode_of(in_work("file")), NULL));
    touch(in_work("file"));
    CHECK(seen(wide, FAN_MODIFY, inode_of(in_work("file")), NULL));
    while (seen(wide, FAN_MODIFY, 0, NULL))
        ;
    touch(in_work("ignored"));
    CHECK(!seen(wide, FAN_MODIFY | FAN_CLOSE_WRITE, inode_of(in_work("ignored")), NULL));
    return finish();
}
