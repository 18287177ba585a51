// Siblings that have written the same bytes into the same pages since they were forked, and others: each has its own afterwards, and what
// one writes no other sees.
#include "mem_target.h"

enum { CHILDREN = 4, PAGES = 32, ALIKE = 8, OWN = 9, ODD = 10, LATER = 11 };

static unsigned char *memory;

static unsigned seed(int child, int page)
{
    if (page < ALIKE)
        return 100;
    if (page == OWN)
        return 200 + child;
    if (page == ODD)
        return child == 2 ? 7 : 101;
    return 1;
}

static int whole(int child)
{
    for (int page = 0; page < PAGES; page++)
        if (!filled(memory + page * PAGE, PAGE, seed(child, page)))
            return 0;
    return 1;
}

static void live(int child, int go, int told)
{
    for (int page = 0; page < PAGES; page++)
        if (seed(child, page) != 1)
            fill(memory + page * PAGE, PAGE, seed(child, page));
    char byte = 'r';
    MUST(write(told, &byte, 1));
    // First all look, then one after the other writes, and looks again at what it did not write.
    MUST(read(go, &byte, 1));
    byte = whole(child) ? 'y' : 'n';
    MUST(write(told, &byte, 1));
    MUST(read(go, &byte, 1));
    int own = whole(child);
    fill(memory, PAGE, 150 + child);
    fill(memory + LATER * PAGE, PAGE, 160 + child);
    byte = own && filled(memory, PAGE, 150 + child) && filled(memory + PAGE, PAGE, 100) ? 'y' : 'n';
    MUST(write(told, &byte, 1));
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    begin(argv);
    int go[CHILDREN][2], told[CHILDREN][2];
    pid_t children[CHILDREN];
    char byte = 0;
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int page = 0; page < PAGES; page++)
        fill(memory + page * PAGE, PAGE, 1);
    for (int i = 0; i < CHILDREN; i++) {
        MUST(pipe(go[i]));
        MUST(pipe(told[i]));
        children[i] = MUST(fork());
        if (children[i] == 0)
            live(i, go[i][0], told[i][1]);
        MUST(read(told[i][0], &byte, 1));
    }
    ready();
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < CHILDREN; i++) {
            MUST(write(go[i][1], &byte, 1));
            MUST(read(told[i][0], &byte, 1));
            CHECK(byte == 'y');
        }
    for (int page = 0; page < PAGES; page++)
        CHECK(filled(memory + page * PAGE, PAGE, 1));
    for (int i = 0; i < CHILDREN; i++)
        kill(children[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    return finish();
}
