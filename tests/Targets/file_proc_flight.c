// expect-refusal: in-flight-process
// A file in /proc of the task itself that lies in a socket's queue.
#include "flight.h"

int main(int argc, char **argv)
{
    int s[2], got[64];
    char data[65];
    begin(argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    int status = MUST(open("/proc/self/status", O_RDONLY));
    send_fds(s[0], "status", 6, &status, 1);
    ready();
    CHECK(receive_fds(s[1], data, 64, got, NULL) == 1 && read(got[0], data, 5) == 5 && !memcmp(data, "Name:", 5));
    return finish();
}
