// Tasks in mount namespaces of their own below the root's: one whose mounts are slaves of the root's, with a private /tmp as services
// have it; and one whose mounts are peers of the root's, and whose root directory is elsewhere. Files opened in each; a file on a mount
// that only the parent has any more; working directories; an unlinked file; a socket's path; a FIFO. The parent goes on to mount, and both see it.
#include "mounts.h"
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

static char before[65536];
static int from_parent, inherited;

static void new_tmpfs(const char *at)
{
    make_directory(at);
    MUST(mount("tmpfs", at, "tmpfs", MS_NODEV, "size=1m"));
}

static int put(const char *path, const char *content)
{
    int fd = MUST(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644));
    MUST(write(fd, content, strlen(content)));
    return fd;
}

static int content_is(const char *path, const char *expected)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int length = fd < 0 ? -1 : read(fd, text, sizeof(text));
    close(fd);
    return length == (int)strlen(expected) && !memcmp(text, expected, length);
}

static int has_content(int fd, const char *expected)
{
    char text[64];
    int length = pread(fd, text, sizeof(text), 0);
    return length == (int)strlen(expected) && !memcmp(text, expected, length);
}

static int listener(const char *path)
{
    struct sockaddr_un name = { AF_UNIX, "" };
    int fd = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    strcpy(name.sun_path, path);
    MUST(bind(fd, (struct sockaddr *)&name, sizeof(name)));
    MUST(listen(fd, 5));
    return fd;
}

