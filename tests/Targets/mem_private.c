// Private anonymous memory: all protections, content behind PROT_NONE, holes, zero pages, a reservation of 256 GiB, heap and stack.
#include "mem_target.h"

static void *map(size_t size, int protection, int flags)
{
    void *at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    MUST(at == MAP_FAILED ? -1 : 0);
    return at;
}

int main(int argc, char **argv)
{
    begin(argv);
    kib(argv, "Rss:"); // so that malloc has its part of the heap already
    enum { SIZE = 5 << 20, PAGES = 64 * PAGE };
    unsigned char *plain = map(SIZE, PROT_READ | PROT_WRITE, 0), *none = map(PAGES, PROT_READ | PROT_WRITE, 0);
    unsigned char *reading = map(PAGES, PROT_READ | PROT_WRITE, 0), *code = map(PAGE, PROT_READ | PROT_WRITE, 0);
    unsigned char *holes = map(PAGES, PROT_READ | PROT_WRITE, 0), *zeroes = map(PAGES, PROT_READ, 0), *heap = sbrk(PAGES);
    unsigned char *reserved = map(256UL << 30, PROT_NONE, MAP_NORESERVE), local[3 * PAGE];
    fill(plain, SIZE, 1);
    fill(none, PAGES, 2);
    fill(reading, PAGES, 3);
    fill(heap, PAGES, 4);
    fill(local, sizeof(local), 5);
    for (int page = 0; page < 64; page += 2)
        fill(holes + page * PAGE, PAGE, 6);
    CHECK(zero(zeroes, PAGES));
    memcpy(code, "\xb8\x2a\x00\x00\x00\xc3", 6); // mov eax, 42; ret
    MUST(mprotect(reserved + (100UL << 30), PAGES, PROT_READ | PROT_WRITE));
    fill(reserved + (100UL << 30), PAGES, 7);
    MUST(mprotect(none, PAGES, PROT_NONE));
    MUST(mprotect(reading, PAGES, PROT_READ));
    MUST(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
    void *end = sbrk(0);
    ready();
    CHECK(filled(plain, SIZE, 1) && filled(heap, PAGES, 4) && filled(local, sizeof(local), 5) && filled(reading, PAGES, 3));
    CHECK(strstr(mapping(none), "---p") && strstr(mapping(reading), "r--p") && strstr(mapping(code), "r-xp") && strstr(mapping(plain), "rw-p"));
    MUST(mprotect(none, PAGES, PROT_READ));
    CHECK(filled(none, PAGES, 2));
    for (int page = 0; page < 64; page++)
        CHECK(page % 2 ? zero(holes + page * PAGE, PAGE) : filled(holes + page * PAGE, PAGE, 6));
    CHECK(zero(zeroes, PAGES) && ((int (*)(void))code)() == 42);
    CHECK(filled(reserved + (100UL << 30), PAGES, 7) && has_flag(reserved, "nr"));
    CHECK(strstr(mapping(reserved), "---p") && strstr(mapping(heap), "[heap]") && strstr(mapping(local), "[stack]") && has_flag(local, "gd"));
    CHECK(sbrk(0) == end && sbrk(PAGES) == end);
    fill(end, PAGES, 8);
    CHECK(filled(end, PAGES, 8) && zero(reserved + (100UL << 30) + PAGES, 0));
    MUST(mprotect(reserved + (200UL << 30), PAGE, PROT_READ | PROT_WRITE));
    reserved[200UL << 30] = 1;
    return finish();
}
