// Messages without data at the heads of queues, which the program has looked at already, and others behind them: of packets and datagrams,
// also of UDP; with a descriptor.
#include "flight.h"
#include <arpa/inet.h>

static int comes(int fd, const char *text)
{
    char data[33] = "";
    return recv(fd, data, 32, MSG_DONTWAIT) == (ssize_t)strlen(text) && !strcmp(data, text);
}

int main(int argc, char **argv)
{
    begin(argv);
    static char large[400000], read_large[sizeof(large)];
    int packets[2], grams[2], rights[2], alone[2], udp[2], got = -1;
    char data[33];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, grams));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, rights));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, alone));
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        udp[i] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
        MUST(bind(udp[i], (void *)&a, sizeof(a)));
        MUST(getsockname(udp[i], (void *)&a, &(socklen_t){ sizeof(a) }));
        MUST(connect(udp[i], (void *)&a, sizeof(a)));
        MUST(send(udp[i], "", 0, 0));
    }
    MUST(send(udp[0], "behind", 6, 0));
    MUST(send(packets[0], "", 0, 0));
    MUST(send(packets[0], "behind", 6, 0));
    MUST(send(grams[0], "", 0, 0));
    MUST(send(grams[0], "behind", 6, 0));
    send_fds(rights[0], "", 0, &udp[0], 1);
    send_fds(rights[0], "behind", 6, &udp[1], 1);
    MUST(send(alone[0], "", 0, 0));
    // One that takes more than one look, and one behind it.
    int more[2];
    memset(large, 'L', sizeof(large));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, more));
    MUST(setsockopt(more[0], SOL_SOCKET, SO_SNDBUF, &(int){ 1 << 20 }, sizeof(int)));
    int has_large = send(more[0], large, sizeof(large), 0) == sizeof(large);
    MUST(send(more[0], "last", 4, 0));
    for (int i = 0; i < 5; i++)
        MUST(recv((int[]){ packets[1], grams[1], rights[1], udp[0], udp[1] }[i], data, 1, MSG_PEEK));
    ready();
    CHECK(comes(packets[1], "") && comes(packets[1], "behind") && !readable(packets[1], 0));
    CHECK(comes(grams[1], "") && comes(grams[1], "behind") && !readable(grams[1], 0));
    CHECK(receive_fds(rights[1], data, 32, &got, NULL) == 1 && !data[0] && same_file(got, udp[0]));
    CHECK(receive_fds(rights[1], data, 32, &got, NULL) == 1 && !strcmp(data, "behind") && same_file(got, udp[1]));
    CHECK(readable(alone[1], 0) && comes(alone[1], "") && !readable(alone[1], 0));
    CHECK(comes(udp[0], "") && comes(udp[0], "behind") && !readable(udp[0], 0));
    CHECK(!has_large || (recv(more[1], read_large, sizeof(large), 0) == sizeof(large) && !memcmp(large, read_large, sizeof(large))));
    CHECK(comes(more[1], "last") && !readable(more[1], 0));
    CHECK(readable(udp[1], 0) && comes(udp[1], "") && !readable(udp[1], 0));
    return finish();
}
