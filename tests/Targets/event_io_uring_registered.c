// Rings with registered files and buffers, also places that are empty: a socket, a file, a device; after a restore requests find them at
// their places.
#include "uring_target.h"
#include <sys/socket.h>
#include <sys/uio.h>

int main(int argc, char **argv)
{
    begin(argv);
    struct ring r;
    int pair[2], zero = MUST(open("/dev/zero", O_RDWR)), file = MUST(open(in_work("data"), O_RDWR | O_CREAT, 0644));
    if (ring_open(&r, 4, 0, 0) < 0)
        return skip("there is no io_uring here");
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    MUST(pwrite(file, "0123456789", 10, 0));
    int files[] = { -1, pair[0], -1, file, zero, -1 };
    char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec buffers[] = { { memory + 100, 8000 }, { NULL, 0 }, { memory + 16384, 4096 } };
    MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, files, 6));
    MUST(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, buffers, 3));
    ring_use(&r, 50);
    strcpy(memory + 200, "from the buffer");
    ready();
    ring_put(&r, IORING_OP_WRITE_FIXED, 1, memory + 200, 15, 1);
    ring_last(&r)->flags = IOSQE_FIXED_FILE;
    ring_last(&r)->buf_index = 0;
    char text[16] = "";
    CHECK(ring_enter(&r, 1, 1) == 1 && ring_take(&r, 1) == 15 && read(pair[1], text, 15) == 15 && !strcmp(text, "from the buffer"));
    ring_put(&r, IORING_OP_READ_FIXED, 3, memory + 16390, 6, 2);
    ring_last(&r)->flags = IOSQE_FIXED_FILE;
    ring_last(&r)->buf_index = 2;
    ring_last(&r)->off = 4;
    CHECK(ring_enter(&r, 1, 1) == 1 && ring_take(&r, 2) == 6 && !memcmp(memory + 16390, "456789", 6));
    ring_put(&r, IORING_OP_WRITE, 4, text, 5, 3);
    ring_last(&r)->flags = IOSQE_FIXED_FILE;
    CHECK(ring_enter(&r, 1, 1) == 1 && ring_take(&r, 3) == 5);
    ring_put(&r, IORING_OP_WRITE, 2, text, 5, 4);
    ring_last(&r)->flags = IOSQE_FIXED_FILE;
    CHECK(ring_enter(&r, 1, 1) == 1 && ring_take(&r, 4) == -EBADF);
    ring_put(&r, IORING_OP_READ_FIXED, 3, memory, 6, 5);
    ring_last(&r)->flags = IOSQE_FIXED_FILE;
    ring_last(&r)->buf_index = 1;
    CHECK(ring_enter(&r, 1, 1) == 1 && ring_take(&r, 5) == -EFAULT);
    CHECK(ring_works(&r));
    CHECK(syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_FILES, NULL, 0) == 0);
    CHECK(syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0) == 0);
    return finish();
}
