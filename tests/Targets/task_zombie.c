// Children that are zombies: one that exited, one that a signal killed; their parent has not waited for them yet.
#include "target.h"

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
    siginfo_t info;
    MUST(waitid(P_PID, exited, &info, WEXITED | WNOWAIT));
    MUST(waitid(P_PID, killed, &info, WEXITED | WNOWAIT));
    ready();
    int status = 0;
    CHECK(waitpid(exited, &status, 0) == exited && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    CHECK(waitpid(killed, &status, 0) == killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK(waitpid(-1, &status, 0) == -1 && errno == ECHILD);
    return finish();
}
