// expect-refusal: udp-corked
// A packet that is being put together in a raw socket (MSG_MORE): refused, and the program goes on with it.
#include "inet.h"
#include <sys/random.h>

int main(int argc, char **argv)
{
    begin(argv);
    // An address of its own: raw sockets of a protocol get what is sent to any other at theirs.
    unsigned number;
    MUST(getrandom(&number, sizeof(number), 0));
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + number % 0xfffff0) };
    int fd = MUST(socket(AF_INET, SOCK_RAW, 252));
    MUST(bind(fd, (void *)&a, sizeof(a)));
    MUST(sendto(fd, "one", 3, MSG_MORE, (void *)&a, sizeof(a)));
    ready();
    char data[64];
    CHECK(!readable(fd, 0) && sendto(fd, " whole", 6, 0, (void *)&a, sizeof(a)) == 6);
    CHECK(readable(fd, 5000) && recv(fd, data, sizeof(data), 0) == 29 && !memcmp(data + 20, "one whole", 9));
    return finish();
}
