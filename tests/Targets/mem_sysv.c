// An attached System V segment: not saved yet.
// expect-refusal: sysv-shm
#include "mem_target.h"
#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
    begin(argv);
    int id = MUST(shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600));
    unsigned char *at = shmat(id, NULL, 0);
    MUST(shmctl(id, IPC_RMID, NULL));
    fill(at, PAGE, 1);
    ready();
    CHECK(filled(at, PAGE, 1));
    return finish();
}
