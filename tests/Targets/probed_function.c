// Has a function on which the test sets a probe, calls it when it is told to, and then has a page of user-space probes.
#include "mem_target.h"

// An instruction that the kernel can't do itself, so that it needs a page in the task for it.
static __attribute__((noinline)) int probed(int number)
{
    __asm__ volatile("imul $3, %0, %0" : "+r"(number));
    return number;
}

int main(int argc, char **argv)
{
    begin(argv);
    char line[512], offset[32];
    unsigned long from, to, in_file;
    MUST(smaps_line((void *)probed, "", line, sizeof(line)) && sscanf(line, "%lx-%lx %*s %lx", &from, &to, &in_file) == 3 ? 0 : -1);
    snprintf(offset, sizeof(offset), "%lx", (unsigned long)probed - from + in_file);
    publish("offset", offset);
    while (access(in_work("go"), F_OK))
        usleep(1000);
    CHECK(probed(14) == 42);
    FILE *maps = fopen("/proc/self/maps", "r");
    int found = 0;
    while (fgets(line, sizeof(line), maps))
        found |= strstr(line, "[uprobes]") != NULL;
    fclose(maps);
    if (!found)
        return skip("the kernel has made no page of user-space probes");
    ready();
    CHECK(probed(14) == 42);
    return finish();
}
