// A container engine in small: starts a program as `criu swrk 3`, sends it one request, and answers notifications until the reply comes.
//   rpc_peer [--dir PATH] [--refuse NAME] [--vanish NAME] [--answer NAME HEX] PROGRAM REQUEST...
//   rpc_peer [...] --socket PATH REQUEST...    asks a service instead
// Each request is hexadecimal, or @FILE with that in it; more than one are sent one after the other, each after the reply to the one before. The directory is open
// here as 5, for images_dir_fd. Prints a line for each packet that comes: "packet HEX", "packet HEX fd TYPE" with a descriptor; then
// "end STATUS"; after a reply to RESTORE "child yes" if the restored process is a child of this one.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 65536, IMAGES = 5 };
static const char *refused, *vanishing, *answered, *answer;

static int unhex(const char *text, unsigned char *bytes)
{
    static char content[2 * MOST + 1];
    int length = 0;
    if (text[0] == '@') {
        int fd = open(text + 1, O_RDONLY), size = read(fd, content, 2 * MOST);
        close(fd);
        content[size < 0 ? 0 : size] = 0;
        text = content;
    }
    for (; text[0] && text[1]; text += 2, length++)
        sscanf(text, "%2hhx", &bytes[length]);
    return length;
}

static void print(const unsigned char *bytes, int length, int fd)
{
    printf("packet ");
    for (int i = 0; i < length; i++)
        printf("%02x", bytes[i]);
    if (fd >= 0)
        printf(" fd %s", isatty(fd) ? "terminal" : "other");
    printf("\n");
    fflush(stdout);
}

static int receive(int sk, unsigned char *bytes, int *fd)
{
    union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct iovec vector = { bytes, MOST };
    struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    int length = recvmsg(sk, &header, MSG_CMSG_CLOEXEC);
    struct cmsghdr *part = length > 0 ? CMSG_FIRSTHDR(&header) : NULL;
    *fd = -1;
    if (part && part->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(part), sizeof(int));
    return length;
}

static int names(const unsigned char *bytes, int length, const char *name)
{
    return name && memmem(bytes, length, name, strlen(name)) && bytes[length - 1] != 0xff;
}

// Serves notifications; gives the length of the reply.
static int converse(int sk, unsigned char *bytes)
{
    for (;;) {
        int fd, length = receive(sk, bytes, &fd);
        if (length <= 0)
            return length;
        print(bytes, length, fd);
        if (length < 2 || bytes[0] != 8 || bytes[1] != 6)
            return length;
        if (names(bytes, length, vanishing))
            exit(0);
        unsigned char ack[MOST] = { 8, 6, 0x18, !names(bytes, length, refused) };
        int size = names(bytes, length, answered) ? unhex(answer, ack) : 4;
        if (send(sk, ack, size, MSG_NOSIGNAL) != size)
            return -1;
    }
}

int main(int argc, char **argv)
{
    int at = 1, pair[2], child = -1;
    struct sockaddr_un service = { .sun_family = AF_UNIX };
    unsigned char bytes[MOST];
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (!strcmp(argv[at], "--dir")) {
            int fd = open(argv[at + 1], O_RDONLY | O_DIRECTORY);
            if (fd < 0 || (fd != IMAGES && (dup3(fd, IMAGES, O_CLOEXEC) < 0 || close(fd))))
                return 9;
        } else if (!strcmp(argv[at], "--refuse"))
            refused = argv[at + 1];
        else if (!strcmp(argv[at], "--vanish"))
            vanishing = argv[at + 1];
        else if (!strcmp(argv[at], "--socket"))
            strncpy(service.sun_path, argv[at + 1], sizeof(service.sun_path) - 1);
        else if (!strcmp(argv[at], "--answer")) {
            answered = argv[at + 1];
            answer = argv[++at + 1];
        }
    }
    if (service.sun_path[0]) {
        pair[0] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (connect(pair[0], (struct sockaddr *)&service, sizeof(service))) {
            perror(service.sun_path);
            return 9;
        }
    } else {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
            return 9;
        child = fork();
        if (!child) {
            dup2(pair[1], 3);
            execl(argv[at], argv[at], "swrk", "3", NULL);
            _exit(127);
        }
        close(pair[1]);
        at++;
    }
    int length = 0;
    for (int i = at; i < argc; i++) {
        int size = unhex(argv[i], bytes);
        if (send(pair[0], bytes, size, MSG_NOSIGNAL) != size)
            break;
        length = converse(pair[0], bytes);
    }
    int status = 0, restored = 0;
    if (length > 6 && bytes[0] == 8 && bytes[1] == 2 && bytes[3] == 1)
        for (int i = 7, shift = 0; i < length; i++, shift += 7) {
            restored |= (bytes[i] & 0x7f) << shift;
            if (!(bytes[i] & 0x80))
                break;
        }
    close(pair[0]);
    if (child > 0)
        waitpid(child, &status, 0);
    printf("end %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (restored)
        printf("child %s\n", waitpid(restored, &status, WNOHANG | __WALL) < 0 ? "no" : "yes");
    return 0;
}
