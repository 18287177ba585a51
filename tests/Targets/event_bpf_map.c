// BPF maps: array, hash and trie of prefixes; arrays and hashes with a value for each CPU; frozen, read only, with
// two descriptors; shared with a child, duplicated, closed on exec.
#include "target.h"
#include <linux/bpf.h>
#include <sys/syscall.h>

static long bpf(int command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int create(int type, int key, int value, int entries, int flags, const char *name)
{
    union bpf_attr a = { .map_type = type, .key_size = key, .value_size = value, .max_entries = entries, .map_flags = flags };
    strcpy(a.map_name, name);
    return MUST(bpf(BPF_MAP_CREATE, &a));
}

static int put(int map, void *key, void *value)
{
    union bpf_attr a = { .map_fd = map, .key = (unsigned long)key, .value = (unsigned long)value };
    return bpf(BPF_MAP_UPDATE_ELEM, &a);
}

static int get(int map, void *key, void *value)
{
    union bpf_attr a = { .map_fd = map, .key = (unsigned long)key, .value = (unsigned long)value };
    return bpf(BPF_MAP_LOOKUP_ELEM, &a);
}

static struct bpf_map_info info_of(int map)
{
    struct bpf_map_info info = { 0 };
    union bpf_attr a = { .info = { .bpf_fd = map, .info_len = sizeof(info), .info = (unsigned long)&info } };
    CHECK(bpf(BPF_OBJ_GET_INFO_BY_FD, &a) == 0);
    return info;
}

static int again(int map, int flags)
{
    union bpf_attr a = { .map_id = info_of(map).id, .open_flags = flags };
    return MUST(bpf(BPF_MAP_GET_FD_BY_ID, &a));
}

static int possible(void)
{
    char text[256] = "", *last = text;
    int fd = MUST(open("/sys/devices/system/cpu/possible", O_RDONLY));
    MUST(read(fd, text, sizeof(text) - 1));
    close(fd);
    for (char *p = text; *p; p++)
        if (*p == '-' || *p == ',')
            last = p + 1;
    return atoi(last) + 1;
}

int main(int argc, char **argv)
{
    begin(argv);
    struct { unsigned length; unsigned char address[4]; } prefix = { 8, { 10 } };
    union bpf_attr freeze = { 0 };
    long long value;
    int array = create(BPF_MAP_TYPE_ARRAY, 4, 12, 3000, 0, "an_array"), hash = create(BPF_MAP_TYPE_HASH, 8, 8, 5000, BPF_F_NO_PREALLOC, "a_hash");
    int trie = create(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 10, BPF_F_NO_PREALLOC, "a_trie"), still = create(BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0, "still");
    int guarded = create(BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_RDONLY, "guarded"), empty = create(BPF_MAP_TYPE_HASH, 4, 4, 1, 0, ""), twin = MUST(dup(hash));
    MUST(fcntl(array, F_SETFD, 0));
    for (int i = 0; i < 3000; i++) {
        char text[12];
        snprintf(text, sizeof(text), "%d", i);
        MUST(put(array, &i, text));
    }
    for (long long k = 1; k <= 4000; k++)
        MUST(put(hash, (value = k * k, &k), &value));
    MUST(put(trie, &prefix, (value = 8, &value)));
    prefix.length = 24, prefix.address[1] = 1;
    MUST(put(trie, &prefix, (value = 24, &value)));
    MUST(put(still, &(int){ 1 }, (value = 77, &value)));
    freeze.map_fd = still;
    MUST(bpf(BPF_MAP_FREEZE, &freeze));
    int other = again(hash, BPF_F_RDONLY), child = MUST(fork()), status;
    if (child == 0) {
        wait_for_wake();
        _exit(put(hash, &(long long){ 1 }, &(long long){ 4242 }) != 0);
    }
    // A value for each CPU that the machine may have, in whole words.
    int cpus = possible(), kinds[] = { BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH }, each[3];
    long long values[cpus];
    for (int kind = 0; kind < 3; kind++) {
        each[kind] = create(kinds[kind], 4, 5, 100, 0, "by_cpu");
        for (int key = 1; key < 9; key++) {
            for (int cpu = 0; cpu < cpus; cpu++)
                values[cpu] = key * 1000 + cpu;
            MUST(put(each[kind], &key, values));
        }
    }
    ready();
    for (int kind = 0; kind < 3; kind++) {
        for (int key = 1; key < 9; key++) {
            CHECK(get(each[kind], &key, values) == 0);
            for (int cpu = 0; cpu < cpus; cpu++)
                if (values[cpu] != key * 1000 + cpu)
                    differ("map %d, key %d, cpu %d: %lld", kind, key, cpu, values[cpu]);
        }
        CHECK(get(each[kind], &(int){ 50 }, values) == (kind == 0 ? 0 : -1) && info_of(each[kind]).type == (unsigned)kinds[kind]);
    }
    for (int i = 0; i < 3000; i++) {
        char text[12], found[12] = "";
        snprintf(text, sizeof(text), "%d", i);
        if (get(array, &i, found) || strcmp(text, found))
            differ("array, %d: %s", i, found);
    }
    for (long long k = 1; k <= 4000; k++)
        if (get(twin, &k, &value) || value != k * k)
            differ("hash, %lld: %lld", k, value);
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(get(other, &(long long){ 1 }, &value) == 0 && value == 4242 && put(other, &(long long){ 1 }, &value) < 0 && errno == EPERM);
    prefix.length = 32, prefix.address[2] = 9, prefix.address[1] = 1;
    CHECK(get(trie, &prefix, &value) == 0 && value == 8);
    prefix.address[2] = 0;
    CHECK(get(trie, &prefix, &value) == 0 && value == 24);
    CHECK(get(still, &(int){ 1 }, &value) == 0 && value == 77 && put(still, &(int){ 1 }, &value) < 0 && errno == EPERM);
    CHECK(put(guarded, &(int){ 1 }, &value) < 0 && errno == EPERM && get(guarded, &(int){ 1 }, &value) < 0 && errno == ENOENT);
    CHECK(put(empty, &(int){ 1 }, &value) == 0 && put(empty, &(int){ 2 }, &value) < 0 && errno == E2BIG);
    struct bpf_map_info info = info_of(hash);
    CHECK(info.type == BPF_MAP_TYPE_HASH && info.max_entries == 5000 && info.map_flags == BPF_F_NO_PREALLOC && !strcmp(info.name, "a_hash"));
    CHECK(info_of(twin).id == info.id && info_of(other).id == info.id && info_of(trie).id != info.id);
    CHECK(fcntl(array, F_GETFD) == 0 && fcntl(hash, F_GETFD) == FD_CLOEXEC);
    return finish();
}
