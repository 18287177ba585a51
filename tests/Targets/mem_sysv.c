// System V segments of a tree in the ipc namespace that Firn is in: one that is marked for removal, one with a key in two parts and for
// reading, which a child has inherited. A segment that nobody has attached, semaphores and messages are the host's, and stay.
#include "mem_target.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct message { long type; char text[8]; };

int main(int argc, char **argv)
{
    begin(argv);
    key_t key = 0x46000000 | (int)(time(NULL) * 131 + getpid() * 7919) % 0xffffff;
    int dropped = MUST(shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600)), keyed = MUST(shmget(key, 5 * PAGE + 100, IPC_CREAT | IPC_EXCL | 0640));
    int unused = MUST(shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600));
    int set = MUST(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600)), queue = MUST(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    unsigned char *gone = shmat(dropped, NULL, 0), *whole = shmat(keyed, NULL, 0), *reading = shmat(keyed, NULL, SHM_RDONLY);
    MUST(shmctl(dropped, IPC_RMID, NULL));
    fill(gone + PAGE, PAGE, 1);
    fill(whole, PAGE, 2);
    fill(whole + 4 * PAGE, PAGE + 100, 3);
    MUST(munmap(whole + 2 * PAGE, PAGE));
    MUST(semctl(set, 0, SETVAL, 42));
    MUST(msgsnd(queue, &(struct message){ 3, "three" }, 5, 0));
    int go[2], came[2];
    MUST(pipe(go));
    MUST(pipe(came));
    pid_t child = MUST(fork());
    if (child == 0) {
        char byte;
        MUST(shmdt(gone));
        MUST(read(go[0], &byte, 1));
        whole[7] = 77;
        _exit(write(came[1], "x", 1) != 1);
    }
    struct shmid_ds before, after;
    do {
        usleep(1000);
        MUST(shmctl(keyed, IPC_STAT, &before));
        MUST(shmctl(dropped, IPC_STAT, &after));
    } while (before.shm_nattch != 6 || after.shm_nattch != 1);
    ready();
    CHECK(zero(gone, PAGE) && filled(gone + PAGE, PAGE, 1) && zero(gone + 2 * PAGE, 2 * PAGE));
    CHECK(filled(whole, PAGE, 2) && filled(whole + 4 * PAGE, PAGE + 100, 3) && zero(whole + PAGE, PAGE) && filled(reading, PAGE, 2));
    CHECK(shmget(key, 0, 0) == keyed && shmctl(keyed, IPC_STAT, &after) == 0 && after.shm_nattch == 6 && after.shm_segsz == 5 * PAGE + 100);
    CHECK((after.shm_perm.mode & 0777) == 0640 && shmctl(dropped, IPC_STAT, &after) == 0 && after.shm_perm.mode & SHM_DEST);
    CHECK(strstr(mapping(reading), "r--s") && mprotect(reading, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
    char byte = 0;
    CHECK(write(go[1], "x", 1) == 1 && read(came[0], &byte, 1) == 1 && reading[7] == 77 && waitpid(child, NULL, 0) == child);
    struct message got = { 0 };
    CHECK(semctl(set, 0, GETVAL) == 42 && msgrcv(queue, &got, 8, 0, IPC_NOWAIT) == 5 && !strcmp(got.text, "three"));
    CHECK(shmdt(gone) == 0 && shmctl(dropped, IPC_STAT, &after) == -1);
    CHECK(shmctl(keyed, IPC_RMID, NULL) == 0 && shmctl(unused, IPC_RMID, NULL) == 0);
    CHECK(semctl(set, 0, IPC_RMID) == 0 && msgctl(queue, IPC_RMID, NULL) == 0);
    return finish();
}
