// The limits of an ipc namespace.
// contain: pi
#include "target.h"

static const struct { const char *path, *value; } limits[] = {
    { "/proc/sys/kernel/msgmax", "9000" }, { "/proc/sys/kernel/msgmnb", "20000" }, { "/proc/sys/kernel/msgmni", "77" },
    { "/proc/sys/kernel/shmmax", "1234567" }, { "/proc/sys/kernel/shmall", "999999" }, { "/proc/sys/kernel/shmmni", "55" },
    { "/proc/sys/kernel/shm_rmid_forced", "1" }, { "/proc/sys/kernel/sem", "200\t3000\t30\t100" },
    { "/proc/sys/fs/mqueue/queues_max", "99" }, { "/proc/sys/fs/mqueue/msg_max", "22" }, { "/proc/sys/fs/mqueue/msgsize_max", "9999" },
    { "/proc/sys/fs/mqueue/msg_default", "11" }, { "/proc/sys/fs/mqueue/msgsize_default", "5555" },
};

int main(int argc, char **argv)
{
    begin(argv);
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        int fd = MUST(open(limits[i].path, O_WRONLY));
        MUST(write(fd, limits[i].value, strlen(limits[i].value)));
        close(fd);
    }
    ready();
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        char text[64] = "";
        int fd = open(limits[i].path, O_RDONLY);
        CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
        text[strcspn(text, "\n")] = 0;
        if (strcmp(text, limits[i].value))
            differ("%s is %s", limits[i].path, text);
        close(fd);
    }
    return finish();
}
