// The mounts that a process sees, written so that two times of reading can be compared: numbers that the kernel gives are replaced by
// the place where they first occur, in the order of mount points.
#ifndef MOUNTS_H
#define MOUNTS_H
#include "target.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

enum { MOST_MOUNTS = 128 };

struct seen_mount {
    int id, parent, shared, master, level;
    char device[32], root[256], point[256], options[128], rest[512];
};

static struct seen_mount seen[MOST_MOUNTS];
static int seen_count;

static struct seen_mount *seen_by_id(int id)
{
    for (int i = 0; i < seen_count; i++)
        if (seen[i].id == id)
            return &seen[i];
    return NULL;
}

static int seen_order(const void *a, const void *b)
{
    const struct seen_mount *x = a, *y = b;
    int order = strcmp(x->point, y->point);
    return order ? order : x->level - y->level;
}

static void read_mounts(void)
{
    char line[2048];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    for (seen_count = 0; file && seen_count < MOST_MOUNTS && fgets(line, sizeof(line), file); seen_count++) {
        struct seen_mount *m = &seen[seen_count];
        char *tag;
        memset(m, 0, sizeof(*m));
        sscanf(line, "%d %d %31s %255s %255s %127s", &m->id, &m->parent, m->device, m->root, m->point, m->options);
        m->shared = (tag = strstr(line, " shared:")) ? atoi(tag + 8) : 0;
        m->master = (tag = strstr(line, " master:")) ? atoi(tag + 8) : 0;
        snprintf(m->rest, sizeof(m->rest), "%s%s", strstr(line, " unbindable") ? "unbindable " : "", strstr(line, " - ") + 3);
    }
    if (file)
        fclose(file);
    for (int i = 0; i < seen_count; i++)
        for (struct seen_mount *p = seen_by_id(seen[i].parent); p && !strcmp(p->point, seen[i].point) && p->id != p->parent;
             p = seen_by_id(p->parent))
            seen[i].level++;
    qsort(seen, seen_count, sizeof(seen[0]), seen_order);
}

static int first_of(const char *what, int upto, size_t offset)
{
    for (int i = 0; i < upto; i++)
        if (!strcmp(what, (char *)&seen[i] + offset))
            return i;
    return upto;
}

static int first_group(int group)
{
    for (int i = 0; group && i < seen_count; i++)
        if (seen[i].shared == group || seen[i].master == group)
            return i;
    return -1;
}

// All mounts, a line each.
static inline char *describe_mounts(void)
{
    static char text[2][65536];
    static int next;
    char *t = text[next++ & 1];
    size_t used = 0;
    read_mounts();
    for (int i = 0; i < seen_count; i++) {
        struct seen_mount *m = &seen[i], *parent = seen_by_id(m->parent);
        used += snprintf(t + used, sizeof(text[0]) - used, "%s#%d on %s#%d: device %d root %s options %s shared %d master %d %s", m->point,
            m->level, parent ? parent->point : "-", parent ? parent->level : 0,
            first_of(m->device, i, offsetof(struct seen_mount, device)), m->root, m->options, first_group(m->shared),
            first_group(m->master), m->rest);
    }
    return t;
}

// Says which lines differ.
static inline void compare_mounts(const char *before, const char *after)
{
    if (!strcmp(before, after))
        return;
    for (const char *at = before; *at; at = strchr(at, '\n') + 1) {
        char line[1200];
        snprintf(line, sizeof(line), "%.*s", (int)(strchr(at, '\n') - at + 1), at);
        if (!strstr(after, line))
            differ("gone: %s", line);
    }
    for (const char *at = after; *at; at = strchr(at, '\n') + 1) {
        char line[1200];
        snprintf(line, sizeof(line), "%.*s", (int)(strchr(at, '\n') - at + 1), at);
        if (!strstr(before, line))
            differ("new: %s", line);
    }
}

static inline void make_directory(const char *path)
{
    if (mkdir(path, 0755) && errno != EEXIST)
        MUST(-1);
}

// Those that were opened outside are on mounts that are out of reach now; container engines do the same.
static inline void reopen_standard_streams(void)
{
    int null = MUST(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd < 3; fd++)
        MUST(dup2(null, fd));
    close(null);
}

static inline void make_file(const char *path)
{
    close(MUST(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
}

static inline void bind_to(const char *from, const char *to, unsigned long more)
{
    MUST(mount(from, to, NULL, MS_BIND, NULL));
    if (more)
        MUST(mount(NULL, to, NULL, MS_REMOUNT | MS_BIND | more, NULL));
}
#endif
