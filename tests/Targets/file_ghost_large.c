// expect-refusal: ghost-limit
// An unlinked file that is larger than is saved whole without being asked for.
#include "target.h"

int main(int argc, char **argv)
{
    static char page[1 << 16];
    begin(argv);
    memset(page, 'g', sizeof(page));
    int fd = MUST(open(in_work("gone"), O_CREAT | O_RDWR, 0600));
    for (int i = 0; i < 40; i++)
        MUST(write(fd, page, sizeof(page)));
    MUST(unlink(in_work("gone")));
    ready();
    CHECK(pread(fd, page, 1, 39 << 16) == 1 && page[0] == 'g');
    return finish();
}
