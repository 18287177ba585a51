// Mapped files: private ones with changed pages, shared ones for reading and for writing, one without a name, one mapped without descriptor.
#include "mem_target.h"

enum { SIZE = 8 * PAGE };

static int make(const char *name, unsigned seed)
{
    static unsigned char bytes[SIZE];
    int fd = MUST(open(in_work(name), O_CREAT | O_RDWR | O_TRUNC, 0644));
    fill(bytes, SIZE, seed);
    MUST(write(fd, bytes, SIZE));
    return fd;
}

int main(int argc, char **argv)
{
    begin(argv);
    int a = make("a", 1), b = make("b", 2), c = make("c", 3);
    int read_only = MUST(open(in_work("a"), O_RDONLY));
    unsigned char *private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, a, 0);
    unsigned char *later = mmap(NULL, SIZE - PAGE, PROT_READ, MAP_PRIVATE, read_only, PAGE);
    unsigned char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
    unsigned char *writable = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, b, 0), *fixed = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, read_only, 0);
    unsigned char *gone = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, c, 0);
    fill(private + 2 * PAGE, PAGE, 77);
    fill(gone + 3 * PAGE, PAGE, 88);
    fill(shared + PAGE, PAGE, 99);
    MUST(mprotect(private, SIZE, PROT_READ));
    MUST(unlink(in_work("c")));
    close(c);
    close(read_only);
    ready();
    for (int page = 0; page < 8; page++) {
        CHECK(page == 2 ? filled(private + page * PAGE, PAGE, 77) : private[page * PAGE + 5] == (unsigned char)((page * PAGE + 5) * 31 + page * 7 + 1));
        CHECK(page == 3 ? filled(gone + page * PAGE, PAGE, 88) : gone[page * PAGE + 5] == (unsigned char)((page * PAGE + 5) * 31 + page * 7 + 3));
    }
    CHECK(later[5] == (unsigned char)((PAGE + 5) * 31 + 7 + 1) && filled(fixed, SIZE, 1) && filled(shared + PAGE, PAGE, 99));
    fill(shared + 2 * PAGE, PAGE, 55);
    unsigned char bytes[PAGE];
    CHECK(filled(writable + 2 * PAGE, PAGE, 55) && pread(b, bytes, PAGE, 2 * PAGE) == PAGE && filled(bytes, PAGE, 55));
    CHECK(mprotect(writable, SIZE, PROT_READ | PROT_WRITE) == 0 && mprotect(fixed, SIZE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
    CHECK(mprotect(later, PAGE, PROT_READ | PROT_WRITE) == 0 && (later[0] = 9, private[PAGE] != 9));
    CHECK(strstr(mapping(gone), "(deleted)") && strstr(mapping(shared), "rw-s") && strstr(mapping(fixed), "r--s"));
    return finish();
}
