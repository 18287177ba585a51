// The login uid and the adjustment of the score for memory shortage: others in the parent, its child and
// grandchildren, also lower or unset.
#include "target.h"

enum { TASKS = 4 };
static const long scores[TASKS] = { 700, 300, 900, 0 }, logins[TASKS] = { 1000, 1001, 4294967295, 1000 };

static int set(const char *name, long value)
{
    char path[64], text[32];
    snprintf(path, sizeof path, "/proc/self/%s", name);
    int size = snprintf(text, sizeof text, "%ld", value), fd = open(path, O_WRONLY | O_CLOEXEC);
    int good = fd >= 0 && write(fd, text, size) == size;
    close(fd);
    return good;
}

static long get(const char *name)
{
    char path[64], text[32] = { 0 };
    snprintf(path, sizeof path, "/proc/self/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long value = fd >= 0 && read(fd, text, sizeof text - 1) > 0 ? atol(text) : -9999;
    close(fd);
    return value;
}

int main(int argc __attribute__((unused)), char **argv)
{
    int up[2], me = 0, status = -1, has_login;
    pid_t child = 0;
    begin(argv);
    long unchanged = get("oom_score_adj");
    if (unchanged < 0 || unchanged > 300)
        return skip("the score is adjusted here by other than 0 to 300");
    has_login = get("loginuid") == -9999 ? 0 : set("loginuid", 4294967295);
    MUST(pipe(up));

    // Born with what the parent has at that time, which raises its own afterwards.
    while (me < TASKS - 1 && !(child = MUST(fork())))
        me++;
    long score = scores[me] ? scores[me] : unchanged;
    if (scores[me])
        MUST(set("oom_score_adj", scores[me]) ? 0 : -1);
    if (has_login)
        MUST(set("loginuid", logins[me]) ? 0 : -1);
    MUST(write(up[1], "x", 1));
    if (me == 0) {
        for (int i = 0; i < TASKS; i++)
            MUST(read(up[0], &status, 1));
        ready();
    } else
        wait_for_wake();
    if (child) {
        kill(child, SIGUSR1);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(get("oom_score_adj") == score);
    CHECK(!has_login || get("loginuid") == logins[me]);
    if (me)
        return differs[0] != 0;
    return finish();
}
