// options: --link-remap
// only-restored
// Files of all sorts in a mount namespace of its own, and tasks with other roots and directories there: what is open, mapped, unlinked or
// watched on a tmpfs that Firn doesn't see.
#include "mounts.h"
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static char before[65536];

static int child(int *answer)
{
    char text[64];
    MUST(chroot("/mnt/cell"));
    MUST(chdir("/inner"));
    int file = MUST(open("/inner/note", O_CREAT | O_RDWR | O_CLOEXEC, 0644));
    MUST(write(file, "from the cell", 13));
    *answer = 1;
    while (*answer != 2)
        usleep(10000);
    int good = getcwd(text, sizeof(text)) && !strcmp(text, "/inner") && access("/inner/note", F_OK) == 0 && access("/dev", F_OK) == -1
        && lseek(file, 0, SEEK_CUR) == 13 && pread(file, text, sizeof(text), 0) == 13 && !memcmp(text, "from the cell", 13);
    _exit(good ? 0 : 1);
}

int main(int argc, char **argv)
{
    char text[256];
    struct stat s, t;
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/mnt/socket" };
    begin(argv);
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("tmpfs", "/mnt", "tmpfs", 0, "size=8m"));
    make_directory("/mnt/cell");
    make_directory("/mnt/cell/inner");
    make_directory("/mnt/here");
    MUST(mount("tmpfs", "/mnt/here", "tmpfs", 0, "size=4m,mode=711,uid=7,gid=8"));
    int *answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pid = MUST(fork());
    if (!pid)
        child(answer);
    while (*answer != 1)
        usleep(10000);
    int plain = MUST(open("/mnt/here/plain", O_CREAT | O_RDWR | O_CLOEXEC, 0604));
    MUST(write(plain, "0123456789", 10));
    MUST(lseek(plain, 3, SEEK_SET));
    MUST(fchown(plain, 12, 34));
    int sparse = MUST(open("/mnt/here/sparse", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    MUST(ftruncate(sparse, 3 << 20));
    MUST(pwrite(sparse, "middle", 6, 1 << 20));
    int gone = MUST(open("/mnt/here/gone", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    MUST(write(gone, "nameless", 8));
    MUST(unlink("/mnt/here/gone"));
    int lost = MUST(open("/mnt/here/lost", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    MUST(link("/mnt/here/lost", "/mnt/here/found"));
    MUST(unlink("/mnt/here/lost"));
    char *mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, sparse, 1 << 20);
    int fifo = (MUST(mkfifo("/mnt/here/fifo", 0640)), MUST(open("/mnt/here/fifo", O_RDWR | O_CLOEXEC)));
    MUST(write(fifo, "waits", 5));
    int server = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    MUST(bind(server, (struct sockaddr *)&name, sizeof(name)));
    MUST(listen(server, 5));
    int watch = MUST(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    MUST(inotify_add_watch(watch, "/mnt/here", IN_CREATE));
    MUST(symlink("here/plain", "/mnt/link"));
    MUST(link("/mnt/here/plain", "/mnt/here/second"));
    MUST(setxattr("/mnt/here/plain", "trusted.kept", "value", 5, 0));
    MUST(chdir("/mnt/here"));
    MUST(stat("plain", &t));
    struct timespec changed = t.st_mtim;
    snprintf(before, sizeof(before), "%s", describe_mounts());
    ready();
    int status = -1;
    *answer = 2;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    compare_mounts(before, describe_mounts());
    CHECK(getcwd(text, sizeof(text)) && !strcmp(text, "/mnt/here"));
    CHECK(stat(".", &s) == 0 && (s.st_mode & 07777) == 0711 && s.st_uid == 7 && s.st_gid == 8);
    CHECK(lseek(plain, 0, SEEK_CUR) == 3 && read(plain, text, sizeof(text)) == 7 && !memcmp(text, "3456789", 7));
    CHECK(stat("plain", &s) == 0 && s.st_uid == 12 && s.st_gid == 34 && s.st_nlink == 2 && (s.st_mode & 07777) == 0604);
    CHECK(s.st_mtim.tv_sec == changed.tv_sec && s.st_mtim.tv_nsec == changed.tv_nsec);
    CHECK(stat("second", &t) == 0 && s.st_ino == t.st_ino && fstat(plain, &t) == 0 && s.st_ino == t.st_ino);
    CHECK(stat("/mnt/link", &t) == 0 && s.st_ino == t.st_ino);
    CHECK(getxattr("plain", "trusted.kept", text, sizeof(text)) == 5 && !memcmp(text, "value", 5));
    CHECK(fstat(sparse, &s) == 0 && s.st_size == 3 << 20 && s.st_blocks <= 16);
    CHECK(!memcmp(mapped, "middle", 6));
    strcpy(mapped, "edited");
    CHECK(pread(sparse, text, 6, 1 << 20) == 6 && !memcmp(text, "edited", 6));
    CHECK(pread(gone, text, sizeof(text), 0) == 8 && access("gone", F_OK) == -1);
    CHECK(fstat(lost, &s) == 0 && stat("found", &t) == 0 && s.st_ino == t.st_ino && s.st_nlink == 1 && access("lost", F_OK) == -1);
    CHECK(read(fifo, text, sizeof(text)) == 5 && !memcmp(text, "waits", 5));
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(client, (struct sockaddr *)&name, sizeof(name)) == 0 && accept(server, NULL, NULL) >= 0);
    while (read(watch, text, sizeof(text)) > 0)
        ;
    make_file("created");
    CHECK(read(watch, text, sizeof(text)) > 0);
    return finish();
}
