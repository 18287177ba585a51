// Ids, groups, capabilities, secure bits: one thread of another user with some capabilities, the first with less.
#include "target.h"
#include <linux/capability.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct creds { unsigned ids[6], groups[8]; int count, secure, no_new, fsuid, fsgid; struct __user_cap_data_struct caps[2]; int bounding[41], ambient[41]; };
static struct creds was[2], is[2];
static volatile int at_rest, go;

static void look(struct creds *c)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    memset(c, 0, sizeof *c);
    syscall(SYS_getresuid, c->ids, c->ids + 1, c->ids + 2);
    syscall(SYS_getresgid, c->ids + 3, c->ids + 4, c->ids + 5);
    c->count = syscall(SYS_getgroups, 8, c->groups);
    c->fsuid = syscall(SYS_setfsuid, -1);
    c->fsgid = syscall(SYS_setfsgid, -1);
    c->secure = prctl(PR_GET_SECUREBITS);
    c->no_new = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    syscall(SYS_capget, &header, c->caps);
    for (int i = 0; i < 41; i++) {
        c->bounding[i] = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
        c->ambient[i] = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0);
    }
}

static void set(unsigned uid, unsigned gid, unsigned fsuid, unsigned groups[3], unsigned permitted, unsigned effective, unsigned inheritable)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { { effective, permitted, inheritable }, { 0, 0, 0 } };
    MUST(prctl(PR_SET_SECUREBITS, 1 << 2, 0, 0, 0));
    MUST(syscall(SYS_setgroups, 3, groups));
    MUST(syscall(SYS_setresgid, gid, gid + 1, gid + 2));
    MUST(syscall(SYS_setresuid, uid, uid + 1, uid + 2));
    syscall(SYS_setfsuid, fsuid);
    MUST(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0));
    MUST(prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0));
    MUST(syscall(SYS_capset, &header, data));
}

static void *other(void *unused)
{
    set(1001, 2001, 1002, (unsigned[]){ 5, 6, 70000 }, 1 << CAP_SETPCAP | 1 << CAP_NET_RAW | 1 << CAP_KILL, 1 << CAP_SETPCAP | 1 << CAP_KILL,
        1 << CAP_NET_RAW);
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
    MUST(prctl(PR_SET_SECUREBITS, 1 << 0 | 1 << 1 | 1 << 2, 0, 0, 0));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    look(&was[1]);
    at_rest = 1;
    while (!go)
        usleep(10000);
    look(&is[1]);
    return unused;
}

static void compare(int n)
{
    CHECK(!memcmp(was[n].ids, is[n].ids, sizeof was[n].ids));
    CHECK(was[n].count == is[n].count && !memcmp(was[n].groups, is[n].groups, sizeof was[n].groups));
    CHECK(was[n].fsuid == is[n].fsuid && was[n].fsgid == is[n].fsgid);
    CHECK(was[n].secure == is[n].secure);
    CHECK(was[n].no_new == is[n].no_new);
    CHECK(!memcmp(was[n].caps, is[n].caps, sizeof was[n].caps));
    CHECK(!memcmp(was[n].bounding, is[n].bounding, sizeof was[n].bounding));
    CHECK(!memcmp(was[n].ambient, is[n].ambient, sizeof was[n].ambient));
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    begin(argv);
    MUST(chmod(argv[1], 0777));
    pthread_create(&thread, NULL, other, NULL);
    while (!at_rest)
        usleep(1000);
    set(1003, 2003, 1003, (unsigned[]){ 7, 8, 9 }, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 1);
    look(&was[0]);
    ready();
    look(&is[0]);
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
    go = 1;
    pthread_join(thread, NULL);
    compare(0);
    compare(1);
    return finish();
}
