// A child of vfork that takes its time before it executes a program: the parent, which stands still in the kernel until then, can't be
// stopped meanwhile, and a dump waits.
#include "target.h"

int main(int argc, char **argv)
{
    int status, pid, parent;
    if (argc == 2 && !strcmp(argv[1], "idle"))
        for (;;)
            pause();
    begin(argv);
    parent = MUST(fork());
    if (!parent) {
        pid = vfork();
        if (!pid) {
            publish("ready", "");
            usleep(600000);
            execl("/proc/self/exe", "task_vfork", "idle", NULL);
            _exit(1);
        }
        wait_for_wake();
        kill(pid, SIGTERM);
        _exit(waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM);
    }
    wait_for_wake();
    kill(parent, SIGUSR1);
    CHECK(waitpid(parent, &status, 0) == parent && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return finish();
}
