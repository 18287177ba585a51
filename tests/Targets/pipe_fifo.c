// FIFOs: with data, both sides and one side open, unlinked, O_PATH.
#include "target.h"

int main(int argc, char **argv)
{
    char text[64];
    struct stat s;
    begin(argv);
    MUST(mkfifo(in_work("fifo"), 0640));
    int both = MUST(open(in_work("fifo"), O_RDWR)), reader = MUST(open(in_work("fifo"), O_RDONLY | O_NONBLOCK)), writer = MUST(open(in_work("fifo"), O_WRONLY));
    close(both);
    MUST(write(writer, "in the fifo", 11));
    MUST(mkfifo(in_work("lonely"), 0600));
    int lonely = MUST(open(in_work("lonely"), O_RDONLY | O_NONBLOCK)), name = MUST(open(in_work("lonely"), O_PATH));
    MUST(mkfifo(in_work("gone"), 0600));
    int gone = MUST(open(in_work("gone"), O_RDWR));
    MUST(write(gone, "unlinked", 8));
    MUST(unlink(in_work("gone")));
    ready();
    CHECK(read(reader, text, 6) == 6 && !memcmp(text, "in the", 6) && read(reader, text, 64) == 5 && !memcmp(text, " fifo", 5));
    CHECK(read(reader, text, 1) == -1 && errno == EAGAIN && write(writer, "x", 1) == 1 && read(reader, text, 1) == 1);
    close(writer);
    CHECK(read(reader, text, 1) == 0 && read(lonely, text, 1) == 0 && fstat(name, &s) == 0 && S_ISFIFO(s.st_mode));
    CHECK(read(gone, text, 64) == 8 && !memcmp(text, "unlinked", 8) && write(gone, "y", 1) == 1 && read(gone, text, 1) == 1);
    CHECK(fstat(gone, &s) == 0 && s.st_nlink == 0 && access(in_work("gone"), F_OK) == -1);
    return finish();
}
