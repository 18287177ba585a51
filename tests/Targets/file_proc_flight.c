// Files in /proc of the task itself and of its child that lie in a socket's queue; one of them is held, too, and one by nobody else.
#include "flight.h"

int main(int argc, char **argv)
{
    int s[2], got[64], there[3];
    char data[65], text[64], path[64];
    begin(argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    int child = MUST(fork());
    if (!child) {
        pause();
        _exit(0);
    }
    there[0] = MUST(open("/proc/self/status", O_RDONLY));
    snprintf(path, sizeof(path), "/proc/%d/stat", child);
    there[1] = MUST(open(path, O_RDONLY));
    there[2] = MUST(open("/proc/self/comm", O_RDWR));
    MUST(read(there[2], data, 5));
    send_fds(s[0], "status", 6, there, 3);
    close(there[0]);
    close(there[1]);
    ready();
    CHECK(receive_fds(s[1], data, 64, got, NULL) == 3 && !memcmp(data, "status", 6));
    CHECK(read(got[0], data, 5) == 5 && !memcmp(data, "Name:", 5));
    CHECK(read(got[1], text, 63) > 0 && atoi(text) == child);
    CHECK(same_file(got[2], there[2]) && lseek(got[2], 0, SEEK_CUR) == 5);
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    return finish();
}
