// Semaphores and messages of System V in ipc namespaces below the root's: the same ids and keys in each, with content of their own. The
// root's has a segment, too.
// contain: pi
#include "target.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { PAGE = 4096 };
struct message { long type; char text[32]; };

struct objects { int set, queue; };

static struct objects make(const char *name, int number)
{
    struct objects o;
    struct message m = { number };
    strcpy(m.text, name);
    o.set = MUST(semget(0x1234, 2, IPC_CREAT | 0600));
    o.queue = MUST(msgget(0x1234, IPC_CREAT | 0600));
    MUST(semctl(o.set, 1, SETVAL, number));
    MUST(msgsnd(o.queue, &m, strlen(name), 0));
    return o;
}

static void check(struct objects o, const char *name, int number)
{
    struct message m = { 0 };
    CHECK(o.set == semget(0x1234, 0, 0) && o.queue == msgget(0x1234, 0));
    CHECK(semctl(o.set, 1, GETVAL) == number && semctl(o.set, 0, GETVAL) == 0);
    CHECK(msgrcv(o.queue, &m, sizeof(m.text), 0, IPC_NOWAIT) == (ssize_t)strlen(name) && m.type == number && !strcmp(m.text, name));
}

static void child(int number, int gate, int report)
{
    char byte, name[16];
    snprintf(name, sizeof(name), "child %d", number);
    MUST(unshare(CLONE_NEWIPC));
    struct objects o = make(name, number);
    if (MUST(fork()) == 0) {
        MUST(write(report, "r", 1));
        MUST(read(gate, &byte, 1));
        _exit(semctl(o.set, 1, GETVAL) == number ? 0 : 1);
    }
    MUST(read(gate, &byte, 1));
    check(o, name, number);
    MUST(write(report, differs[0] ? differs : "o", differs[0] ? strlen(differs) : 1));
    _exit(0);
}

int main(int argc, char **argv)
{
    int gate[2], report[2];
    char text[512], byte;
    begin(argv);
    MUST(pipe(gate));
    MUST(pipe(report));
    struct objects o = make("above", 9);
    int segment = MUST(shmget(0x1234, 4 * PAGE + 10, IPC_CREAT | 0600));
    char *attached = shmat(segment, NULL, 0);
    strcpy(attached + 2 * PAGE, "in the segment");
    for (int i = 1; i <= 2; i++)
        if (MUST(fork()) == 0) {
            shmdt(attached);
            child(i, gate[0], report[1]);
        }
    if (MUST(fork()) == 0) {
        MUST(write(report[1], "r", 1));
        MUST(read(gate[0], &byte, 1));
        _exit(0);
    }
    for (int i = 0; i < 3; i++)
        MUST(read(report[0], &byte, 1));
    ready();
    check(o, "above", 9);
    CHECK(segment == shmget(0x1234, 0, 0) && !strcmp(attached + 2 * PAGE, "in the segment"));
    for (int i = 0; i < 5; i++)
        MUST(write(gate[1], "x", 1));
    for (int i = 0; i < 2; i++) {
        MUST(read(report[0], &byte, 1));
        if (byte != 'o') {
            text[MUST(read(report[0], text, sizeof(text) - 1))] = 0;
            differ("of a child: %c%s", byte, text);
        }
    }
    return finish();
}
