// options: --tcp-established
// TCP connections in flight, held by nobody, with what waits in them: one end of one, both ends of another, one whose peer is done.
#include "flight.h"
#include "inet.h"

int main(int argc, char **argv)
{
    begin(argv);
    int listener = listening(AF_INET, 0), one[2], both[2], done[2], pair[2], got[4];
    char data[8];
    connected(listener, AF_INET, &one[0], &one[1]);
    connected(listener, AF_INET, &both[0], &both[1]);
    connected(listener, AF_INET, &done[0], &done[1]);
    MUST(send(one[0], "to one", 6, 0));
    MUST(send(both[0], "to both", 7, 0));
    MUST(send(done[0], "the last", 8, 0));
    MUST(shutdown(done[0], SHUT_WR));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    send_fds(pair[0], "tcp", 3, (int[]){ one[1], both[0], both[1], done[1] }, 4);
    close(one[1]);
    close(both[0]);
    close(both[1]);
    close(done[1]);
    ready();
    CHECK(receive_fds(pair[1], data, 7, got, NULL) == 4 && !strcmp(data, "tcp"));
    CHECK(drains(got[0], "to one", 6) && send(got[0], "back", 4, 0) == 4 && drains(one[0], "back", 4));
    CHECK(drains(got[2], "to both", 7) && send(got[2], "again", 5, 0) == 5 && drains(got[1], "again", 5));
    CHECK(drains(got[3], "the last", 8) && readable(got[3], 5000) && recv(got[3], data, 1, 0) == 0);
    CHECK(send(got[3], "still", 5, 0) == 5 && drains(done[0], "still", 5));
    return finish();
}
