// Peer groups, slaves, a slave that shares with others, unbindable; mounts over mounts, one of them with content that nothing shows any
// more; bind mounts of a part of a tmpfs and of a file in it, also where neither shows what the other does.
#include "mounts.h"

static char before[65536];

static void new_tmpfs(const char *at)
{
    make_directory(at);
    MUST(mount("tmpfs", at, "tmpfs", MS_NODEV, "size=1m"));
}

static void bind_new(const char *from, const char *to, unsigned long propagation)
{
    make_directory(to);
    bind_to(from, to, 0);
    if (propagation)
        MUST(mount(NULL, to, NULL, propagation, NULL));
}

static int content_is(const char *path, const char *expected)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int length = fd < 0 ? -1 : read(fd, text, sizeof(text));
    close(fd);
    return length == (int)strlen(expected) && !memcmp(text, expected, length);
}

static void put(const char *path, const char *content)
{
    int fd = MUST(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    MUST(write(fd, content, strlen(content)));
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argv);
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    new_tmpfs("/mnt");
    new_tmpfs("/mnt/shared");
    MUST(mount(NULL, "/mnt/shared", NULL, MS_SHARED, NULL));
    make_directory("/mnt/shared/part");
    make_directory("/mnt/shared/other");
    bind_new("/mnt/shared", "/mnt/peer", 0);
    bind_new("/mnt/shared/part", "/mnt/part", 0);
    bind_new("/mnt/shared", "/mnt/slave", MS_SLAVE);
    bind_new("/mnt/shared", "/mnt/both", MS_SLAVE);
    MUST(mount(NULL, "/mnt/both", NULL, MS_SHARED, NULL));
    bind_new("/mnt/both", "/mnt/both_peer", 0);
    bind_new("/mnt/both/part", "/mnt/both_slave", MS_SLAVE);
    MUST(mount("tmpfs", "/mnt/shared/other", "tmpfs", MS_NOEXEC, "size=2m"));
    new_tmpfs("/mnt/narrow");
    make_directory("/mnt/narrow/a");
    make_directory("/mnt/narrow/b");
    bind_new("/mnt/narrow", "/mnt/wide", MS_SHARED);
    bind_new("/mnt/wide/a", "/mnt/narrow_a", 0);
    bind_new("/mnt/wide/b", "/mnt/narrow_b", 0);
    MUST(umount2("/mnt/wide", MNT_DETACH));
    new_tmpfs("/mnt/alone");
    MUST(mount(NULL, "/mnt/alone", NULL, MS_UNBINDABLE, NULL));
    new_tmpfs("/mnt/stack");
    put("/mnt/stack/which", "lower");
    MUST(mount("tmpfs", "/mnt/stack", "tmpfs", 0, "size=1m"));
    put("/mnt/stack/which", "middle");
    MUST(mount("tmpfs", "/mnt/stack", "tmpfs", MS_RDONLY, "size=1m"));
    make_directory("/mnt/deep");
    make_directory("/mnt/deep/er");
    new_tmpfs("/mnt/deep/er");
    put("/mnt/deep/er/hidden", "under a cover");
    MUST(mount("tmpfs", "/mnt/deep", "tmpfs", 0, "size=1m"));
    put("/mnt/narrow/a/file", "bound");
    make_file("/mnt/file");
    bind_to("/mnt/narrow/a/file", "/mnt/file", MS_NOSUID);
    snprintf(before, sizeof(before), "%s", describe_mounts());
    ready();
    compare_mounts(before, describe_mounts());
    CHECK(content_is("/mnt/file", "bound") && content_is("/mnt/narrow_a/file", "bound"));
    CHECK(access("/mnt/stack/which", F_OK) == -1 && access("/mnt/deep/er", F_OK) == -1);

    // A new mount appears with all peers and slaves, and one on a slave nowhere else.
    MUST(mount("tmpfs", "/mnt/shared/part", "tmpfs", 0, "size=1m"));
    put("/mnt/shared/part/seen", "everywhere");
    CHECK(content_is("/mnt/peer/part/seen", "everywhere") && content_is("/mnt/slave/part/seen", "everywhere"));
    CHECK(content_is("/mnt/both/part/seen", "everywhere") && content_is("/mnt/both_peer/part/seen", "everywhere"));
    CHECK(content_is("/mnt/part/seen", "everywhere") && content_is("/mnt/both_slave/seen", "everywhere"));
    MUST(mount("tmpfs", "/mnt/slave/other", "tmpfs", 0, "size=1m"));
    put("/mnt/slave/other/seen", "here");
    CHECK(access("/mnt/shared/other/seen", F_OK) == -1 && access("/mnt/peer/other/seen", F_OK) == -1);
    CHECK(mount("/mnt/alone", "/mnt/narrow", NULL, MS_BIND, NULL) == -1 && errno == EINVAL);
    CHECK(umount2("/mnt/stack", 0) == 0 && content_is("/mnt/stack/which", "middle"));
    CHECK(umount2("/mnt/stack", 0) == 0 && content_is("/mnt/stack/which", "lower"));
    CHECK(umount2("/mnt/deep", 0) == 0 && content_is("/mnt/deep/er/hidden", "under a cover"));
    return finish();
}
