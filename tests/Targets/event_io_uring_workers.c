// A ring at rest whose requests were done by workers: threads of the kernel's in the process, which stay. They are no part of the tree;
// after a restore requests are done by new ones.
#include "uring_target.h"
#include <dirent.h>

// How many threads the process has.
static int threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)); )
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static int by_worker(struct ring *r)
{
    char text[5] = "";
    int file = MUST(open(in_work("data"), O_RDWR | O_CREAT, 0644));
    int works = pwrite(file, "abcd", 4, 0) == 4;
    ring_put(r, IORING_OP_READ, file, text, 4, 11);
    ring_last(r)->flags = IOSQE_ASYNC;
    works &= ring_enter(r, 1, 1) == 1 && ring_take(r, 11) == 4 && !strcmp(text, "abcd");
    close(file);
    return works;
}

int main(int argc, char **argv)
{
    begin(argv);
    struct ring r;
    if (ring_open(&r, 8, 0, 0) < 0)
        return skip("there is no io_uring here");
    CHECK(by_worker(&r));
    if (threads() < 2)
        return skip("no worker stays");
    ready();
    CHECK(by_worker(&r) && ring_works(&r));
    return finish();
}
