// expect-refusal: directory-notification
// A directory whose changes are told by signals (F_NOTIFY).
#include "target.h"

int main(int argc, char **argv)
{
    begin(argv);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int directory = MUST(open(work, O_RDONLY | O_DIRECTORY));
    MUST(mkdir(in_work("below"), 0700));
    directory = MUST(open(in_work("below"), O_RDONLY | O_DIRECTORY));
    MUST(fcntl(directory, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    ready();
    close(MUST(open(in_work("below/new"), O_CREAT | O_WRONLY, 0600)));
    CHECK(sigtimedwait(&set, NULL, &(struct timespec){ 10, 0 }) == SIGIO);
    return finish();
}
