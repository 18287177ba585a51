// POSIX message queues: messages with priorities, in order; a full one, an empty one; descriptors with flags; owners.
// contain: pi
#include "target.h"
#include <mqueue.h>

static void expect(mqd_t queue, const char *text, unsigned priority)
{
    char got[256] = "";
    unsigned at = 99;
    ssize_t length = mq_receive(queue, got, sizeof(got), &at);
    if (length != (ssize_t)strlen(text) || memcmp(got, text, strlen(text)) || at != priority)
        differ("expected %s at %u, got %.*s at %u", text, priority, (int)(length < 0 ? 0 : length), got, at);
}

int main(int argc, char **argv)
{
    struct mq_attr room = { .mq_maxmsg = 6, .mq_msgsize = 200 }, state;
    struct stat stat;
    begin(argv);
    umask(0);
    mqd_t queue = MUST(mq_open("/messages", O_RDWR | O_CREAT | O_NONBLOCK, 0620, &room));
    mqd_t reader = MUST(mq_open("/messages", O_RDONLY));
    mqd_t empty = MUST(mq_open("/empty", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &room));
    MUST(fchown(empty, 12, 34));
    static const struct { const char *text; unsigned priority; } sent[] = {
        { "one", 5 }, { "two", 9 }, { "three", 5 }, { "", 1 }, { "five", 0 }, { "six", 1 },
    };
    for (size_t i = 0; i < 6; i++)
        MUST(mq_send(queue, sent[i].text, strlen(sent[i].text), sent[i].priority));
    ready();
    CHECK(mq_getattr(queue, &state) == 0 && state.mq_curmsgs == 6 && state.mq_maxmsg == 6 && state.mq_msgsize == 200);
    CHECK(state.mq_flags == O_NONBLOCK);
    CHECK(mq_getattr(reader, &state) == 0 && state.mq_flags == 0);
    CHECK(mq_send(reader, "x", 1, 0) == -1 && errno == EBADF);
    CHECK(mq_send(queue, "x", 1, 0) == -1 && errno == EAGAIN);
    expect(reader, "two", 9);
    expect(queue, "one", 5);
    expect(reader, "three", 5);
    expect(queue, "", 1);
    expect(queue, "six", 1);
    expect(queue, "five", 0);
    CHECK(mq_getattr(empty, &state) == 0 && state.mq_curmsgs == 0);
    CHECK(fstat(empty, &stat) == 0 && stat.st_uid == 12 && stat.st_gid == 34 && (stat.st_mode & 0777) == 0600);
    CHECK(fstat(queue, &stat) == 0 && (stat.st_mode & 0777) == 0620);
    CHECK(mq_send(empty, "works", 5, 3) == 0);
    expect(empty, "works", 3);
    CHECK(mq_unlink("/messages") == 0 && mq_unlink("/empty") == 0);
    return finish();
}
