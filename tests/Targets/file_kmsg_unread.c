// expect-refusal: kernel-log-unread
// A reader of the kernel's log that has not read all.
#include "target.h"

int main(int argc, char **argv)
{
    char text[8192];
    begin(argv);
    int log = MUST(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
    MUST(lseek(log, 0, SEEK_SET));
    ready();
    CHECK(read(log, text, sizeof(text)) > 0);
    return finish();
}
