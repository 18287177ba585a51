// Descriptors in flight: of files that the task holds and of such that nobody else has; in a stream between plain bytes, in packets, in
// datagrams; in two processes' sockets; close-on-exec; a queue within a queue, and in a circle.
#include "flight.h"

int main(int argc, char **argv)
{
    begin(argv);
    int stream[2], packets[2], grams[2], inner[2], circle[2], p[2], q[2], fds[64];
    char data[33], c;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, grams));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, circle));
    MUST(pipe(p));
    MUST(pipe2(q, O_NONBLOCK));
    int twice = MUST(dup(packets[1]));
    // A stream: plain, plain, with one, plain, with two, with one of its own ends.
    send_fds(stream[0], "abc", 3, NULL, 0);
    send_fds(stream[0], "defg", 4, NULL, 0);
    send_fds(stream[0], "HI", 2, &p[1], 1);
    send_fds(stream[0], "j", 1, NULL, 0);
    send_fds(stream[0], "KLM", 3, q, 2);
    send_fds(stream[0], "N", 1, &stream[0], 1);
    send_fds(stream[0], "o", 1, NULL, 0);
    MUST(write(q[1], "in q", 4));
    close(q[0]);
    close(q[1]);
    // Packets and datagrams: one each, also without data, with a file that waits twice.
    int file = MUST(open(in_work("file"), O_CREAT | O_RDWR, 0600));
    MUST(write(file, "content", 7));
    MUST(lseek(file, 3, SEEK_SET));
    send_fds(packets[0], "", 0, &file, 1);
    send_fds(packets[0], "second", 6, &file, 1);
    send_fds(grams[0], "gram", 4, (int[]){ file, p[0] }, 2);
    close(file);
    // A queue within a queue, both ends of it.
    send_fds(inner[0], "deep", 4, &p[0], 1);
    send_fds(grams[0], "ends", 4, inner, 2);
    close(inner[0]);
    close(inner[1]);
    // A socket in its own queue, that a task holds.
    send_fds(circle[0], "round", 5, circle, 2);
    pid_t child = MUST(fork());
    if (child == 0) {
        // The child has all sockets, too; what waits is the same.
        wait_for_wake();
        _exit(0);
    }
    ready();
    // A peek by a program sees them, and takes nothing.
    CHECK(recv(stream[1], data, 32, MSG_PEEK) == 9);
    CHECK(receive_fds(stream[1], data, 5, fds, NULL) == 0 && !strcmp(data, "abcde"));
    CHECK(receive_fds(stream[1], data, 2, fds, NULL) == 0 && !strcmp(data, "fg"));
    CHECK(receive_fds(stream[1], data, 1, fds, NULL) == 1 && !strcmp(data, "H") && same_file(fds[0], p[1]));
    CHECK(receive_fds(stream[1], data, 1, fds, NULL) == 0 && !strcmp(data, "I"));
    CHECK(receive_fds(stream[1], data, 1, fds, NULL) == 0 && !strcmp(data, "j"));
    CHECK(receive_fds(stream[1], data, 32, fds, NULL) == 2 && !strcmp(data, "KLM"));
    CHECK(read(fds[0], data, 32) == 4 && !memcmp(data, "in q", 4) && (fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    CHECK(write(fds[1], "x", 1) == 1 && read(fds[0], &c, 1) == 1 && c == 'x');
    CHECK(receive_fds(stream[1], data, 32, fds, NULL) == 1 && !strcmp(data, "N") && same_file(fds[0], stream[0]));
    CHECK(receive_fds(stream[1], data, 32, fds, NULL) == 0 && !strcmp(data, "o"));
    CHECK(receive_fds(stream[1], data, 32, fds, NULL) == -1 && errno == EAGAIN);

    int first = -1;
    CHECK(receive_fds(packets[1], data, 32, &first, NULL) == 1 && !data[0] && lseek(first, 0, SEEK_CUR) == 3);
    CHECK(receive_fds(twice, data, 32, fds, NULL) == 1 && !strcmp(data, "second") && same_file(first, fds[0]));
    CHECK(fcntl(packets[1], F_GETFD) == FD_CLOEXEC && !fcntl(twice, F_GETFD) && same_file(twice, packets[1]));
    CHECK(receive_fds(grams[1], data, 32, fds, NULL) == 2 && !strcmp(data, "gram") && same_file(first, fds[0]) && same_file(p[0], fds[1]));
    CHECK(pread(first, data, 7, 0) == 7 && !memcmp(data, "content", 7));
    int ends[2];
    CHECK(receive_fds(grams[1], data, 32, ends, NULL) == 2 && !strcmp(data, "ends"));
    CHECK(receive_fds(ends[1], data, 32, fds, NULL) == 1 && !strcmp(data, "deep") && same_file(p[0], fds[0]));
    CHECK(write(ends[1], "y", 1) == 1 && read(ends[0], &c, 1) == 1 && c == 'y');
    CHECK(receive_fds(circle[1], data, 32, ends, NULL) == 2 && same_file(ends[0], circle[0]) && same_file(ends[1], circle[1]));
    int status;
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
