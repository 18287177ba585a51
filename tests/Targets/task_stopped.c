// A child that SIGSTOP has stopped stays so until SIGCONT.
#include "target.h"

int main(int argc __attribute__((unused)), char **argv)
{
    int ends[2];
    begin(argv);
    MUST(pipe(ends));
    int child = fork();
    if (!child)
        for (;;) {
            if (write(ends[1], "x", 1) != 1)
                _exit(1);
            usleep(5000);
        }
    char byte;
    int status;
    MUST(read(ends[0], &byte, 1));
    MUST(kill(child, SIGSTOP));
    MUST(waitpid(child, &status, WUNTRACED));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (read(ends[0], &byte, 1) == 1)
        ;
    ready();
    usleep(100000);
    CHECK(read(ends[0], &byte, 1) == -1 && errno == EAGAIN);
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(readable(ends[0], 5000));
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    return finish();
}
