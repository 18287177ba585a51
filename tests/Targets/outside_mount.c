// A mount namespace with a part of a file system that is mounted outside, WORK/outside: /mnt shows WORK/outside/part. When it is woken it
// says what /mnt/which holds.
#include "mounts.h"

static void put(const char *path, const char *content)
{
    int fd = MUST(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    MUST(write(fd, content, strlen(content)));
    close(fd);
}

int main(int argc, char **argv)
{
    char text[64] = "";
    begin(argv);
    make_directory(in_work("outside"));
    MUST(mount("tmpfs", in_work("outside"), "tmpfs", 0, "size=1m"));
    make_directory(in_work("outside/part"));
    make_directory(in_work("outside/other"));
    put(in_work("outside/part/which"), "part");
    put(in_work("outside/other/which"), "other");
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    bind_to(in_work("outside/part"), "/mnt", MS_NOSUID | MS_NODEV);
    MUST(umount2(in_work("outside"), MNT_DETACH));
    MUST(mount("tmpfs", "/srv", "tmpfs", 0, "size=1m"));
    put("/srv/file", "inside");
    ready();
    int fd = open("/mnt/which", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && access("/srv/file", F_OK) == 0);
    publish("result", differs[0] ? differs : text);
    return 0;
}
