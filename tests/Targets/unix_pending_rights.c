// expect-refusal: unix-pending
// A connection that wasn't accepted has brought a descriptor, which only who accepts it could see: refused, and still there afterwards.
#include "flight.h"

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work("sock"));
    int listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), client = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), got = -1;
    MUST(bind(listener, (void *)&a, sizeof(a)));
    MUST(listen(listener, 3));
    MUST(connect(client, (void *)&a, sizeof(a)));
    send_fds(client, "early", 5, &listener, 1);
    ready();
    char buffer[8];
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0 && receive_fds(server, buffer, 7, &got, NULL) == 1 && !strcmp(buffer, "early") && same_file(got, listener));
    return finish();
}
