// options: --tcp-established
// expect-refusal: inet-protocol
// Connections of MPTCP, also one whose other end speaks TCP alone: the kernel shows nothing of their state: refused, and they go on.
#include "inet.h"
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int main(int argc, char **argv)
{
    begin(argv);
    int client = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), plain = listening(AF_INET, 0);
    if (client < 0)
        return skip("this kernel has no MPTCP");
    struct sockaddr_in6 a;
    socklen_t n = name_of(plain, AF_INET, &a);
    MUST(connect(client, (void *)&a, n));
    int server = MUST(accept(plain, NULL, NULL));
    ready();
    CHECK(get(client, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP);
    CHECK(send(client, "on", 2, 0) == 2 && drains(server, "on", 2) && send(server, "back", 4, 0) == 4 && drains(client, "back", 4));
    return finish();
}
