// Devices that hold nothing, and the kernel's log: all null devices, the writer of /dev/kmsg, files of sysfs and of other file systems.
#include "target.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char text[64] = "";
    begin(argv);
    int null = MUST(open("/dev/null", O_RDWR | O_APPEND)), copy = MUST(fcntl(null, F_DUPFD_CLOEXEC, 50)), zero = MUST(open("/dev/zero", O_RDWR)), full = MUST(open("/dev/full", O_RDWR));
    int random = MUST(open("/dev/random", O_RDONLY | O_NONBLOCK)), urandom = MUST(open("/dev/urandom", O_RDWR)), log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), bare = MUST(open("/dev/null", O_PATH));
    int online = MUST(open("/sys/devices/system/cpu/online", O_RDONLY)), system = MUST(open("/sys/devices", O_RDONLY | O_DIRECTORY)), memory = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
    int reader = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    if (reader >= 0)
        MUST(lseek(reader, 0, SEEK_END));
    char *anonymous = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    strcpy(anonymous, "private");
    if (memory >= 0)
        MUST(write(memory, "in memory", 9));
    MUST(read(online, text, 1));
    int pid = MUST(fork());
    if (!pid) {
        wait_for_wake();
        _exit(write(null, "x", 1) == 1 && read(zero, text, 1) == 1 && text[0] == 0 && !strcmp(anonymous, "private") ? 0 : 1);
    }
    ready();
    CHECK((fcntl(null, F_GETFL) & (O_ACCMODE | O_APPEND)) == (O_RDWR | O_APPEND) && fcntl(copy, F_GETFD) == FD_CLOEXEC && write(null, "x", 1) == 1 && read(null, text, 1) == 0);
    CHECK(read(zero, text, 2) == 2 && !text[1] && write(full, "x", 1) == -1 && errno == ENOSPC && read(full, text, 1) == 1);
    CHECK(read(random, text, 8) == 8 && fcntl(random, F_GETFL) & O_NONBLOCK && read(urandom, text, 8) == 8 && fcntl(bare, F_GETFL) & O_PATH);
    CHECK(log < 0 || (fcntl(log, F_GETFD) == FD_CLOEXEC && (fcntl(log, F_GETFL) & O_ACCMODE) == O_WRONLY));
    CHECK(lseek(online, 0, SEEK_CUR) == 1 && lseek(online, 0, SEEK_SET) == 0 && read(online, text, 1) == 1 && text[0] == '0' && faccessat(system, "system", F_OK, 0) == 0);
    static char record[8192];
    CHECK(reader < 0 || (read(reader, record, sizeof(record)) == -1 && errno == EAGAIN));
    CHECK(memory < 0 || (pread(memory, text, 64, 0) == 9 && !memcmp(text, "in memory", 9)));
    int status = -1;
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && !strcmp(anonymous, "private"));
    return finish();
}
