// expect-refusal: fanotify-permission
// A group that is asked who may open a file: refused, and it goes on deciding.
#include "target.h"
#include <pthread.h>
#include <sys/fanotify.h>

static int group;

static void *guard(void *unused)
{
    struct fanotify_event_metadata e;
    while (read(group, &e, sizeof(e)) == sizeof(e)) {
        struct fanotify_response r = { e.fd, FAN_ALLOW };
        if (write(group, &r, sizeof(r)) != sizeof(r))
            break;
        close(e.fd);
    }
    return unused;
}

int main(int argc, char **argv)
{
    begin(argv);
    pthread_t thread;
    close(MUST(open(in_work("file"), O_CREAT | O_WRONLY, 0600)));
    group = MUST(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
    MUST(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, in_work("file")));
    pthread_create(&thread, NULL, guard, NULL);
    ready();
    CHECK(open(in_work("file"), O_RDONLY) >= 0);
    return finish();
}
