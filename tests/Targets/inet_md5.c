// options: --tcp-established
// Segments signed with keys (TCP_MD5SIG), for an address and for a prefix, IPv4 and IPv6, also mapped: an idle connection, one with data on
// its way in both directions, one whose peer is done. Whoever has the key gets through afterwards, and whoever has not doesn't.
#include "inet.h"
#ifndef TCP_MD5SIG_EXT
#define TCP_MD5SIG_EXT 32
#endif

static int sign(int fd, int family, const char *address, int prefix, const char *key)
{
    struct { struct sockaddr_storage a; uint8_t flags, prefix; uint16_t length; uint32_t index; char key[80]; } s = { 0 };
    s.a.ss_family = family;
    MUST(inet_pton(family, address, family == AF_INET ? (void *)&((struct sockaddr_in *)&s.a)->sin_addr
                                                       : (void *)&((struct sockaddr_in6 *)&s.a)->sin6_addr) - 1);
    s.flags = 1, s.prefix = prefix, s.length = strlen(key);
    strcpy(s.key, key);
    return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &s, sizeof(s));
}

static int signed_client(int listener, int family, const char *key)
{
    struct sockaddr_in6 a;
    socklen_t n = name_of(listener, family, &a);
    int fd = MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)), error = 0;
    if (key)
        MUST(sign(fd, family, family == AF_INET ? "127.0.0.1" : "::1", family == AF_INET ? 32 : 128, key));
    (void)!connect(fd, (void *)&a, n);
    struct pollfd p = { fd, POLLOUT, 0 };
    if (poll(&p, 1, key ? 30000 : 700) == 1 && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof(error) }) && !error) {
        MUST(fcntl(fd, F_SETFL, 0));
        return fd;
    }
    close(fd);
    return -1;
}

int main(int argc, char **argv)
{
    begin(argv);
    static char sent[2][1 << 22];
    enum { PAIRS = 5 };
    static const int families[PAIRS] = { AF_INET, AF_INET, AF_INET6, AF_INET, AF_INET }, at[PAIRS] = { 0, 0, 1, 2, 0 };
    int listeners[3] = { listening(AF_INET, 0), listening(AF_INET6, 0), listening(AF_INET6, 1) }, c[PAIRS], s[PAIRS];
    char b;
    if (sign(listeners[0], AF_INET, "127.0.0.0", 8, "first") < 0)
        return skip("this kernel has no keys for TCP (CONFIG_TCP_MD5SIG)");
    MUST(sign(listeners[0], AF_INET, "10.1.2.3", 32, "of another"));
    MUST(sign(listeners[1], AF_INET6, "::1", 128, "second"));
    MUST(sign(listeners[2], AF_INET6, "::ffff:127.0.0.1", 32, "third"));
    static const char *const keys[3] = { "first", "second", "third" };
    for (int i = 0; i < PAIRS; i++) {
        MUST(c[i] = signed_client(listeners[at[i]], families[i], keys[at[i]]));
        s[i] = MUST(accept(listeners[at[i]], NULL, NULL));
    }
    size_t full[2] = { fill(c[1], sent[0], sizeof(sent[0]), 1), fill(s[1], sent[1], sizeof(sent[1]), 2) };
    MUST(send(c[4], "the last", 8, 0));
    MUST(shutdown(c[4], SHUT_WR));
    ready();
    CHECK(drains(s[1], sent[0], full[0]) && drains(c[1], sent[1], full[1]));
    CHECK(drains(s[4], "the last", 8) && readable(s[4], 30000) && recv(s[4], &b, 1, 0) == 0);
    CHECK(send(s[4], "answer", 6, 0) == 6 && drains(c[4], "answer", 6));
    for (int i = 0; i < 4; i++) {
        const char *own = families[i] == AF_INET ? "127.0.0.1" : "::1";
        int bits = families[i] == AF_INET ? 32 : 128;
        CHECK(send(c[i], "asks", 4, 0) == 4 && drains(s[i], "asks", 4) && send(s[i], "told", 4, 0) == 4 && drains(c[i], "told", 4));
        // Without a key nothing gets through to the other end, until it is there again.
        MUST(sign(c[i], families[i], own, bits, ""));
        CHECK(send(c[i], "unsigned", 8, 0) == 8 && !readable(s[i], 300));
        MUST(sign(c[i], families[i], own, bits, keys[at[i]]));
        CHECK(drains(s[i], "unsigned", 8));
    }
    for (int i = 0; i < 3; i++) {
        int family = i == 1 ? AF_INET6 : AF_INET, client = signed_client(listeners[i], family, keys[i]);
        CHECK(client >= 0 && readable(listeners[i], 30000));
        int server = accept(listeners[i], NULL, NULL);
        CHECK(send(client, "new", 3, 0) == 3 && drains(server, "new", 3));
        CHECK(signed_client(listeners[i], family, NULL) == -1);
    }
    return finish();
}