static int can_connect(const char *path)
{
    struct sockaddr_un name = { AF_UNIX, "" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(name.sun_path, path);
    int result = connect(fd, (struct sockaddr *)&name, sizeof(name));
    close(fd);
    return result == 0;
}

static void wait_for(char wanted)
{
    char byte;
    if (MUST(read(from_parent, &byte, 1)) != 1 || byte != wanted)
        _exit(3);
}

static void slave(int report)
{
    char where[64], link[64], text[64] = "";
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
    MUST(umount2("/mnt/only_parents", 0));
    new_tmpfs("/tmp");
    make_directory("/tmp/directory");
    int opened = put("/tmp/private", "of the service");
    int unlinked = put("/tmp/unlinked", "gone");
    MUST(unlink("/tmp/unlinked"));
    make_directory("/mnt/bound");
    bind_to("/mnt/part", "/mnt/bound", MS_NOSUID);
    MUST(chdir("/tmp/directory"));
    int socket = listener("/tmp/socket"), watch = MUST(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    MUST(inotify_add_watch(watch, "/tmp/directory", IN_CREATE));
    MUST(mkfifo("/tmp/fifo", 0600));
    int fifo = MUST(open("/tmp/fifo", O_RDWR | O_CLOEXEC));
    MUST(write(fifo, "waits", 5));
    MUST(write(report, "r", 1));
    wait_for('0');
    snprintf(before, sizeof(before), "%s", describe_mounts());
    MUST(write(report, "s", 1));
    wait_for('1');
    compare_mounts(before, describe_mounts());
    CHECK(has_content(opened, "of the service") && content_is("/tmp/private", "of the service"));
    CHECK(has_content(unlinked, "gone") && access("/tmp/unlinked", F_OK) == -1);
    CHECK(has_content(inherited, "above") && access("/mnt/only_parents/file", F_OK) == -1);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", opened);
    CHECK(readlink(link, where, sizeof(where)) == 12 && !memcmp(where, "/tmp/private", 12));
    CHECK(getcwd(where, sizeof(where)) && !strcmp(where, "/tmp/directory"));
    CHECK(can_connect("/tmp/socket") && socket >= 0);
    CHECK(read(fifo, text, sizeof(text)) == 5 && !strcmp(text, "waits"));
    CHECK(content_is("/mnt/bound/file", "shared by all"));
    close(put("/tmp/directory/new", ""));
    CHECK(readable(watch, 5000));
    MUST(write(report, "c", 1));
    wait_for('2');
    CHECK(content_is("/mnt/part/new/seen", "later"));
    new_tmpfs("/mnt/part/own");
    close(put("/mnt/part/own/mine", "own"));
}

static void peer(int report)
{
    char where[64];
    MUST(unshare(CLONE_NEWNS));
    MUST(mount("tmpfs", "/mnt/part/jail", "tmpfs", MS_NOEXEC, "size=1m"));
    MUST(mkdir("/mnt/part/jail/proc", 0755));
    MUST(mount("proc", "/mnt/part/jail/proc", "proc", 0, NULL));
    int opened = put("/mnt/part/jail/inside", "of the jail");
    MUST(chroot("/mnt/part/jail"));
    MUST(chdir("/proc"));
    MUST(write(report, "r", 1));
    wait_for('0');
    snprintf(before, sizeof(before), "%s", describe_mounts());
    MUST(write(report, "s", 1));
    wait_for('1');
    compare_mounts(before, describe_mounts());
    CHECK(has_content(opened, "of the jail") && content_is("/inside", "of the jail"));
    CHECK(getcwd(where, sizeof(where)) && !strcmp(where, "/proc"));
    MUST(write(report, "c", 1));
    wait_for('2');
    MUST(mount("tmpfs", "/proc", "tmpfs", 0, "size=1m"));
    close(put("/proc/from_peer", "peer"));
}

static int start(void (*run)(int), int *to, int *from)
{
    int down[2], up[2];
    MUST(pipe2(down, O_CLOEXEC));
    MUST(pipe2(up, O_CLOEXEC));
    int pid = MUST(fork());
    if (pid == 0) {
        from_parent = down[0];
        close(down[1]);
        close(up[0]);
        run(up[1]);
        MUST(write(up[1], "d", 1));
        MUST(write(up[1], differs, strlen(differs)));
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    *to = down[1];
    *from = up[0];
    return pid;
}

static void expect(int from, char wanted)
{
    char byte = 0;
    if (read(from, &byte, 1) != 1 || byte != wanted)
        differ("a child said '%c' where '%c' was due", byte, wanted);
}

static void collect(int from)
{
    char text[4096];
    int length = 0, part;
    while ((part = read(from, text + length, sizeof(text) - 1 - length)) > 0)
        length += part;
    text[length] = 0;
    if (length)
        differ("of a child: %s", text);
}

int main(int argc, char **argv)
{
    int to[2], from[2];
    begin(argv);
    MUST(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL));
    new_tmpfs("/mnt");
    new_tmpfs("/mnt/only_parents");
    MUST(mount(NULL, "/mnt/only_parents", NULL, MS_PRIVATE, NULL));
    inherited = put("/mnt/only_parents/file", "above");
    make_directory("/mnt/part");
    make_directory("/mnt/part/jail");
    make_directory("/mnt/part/new");
    close(put("/mnt/part/file", "shared by all"));
    start(slave, &to[0], &from[0]);
    expect(from[0], 'r');
    start(peer, &to[1], &from[1]);
    expect(from[1], 'r');
    for (int i = 0; i < 2; i++) {
        MUST(write(to[i], "0", 1));
        expect(from[i], 's');
    }
    snprintf(before, sizeof(before), "%s", describe_mounts());
    ready();
    compare_mounts(before, describe_mounts());
    CHECK(access("/tmp/private", F_OK) == -1);
    CHECK(content_is("/mnt/part/jail/inside", "of the jail"));
    for (int i = 0; i < 2; i++) {
        MUST(write(to[i], "1", 1));
        expect(from[i], 'c');
    }
    new_tmpfs("/mnt/part/new");
    close(put("/mnt/part/new/seen", "later"));
    for (int i = 0; i < 2; i++) {
        MUST(write(to[i], "2", 1));
        expect(from[i], 'd');
        collect(from[i]);
    }
    CHECK(access("/mnt/part/own/mine", F_OK) == -1);
    CHECK(content_is("/mnt/part/jail/proc/from_peer", "peer"));
    while (wait(NULL) > 0)
        ;
    return finish();
}
