// Locks a file as flock(1) does, and becomes a command, which so holds the lock. Ends with status 1 if somebody else has it.
//   hold_lock FILE COMMAND...
// It runs in containers that have no libraries:
// gcc: -static
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int fd = argc > 2 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0)
        return 2;
    if (flock(fd, LOCK_EX | LOCK_NB))
        return 1;
    execvp(argv[2], argv + 2);
    return 2;
}
