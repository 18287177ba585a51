// What the targets of memory share: patterns, and what /proc/self/smaps says of an address.
#include "target.h"
#include <sys/mman.h>
#include <stdint.h>

enum { PAGE = 4096 };

static inline void fill(volatile unsigned char *at, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)(i * 31 + i / PAGE * 7 + seed);
}

static inline int filled(const volatile unsigned char *at, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != (unsigned char)(i * 31 + i / PAGE * 7 + seed))
            return 0;
    return 1;
}

static inline int zero(const volatile unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return 0;
    return 1;
}

// The first line of the mapping that holds an address, and of the line of it that begins with a key.
static inline int smaps_line(const void *address, const char *key, char *line, int size)
{
    int inside = 0, found = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (!found && fgets(line, size, file)) {
        unsigned long from, to;
        char dash;
        if (sscanf(line, "%lx%c%lx ", &from, &dash, &to) == 3 && dash == '-') {
            inside = from <= (unsigned long)address && (unsigned long)address < to;
            found = inside && !key[0];
        } else
            found = inside && !strncmp(line, key, strlen(key));
    }
    fclose(file);
    return found;
}

static inline int has_flag(const void *address, const char *flag)
{
    char line[512], word[8];
    snprintf(word, sizeof(word), " %s", flag);
    return smaps_line(address, "VmFlags:", line, sizeof(line)) && strstr(line, word) != NULL;
}

static inline long kib(const void *address, const char *key)
{
    char line[512];
    return smaps_line(address, key, line, sizeof(line)) ? strtol(line + strlen(key), NULL, 10) : -1;
}

// Start, end, protection and name of the mapping that holds an address.
static inline const char *mapping(const void *address)
{
    static char line[512];
    return smaps_line(address, "", line, sizeof(line)) ? line : "none";
}
