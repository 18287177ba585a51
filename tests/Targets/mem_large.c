// 96 MiB of one piece and 64 MiB with holes: huge pages may bring them back, and leave no advice.
#include "mem_target.h"

int main(int argc, char **argv)
{
    begin(argv);
    const size_t size = 96UL << 20, step = 3UL << 20;
    uint64_t *whole = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *parts = mmap(NULL, 64UL << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *reading = mmap(NULL, 8UL << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < size / 8; i++)
        whole[i] = i * 0x9e3779b97f4a7c15ULL;
    for (size_t at = 0; at + PAGE <= 64UL << 20; at += step)
        for (size_t i = at / 8; i < (at + 2 * step / 3 + PAGE) / 8 && i < (64UL << 20) / 8; i++)
            parts[i] = i ^ 0xabcdef;
    for (size_t i = 0; i < (8UL << 20) / 8; i++)
        reading[i] = ~i;
    MUST(mprotect(reading, 8UL << 20, PROT_READ));
    ready();
    size_t wrong = 0;
    for (size_t i = 0; i < size / 8; i++)
        wrong += whole[i] != i * 0x9e3779b97f4a7c15ULL;
    CHECK(wrong == 0);
    for (size_t i = 0; i < (64UL << 20) / 8; i++)
        wrong += parts[i] != (i * 8 % step < 2 * step / 3 + PAGE ? i ^ 0xabcdef : 0);
    CHECK(wrong == 0);
    for (size_t i = 0; i < (8UL << 20) / 8; i++)
        wrong += reading[i] != ~i;
    CHECK(wrong == 0);
    CHECK(!has_flag(whole, "hg") && !has_flag(whole, "nh") && !has_flag(parts, "hg") && strstr(mapping(reading), "r--p"));
    whole[5] = 1;
    CHECK(kib(whole, "Rss:") >= (long)(size >> 10));
    return finish();
}
