// Overlays that a tree has made in a mount namespace of its own, of directories on its tmpfs: one with an upper layer, changed, unchanged
// and removed files, a bind mount of a part, and a tmpfs mounted on it; one of lower layers alone; one that covers its own lower layer.
#include "mounts.h"

static char before[65536];

static void put(const char *path, const char *content)
{
    int fd = MUST(open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
    MUST(write(fd, content, strlen(content)));
    close(fd);
}

static int holds(const char *path, const char *expected)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int length = fd < 0 ? -1 : read(fd, text, sizeof(text));
    close(fd);
    return length == (int)strlen(expected) && !memcmp(text, expected, length);
}

static int on_overlay(int fd)
{
    struct stat s, t;
    return fstat(fd, &s) == 0 && stat("/mnt/merged", &t) == 0 && s.st_dev == t.st_dev;
}

int main(int argc, char **argv)
{
    char text[64];
    begin(argv);
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("tmpfs", "/mnt", "tmpfs", 0, "size=8m"));
    const char *directories[] = { "lower", "lower/dir", "lowest", "upper", "scratch", "merged", "part", "both", "etc", "etc_upper", "etc_scratch" };
    for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++) {
        snprintf(text, sizeof(text), "/mnt/%s", directories[i]);
        make_directory(text);
    }
    put("/mnt/lower/kept", "as it was");
    put("/mnt/lower/changed", "as it was");
    put("/mnt/lower/removed", "as it was");
    put("/mnt/lower/dir/inner", "deep");
    put("/mnt/lowest/bottom", "bottom");
    put("/mnt/etc/hosts", "lower hosts");
    if (mount("layers", "/mnt/merged", "overlay", MS_NOSUID, "lowerdir=/mnt/lower:/mnt/lowest,upperdir=/mnt/upper,workdir=/mnt/scratch"))
        return ready(), finish();
    MUST(mount("overlay", "/mnt/both", "overlay", MS_RDONLY, "lowerdir=/mnt/lower:/mnt/lowest"));
    MUST(mount("overlay", "/mnt/etc", "overlay", 0, "lowerdir=/mnt/etc,upperdir=/mnt/etc_upper,workdir=/mnt/etc_scratch"));
    put("/mnt/etc/hosts", "upper hosts");
    put("/mnt/merged/changed", "changed");
    put("/mnt/merged/added", "added");
    put("/mnt/merged/dir/more", "more");
    MUST(unlink("/mnt/merged/removed"));
    make_directory("/mnt/merged/on_top");
    bind_to("/mnt/merged/dir", "/mnt/part", MS_NODEV);
    MUST(mount("tmpfs", "/mnt/merged/on_top", "tmpfs", 0, "size=1m"));
    put("/mnt/merged/on_top/file", "on top");
    int kept = MUST(open("/mnt/merged/kept", O_RDONLY | O_CLOEXEC));
    MUST(lseek(kept, 3, SEEK_SET));
    int changed = MUST(open("/mnt/merged/changed", O_RDWR | O_APPEND | O_CLOEXEC)), same = MUST(dup(changed));
    int inner = MUST(open("/mnt/part/inner", O_RDONLY | O_CLOEXEC));
    int gone = MUST(open("/mnt/merged/gone", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    MUST(write(gone, "nameless", 8));
    MUST(unlink("/mnt/merged/gone"));
    MUST(chdir("/mnt/merged/dir"));
    snprintf(before, sizeof(before), "%s", describe_mounts());
    ready();
    compare_mounts(before, describe_mounts());
    CHECK(on_overlay(kept) && on_overlay(changed) && on_overlay(inner));
    CHECK(read(kept, text, sizeof(text)) == 6 && !memcmp(text, "it was", 6) && (fcntl(kept, F_GETFD) & FD_CLOEXEC));
    CHECK(write(same, "!", 1) == 1 && holds("/mnt/merged/changed", "changed!") && holds("/mnt/upper/changed", "changed!"));
    CHECK(lseek(changed, 0, SEEK_CUR) == 8);
    CHECK(holds("/mnt/lower/changed", "as it was") && holds("/mnt/both/changed", "as it was"));
    CHECK(pread(inner, text, sizeof(text), 0) == 4 && holds("inner", "deep") && holds("more", "more") && holds("/mnt/part/more", "more"));
    CHECK(pread(gone, text, sizeof(text), 0) == 8 && !memcmp(text, "nameless", 8) && access("/mnt/merged/gone", F_OK) == -1);
    CHECK(access("/mnt/merged/removed", F_OK) == -1 && errno == ENOENT && holds("/mnt/lower/removed", "as it was"));
    CHECK(holds("/mnt/merged/kept", "as it was") && holds("/mnt/merged/added", "added") && holds("/mnt/merged/bottom", "bottom"));
    CHECK(holds("/mnt/both/bottom", "bottom") && open("/mnt/both/new", O_CREAT | O_WRONLY, 0600) == -1 && errno == EROFS);
    CHECK(holds("/mnt/etc/hosts", "upper hosts") && holds("/mnt/etc_upper/hosts", "upper hosts"));
    CHECK(holds("/mnt/merged/on_top/file", "on top") && access("/mnt/upper/on_top/file", F_OK) == -1);
    put("/mnt/merged/new", "new");
    CHECK(holds("/mnt/upper/new", "new"));
    CHECK(unlink("/mnt/merged/bottom") == 0 && access("/mnt/merged/bottom", F_OK) == -1 && holds("/mnt/lowest/bottom", "bottom"));
    return finish();
}
