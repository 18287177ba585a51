// A System V segment with a key, attached; a second one who comes attaches the same, and with an argument writes into it.
#include "mem_target.h"
#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
    begin(argv);
    int id = MUST(shmget(0x46495201, 4 * PAGE, IPC_CREAT | 0600));
    unsigned char *at = shmat(id, NULL, 0);
    fill(at + PAGE, PAGE, 1);
    if (argc > 2)
        fill(at, 4 * PAGE, 99);
    ready();
    CHECK(zero(at, PAGE) && filled(at + PAGE, PAGE, 1) && zero(at + 2 * PAGE, 2 * PAGE));
    CHECK(shmget(0x46495201, 0, 0) == id && shmctl(id, IPC_RMID, NULL) == 0);
    return finish();
}
