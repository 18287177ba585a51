// Objects of System V: segments (attached whole, in part, read-only, twice, marked for removal; with the id 0), semaphores, messages.
// contain: pi
#include "target.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { PAGE = 4096 };
struct message { long type; char text[32]; };
union semun { int val; struct semid_ds *buf; unsigned short *array; };

static void expect(int queue, long type, const char *text)
{
    struct message got = { 0 };
    ssize_t length = msgrcv(queue, &got, sizeof(got.text), 0, IPC_NOWAIT);
    CHECK(length == (ssize_t)strlen(text) && got.type == type && !memcmp(got.text, text, strlen(text)));
}

int main(int argc, char **argv)
{
    begin(argv);
    int first = MUST(shmget(IPC_PRIVATE, PAGE, 0600));
    int keyed = MUST(shmget(0x1234, 5 * PAGE + 100, IPC_CREAT | 0640));
    int dropped = MUST(shmget(IPC_PRIVATE, 2 * PAGE, 0600));
    int unused = MUST(shmget(0x77, PAGE, IPC_CREAT | 0666));
    char *a = shmat(first, NULL, 0), *b = shmat(keyed, NULL, 0), *again = shmat(keyed, NULL, SHM_RDONLY), *c = shmat(dropped, NULL, 0);
    char *d = shmat(unused, NULL, 0);
    strcpy(a, "first");
    strcpy(b, "zero");
    strcpy(b + 3 * PAGE, "three");
    strcpy(b + 5 * PAGE, "five");
    strcpy(c + PAGE, "dropped");
    strcpy(d, "unused");
    MUST(shmdt(d));
    MUST(shmctl(dropped, IPC_RMID, NULL));
    MUST(munmap(b + 2 * PAGE, PAGE));
    MUST(mprotect(b + 4 * PAGE, PAGE, PROT_READ));
    struct shmid_ds owner;
    MUST(shmctl(unused, IPC_STAT, &owner));
    owner.shm_perm.uid = 1234;
    owner.shm_perm.gid = 4321;
    owner.shm_perm.mode = 0604;
    MUST(shmctl(unused, IPC_SET, &owner));

    // An id that is not the first of its place.
    int gone = MUST(semget(IPC_PRIVATE, 1, 0600));
    MUST(semctl(gone, 0, IPC_RMID));
    int set = MUST(semget(0x55, 3, IPC_CREAT | 0600));
    unsigned short values[3] = { 1, 42, 32767 };
    MUST(semctl(set, 0, SETALL, (union semun){ .array = values }));
    int queue = MUST(msgget(0x99, IPC_CREAT | 0622)), empty = MUST(msgget(IPC_PRIVATE, 0600));
    MUST(msgsnd(queue, &(struct message){ 5, "five" }, 4, 0));
    MUST(msgsnd(queue, &(struct message){ 2, "" }, 0, 0));
    MUST(msgsnd(queue, &(struct message){ 7, "seven seven" }, 11, 0));

    // A child that has inherited all, and one that has let one segment go.
    int go[2], came[2];
    MUST(pipe(go));
    MUST(pipe(came));
    for (int i = 0; i < 2; i++)
        if (MUST(fork()) == 0) {
            char byte;
            if (i == 1)
                shmdt(again);
            if (read(go[0], &byte, 1) != 1)
                _exit(1);
            b[100 + i] = 'A' + i;
            _exit(write(came[1], "x", 1) != 1);
        }

    // The kernel counts mappings: four parts of the one and the other attachment in each, but for the one that was let go.
    struct shmid_ds before, after;
    MUST(shmctl(keyed, IPC_STAT, &before));
    while (before.shm_nattch != 14) {
        usleep(1000);
        MUST(shmctl(keyed, IPC_STAT, &before));
    }
    ready();
    CHECK(!strcmp(a, "first") && !strcmp(b, "zero") && !strcmp(b + 3 * PAGE, "three") && !strcmp(b + 5 * PAGE, "five"));
    CHECK(!strcmp(again, "zero") && !strcmp(c + PAGE, "dropped"));
    CHECK(shmget(0x1234, 0, 0) == keyed && msgget(0x99, 0) == queue && semget(0x55, 0, 0) == set);
    CHECK(shmctl(keyed, IPC_STAT, &after) == 0 && after.shm_nattch == before.shm_nattch && after.shm_segsz == 5 * PAGE + 100);
    CHECK(shmctl(dropped, IPC_STAT, &after) == 0 && after.shm_perm.mode & SHM_DEST);
    CHECK(shmctl(unused, IPC_STAT, &after) == 0 && after.shm_perm.uid == 1234 && after.shm_perm.gid == 4321
        && (after.shm_perm.mode & 0777) == 0604 && after.shm_nattch == 0);
    d = shmat(unused, NULL, 0);
    CHECK(d != (void *)-1 && !strcmp(d, "unused"));
    char byte;
    for (int i = 0; i < 2; i++)
        CHECK(write(go[1], "x", 1) == 1 && read(came[0], &byte, 1) == 1);
    CHECK(again[100] == 'A' && again[101] == 'B');
    CHECK(shmdt(again) == 0 && shmdt(c) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(wait(NULL) > 0);
    CHECK(shmctl(dropped, IPC_STAT, &after) < 0);
    unsigned short now[3];
    CHECK(semctl(set, 0, GETALL, (union semun){ .array = now }) == 0 && !memcmp(now, values, sizeof(now)));
    struct msqid_ds state;
    CHECK(msgctl(queue, IPC_STAT, &state) == 0 && state.msg_qnum == 3 && (state.msg_perm.mode & 0777) == 0622);
    expect(queue, 5, "five");
    expect(queue, 2, "");
    expect(queue, 7, "seven seven");
    CHECK(msgctl(empty, IPC_STAT, &state) == 0 && state.msg_qnum == 0);
    return finish();
}
