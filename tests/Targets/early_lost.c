// A connection that no one has accepted yet, whose data is lost: it is reset; the others are there.
#include "flight.h"

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_work("sock"));
    int listener = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)), clients[3], server;
    char data[8] = "";
    MUST(bind(listener, (void *)&a, sizeof(a)));
    MUST(listen(listener, 5));
    for (int i = 0; i < 3; i++) {
        clients[i] = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        MUST(connect(clients[i], (void *)&a, sizeof(a)));
        if (i != 1)
            MUST(send(clients[i], "early", 5, 0));
        if (i == 2)
            close(clients[i]);
    }
    ready();
    CHECK(recv(clients[0], data, 1, 0) == -1 && errno == ECONNRESET && send(clients[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK((server = accept(listener, NULL, NULL)) >= 0 && send(clients[1], "now", 3, 0) == 3 && recv(server, data, 7, 0) == 3);
    CHECK(!strcmp(data, "now") && accept(listener, NULL, NULL) == -1 && errno == EAGAIN);
    return finish();
}
