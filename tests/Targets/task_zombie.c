// Children that are zombies: two that exited, some that signals killed, one that was stopped before, one that had threads; their parent has
// not waited for them yet.
#include "target.h"
#include <pthread.h>

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    int exited = fork();
    if (!exited)
        _exit(42);
    int killed = fork();
    if (!killed) {
        signal(SIGTERM, SIG_DFL);
        raise(SIGTERM);
    }
    int whole = fork();
    if (!whole) {
        pthread_t thread;
        pthread_create(&thread, NULL, idle, NULL);
        _exit(255);
    }
    int queued = fork();
    if (!queued) {
        signal(SIGRTMIN + 3, SIG_DFL);
        sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ 0 });
        pause();
    }
    int stopped = fork();
    if (!stopped)
        for (;;)
            pause();
    kill(stopped, SIGSTOP);
    MUST(waitpid(stopped, NULL, WUNTRACED));
    kill(stopped, SIGKILL);
    siginfo_t info;
    MUST(waitid(P_PID, whole, &info, WEXITED | WNOWAIT));
    MUST(waitid(P_PID, queued, &info, WEXITED | WNOWAIT));
    MUST(waitid(P_PID, stopped, &info, WEXITED | WNOWAIT));
    MUST(waitid(P_PID, exited, &info, WEXITED | WNOWAIT));
    MUST(waitid(P_PID, killed, &info, WEXITED | WNOWAIT));
    ready();
    int status = 0;
    CHECK(waitpid(exited, &status, 0) == exited && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    CHECK(waitpid(killed, &status, 0) == killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK(waitpid(whole, &status, 0) == whole && WIFEXITED(status) && WEXITSTATUS(status) == 255);
    CHECK(waitpid(queued, &status, 0) == queued && WIFSIGNALED(status) && WTERMSIG(status) == SIGRTMIN + 3);
    CHECK(waitpid(stopped, &status, 0) == stopped && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(waitpid(-1, &status, 0) == -1 && errno == ECHILD);
    return finish();
}
