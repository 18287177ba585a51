// expect-refusal: unix-error-pending
// A datagram socket whose peer has turned to another, and forgot what came: the error is still there after the refusal.
#include "target.h"
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct sockaddr_un names[3] = { { .sun_family = AF_UNIX }, { .sun_family = AF_UNIX }, { .sun_family = AF_UNIX } };
    int s[3], error = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(names[i].sun_path, sizeof(names[i].sun_path), "%s/%d", work, i);
        s[i] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
        MUST(bind(s[i], (void *)&names[i], sizeof(names[i])));
    }
    MUST(connect(s[0], (void *)&names[1], sizeof(names[1])));
    MUST(connect(s[1], (void *)&names[0], sizeof(names[0])));
    MUST(send(s[1], "forgotten", 9, 0));
    MUST(connect(s[0], (void *)&names[2], sizeof(names[2])));
    ready();
    CHECK(getsockopt(s[1], SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof(error) }) == 0 && error == ECONNRESET);
    return finish();
}
