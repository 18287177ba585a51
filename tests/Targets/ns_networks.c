// Network namespaces below the root's: two children with a pair of devices between them, and one to the root's; the same address and
// abstract name bound in each; a socket of the root's namespace that a child inherited; what /sys shows where it was mounted in each.
// contain: pn
#include "target.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

static int from_parent, inherited;

static void run(const char *command)
{
    if (system(command)) {
        fprintf(stderr, "%s failed\n", command);
        _exit(2);
    }
}

static int udp(int port)
{
    struct sockaddr_in address = { AF_INET, htons(port), { htonl(INADDR_ANY) } };
    int fd = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    MUST(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    return fd;
}

static int abstract(const char *text, int answer)
{
    struct sockaddr_un name = { AF_UNIX, "\0the same name everywhere" };
    int fd = MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (answer)
        return connect(fd, (struct sockaddr *)&name, sizeof(name)) || send(fd, text, 1, 0) != 1 ? -1 : close(fd);
    MUST(bind(fd, (struct sockaddr *)&name, sizeof(name)));
    return fd;
}

static int reaches(int fd, const char *address, int port)
{
    struct sockaddr_in to = { AF_INET, htons(port), { inet_addr(address) } };
    for (int i = 0; i < 100; i++) {
        if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1)
            return 1;
        usleep(100000);
    }
    return 0;
}

static int receives(int fd)
{
    char byte;
    return readable(fd, 10000) && recv(fd, &byte, 1, 0) == 1;
}

static int shows(const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/sys/class/net/%s", name);
    return access(path, F_OK) == 0;
}

static void wait_for(char wanted)
{
    char byte;
    if (MUST(read(from_parent, &byte, 1)) != 1 || byte != wanted)
        _exit(3);
}

static void child(int which, int report)
{
    char command[128];
    MUST(unshare(CLONE_NEWNET | CLONE_NEWNS));
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(umount2("/sys", MNT_DETACH));
    MUST(mount("sysfs", "/sys", "sysfs", 0, NULL));
    run("ip link set lo up");
    MUST(write(report, "n", 1));
    wait_for('d');
    snprintf(command, sizeof(command), "ip addr add 10.9.%d.2/24 dev above && ip link set above up", which);
    run(command);
    snprintf(command, sizeof(command), "ip addr add 10.9.7.%d/24 dev between && ip link set between up", which + 1);
    run(command);
    int opened = udp(5000), named = abstract("", 0);
    unsigned between = if_nametoindex("between"), above = if_nametoindex("above");
    MUST(write(report, "r", 1));
    wait_for('1');
    CHECK(shows("between") && shows("above") && !shows("to0"));
    CHECK(if_nametoindex("between") == between && if_nametoindex("above") == above);
    CHECK(abstract("x", 1) == 0 && receives(named));
    CHECK(reaches(opened, which ? "10.9.7.1" : "10.9.7.2", 5000));
    CHECK(receives(opened));
    snprintf(command, sizeof(command), "10.9.%d.1", which);
    CHECK(reaches(opened, command, 5000));
    CHECK(reaches(inherited, "127.0.0.1", 5000));
    MUST(write(report, "d", 1));
    MUST(write(report, differs, strlen(differs)));
}

int main(int argc, char **argv)
{
    int to[2], from[2], pid[2];
    char text[1024], byte;
    begin(argv);
    run("ip link set lo up");
    inherited = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    for (int i = 0; i < 2; i++) {
        int down[2], up[2];
        MUST(pipe2(down, O_CLOEXEC));
        MUST(pipe2(up, O_CLOEXEC));
        pid[i] = MUST(fork());
        if (pid[i] == 0) {
            from_parent = down[0];
            close(down[1]);
            close(up[0]);
            if (i)
                close(to[0]), close(from[0]);
            child(i, up[1]);
            _exit(0);
        }
        close(down[0]);
        close(up[1]);
        to[i] = down[1];
        from[i] = up[0];
        MUST(read(from[i], &byte, 1));
    }
    for (int i = 0; i < 2; i++) {
        char command[256];
        snprintf(command, sizeof(command), "ip link add to%d type veth peer name above netns %d && "
            "ip addr add 10.9.%d.1/24 dev to%d && ip link set to%d up", i, pid[i], i, i, i);
        run(command);
    }
    char command[256];
    snprintf(command, sizeof(command), "ip link add between netns %d index 20 type veth peer name between netns %d index 21", pid[0], pid[1]);
    run(command);
    for (int i = 0; i < 2; i++) {
        MUST(write(to[i], "d", 1));
        MUST(read(from[i], &byte, 1));
    }
    int opened = udp(5000), named = abstract("", 0);
    ready();
    CHECK(if_nametoindex("to0") && if_nametoindex("to1") && !if_nametoindex("between"));
    CHECK(abstract("x", 1) == 0 && receives(named));
    for (int i = 0; i < 2; i++)
        MUST(write(to[i], "1", 1));
    for (int i = 0; i < 4; i++)
        CHECK(receives(opened));
    for (int i = 0; i < 2; i++) {
        int length = 0, part;
        while ((part = read(from[i], text + length, sizeof(text) - 1 - length)) > 0)
            length += part;
        text[length] = 0;
        if (strcmp(text, "d"))
            differ("of child %d: %s", i, text);
    }
    return finish();
}
