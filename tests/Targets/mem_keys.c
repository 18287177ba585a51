// Protection keys (pkeys(7)), where the processor has them: which are allocated, what memory has which, and the rights of two threads.
#include "mem_target.h"
#include <pthread.h>

static volatile int state;
static int key[3];

static void *thread(void *unused)
{
    (void)unused;
    pkey_set(key[0], 0);
    pkey_set(key[2], PKEY_DISABLE_WRITE);
    state = 1;
    while (state != 2)
        usleep(1000);
    CHECK(pkey_get(key[0]) == 0 && pkey_get(key[2]) == PKEY_DISABLE_WRITE);
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argv);
    for (int i = 0; i < 3; i++)
        key[i] = pkey_alloc(0, 0);
    if (key[2] < 0)
        return skip("the processor has no protection keys");
    unsigned char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(at, 8 * PAGE, 1);
    pthread_t other;
    MUST(pkey_free(key[1]));
    MUST(pkey_mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE, key[0]));
    MUST(pkey_mprotect(at + 4 * PAGE, 4 * PAGE, PROT_READ, key[2]));
    pthread_create(&other, NULL, thread, NULL);
    while (!state)
        usleep(1000);
    MUST(pkey_set(key[0], PKEY_DISABLE_ACCESS));
    ready();
    CHECK(pkey_get(key[0]) == PKEY_DISABLE_ACCESS && kib(at, "ProtectionKey:") == key[0] && kib(at + 4 * PAGE, "ProtectionKey:") == key[2]);
    CHECK(pkey_alloc(0, 0) == key[1] && pkey_set(key[0], 0) == 0);
    state = 2;
    pthread_join(other, NULL);
    CHECK(filled(at, 8 * PAGE, 1));
    return finish();
}
