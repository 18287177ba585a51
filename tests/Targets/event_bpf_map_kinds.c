// expect-refusal: bpf-map
// BPF maps that can't be read whole: a queue, which keeps what it holds.
#include "target.h"
#include <linux/bpf.h>
#include <sys/syscall.h>

static long bpf(int command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

int main(int argc, char **argv)
{
    begin(argv);
    int value;
    union bpf_attr a = { .map_type = BPF_MAP_TYPE_QUEUE, .value_size = 4, .max_entries = 5 };
    int queue = MUST(bpf(BPF_MAP_CREATE, &a));
    for (value = 1; value < 4; value++)
        MUST(bpf(BPF_MAP_UPDATE_ELEM, &(union bpf_attr){ .map_fd = queue, .value = (unsigned long)&value }));
    ready();
    for (int wanted = 1; wanted < 4; wanted++)
        CHECK(bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &(union bpf_attr){ .map_fd = queue, .value = (unsigned long)&value }) == 0
              && value == wanted);
    return finish();
}
