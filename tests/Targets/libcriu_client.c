// Dumps and restores through libcriu, as crun and OpenJ9 do.
//   libcriu_client BINARY check|version
//   libcriu_client BINARY dump PID DIRECTORY [running] [notify]
//   libcriu_client BINARY restore|child DIRECTORY [notify]
//   libcriu_client BINARY self DIRECTORY FILE    dumps itself, and counts into the file whenever it goes on
// Prints "notify NAME [PID]" for each notification and "result N" at the end, negative for an error.
// gcc: -I.build/libcriu/usr/include .build/libcriu/usr/lib/x86_64-linux-gnu/libcriu.a -lprotobuf-c
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criu/criu.h>

static int notified(char *action, criu_notify_arg_t argument)
{
    int pid = criu_notify_pid(argument);
    if (pid)
        printf("notify %s %d\n", action, pid);
    else
        printf("notify %s\n", action);
    fflush(stdout);
    return 0;
}

static int has(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], word))
            return 1;
    return 0;
}

static void use(const char *directory, const char *log)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        perror(directory);
        exit(9);
    }
    criu_set_images_dir_fd(fd);
    criu_set_log_level(4);
    criu_set_log_file(log);
}

static _Noreturn void dump_self(const char *directory, const char *file)
{
    // In a session of its own, so that it needs nothing from outside, and with the descriptors that it needs.
    setsid();
    use(directory, "dump.log");
    criu_set_leave_running(false);
    int result = criu_dump();
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0644);
    dprintf(fd, "result %d\n", result);
    close(fd);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    if (argc < 3 || criu_init_opts())
        return 9;
    criu_set_service_binary(argv[1]);
    if (has(argc, argv, "notify"))
        criu_set_notify_cb(notified);
    int result = -1;
    if (!strcmp(verb, "check"))
        result = criu_check();
    else if (!strcmp(verb, "version"))
        result = criu_get_version();
    else if (!strcmp(verb, "self") && argc > 4)
        dump_self(argv[3], argv[4]);
    else if (!strcmp(verb, "dump") && argc > 4) {
        use(argv[4], "dump.log");
        criu_set_pid(atoi(argv[3]));
        criu_set_leave_running(has(argc, argv, "running"));
        result = criu_dump();
    } else if (!strcmp(verb, "restore") && argc > 3) {
        use(argv[3], "restore.log");
        result = criu_restore();
    } else if (!strcmp(verb, "child") && argc > 3) {
        use(argv[3], "restore.log");
        result = criu_restore_child();
        int status;
        printf("child %s\n", result > 0 && waitpid(result, &status, WNOHANG | __WALL) == 0 ? "yes" : "no");
    } else
        return 9;
    printf("result %d\n", result);
    return result < 0 ? 1 : 0;
}
