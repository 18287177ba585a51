// expect-refusal: mount-external
// An overlay with an index of the handles of its lower files, which are others once these are made again.
#include "mounts.h"

int main(int argc, char **argv)
{
    begin(argv);
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("tmpfs", "/mnt", "tmpfs", 0, "size=1m"));
    make_directory("/mnt/lower");
    make_directory("/mnt/upper");
    make_directory("/mnt/scratch");
    make_directory("/mnt/merged");
    make_file("/mnt/lower/file");

    // Where there are no overlays, another one that is refused.
    if (mount("overlay", "/mnt/merged", "overlay", 0, "index=on,lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/scratch"))
        MUST(mount("ramfs", "/mnt/merged", "ramfs", 0, NULL));
    ready();
    CHECK(access("/mnt/merged", F_OK) == 0);
    return finish();
}
