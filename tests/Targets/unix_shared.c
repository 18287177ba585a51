// A stream pair across fork: one end each, and a third that both hold; a message is under way in each direction.
#include "target.h"
#include <sys/socket.h>

int main(int argc, char **argv)
{
    begin(argv);
    int s[2], both[2];
    char buffer[64] = { 0 };
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, both));
    pid_t child = MUST(fork());
    if (child == 0) {
        close(s[0]);
        MUST(send(s[1], "from the child", 14, 0));
        while (recv(both[1], buffer, sizeof(buffer), 0) != 2)
            ;
        ssize_t n = recv(s[1], buffer, sizeof(buffer), 0);
        _exit(n == 15 && !memcmp(buffer, "from the parent", 15) && send(s[1], "done", 4, 0) == 4 ? 0 : 1);
    }
    close(s[1]);
    MUST(send(s[0], "from the parent", 15, 0));
    CHECK(readable(s[0], 3000));
    ready();
    CHECK(recv(s[0], buffer, 14, MSG_WAITALL) == 14 && !memcmp(buffer, "from the child", 14));
    CHECK(send(both[0], "go", 2, 0) == 2);
    CHECK(readable(s[0], 3000) && recv(s[0], buffer, sizeof(buffer), 0) == 4);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(recv(s[0], buffer, sizeof(buffer), 0) == 0);
    return finish();
}
