// expect-refusal: unix-pending
// dump-options: --leave-running
// A connection that wasn't accepted has brought data: refused where the program is to run on, and both still there afterwards.
#include "target.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work("sock"));
    int listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&a, sizeof(a)));
    MUST(listen(listener, 3));
    MUST(connect(client, (void *)&a, sizeof(a)));
    MUST(send(client, "early", 5, 0));
    ready();
    char buffer[8] = { 0 };
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0 && recv(server, buffer, 5, MSG_WAITALL) == 5 && !memcmp(buffer, "early", 5));
    return finish();
}
