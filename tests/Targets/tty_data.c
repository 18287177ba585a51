// What waits in terminals: lines with a partial one, an end mark, control characters, raw bytes of all values, packets with their marks, more than a queue holds.
#include "target.h"
#include <termios.h>

static void pair(int *master, int *slave, int raw)
{
    char name[64];
    struct termios t;
    *master = MUST(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    MUST(grantpt(*master));
    MUST(unlockpt(*master));
    MUST(ptsname_r(*master, name, sizeof(name)));
    *slave = MUST(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
    MUST(tcgetattr(*slave, &t));
    if (raw)
        cfmakeraw(&t);
    else
        t.c_lflag &= ~ECHO;
    MUST(tcsetattr(*slave, TCSANOW, &t));
}

static int get(int fd, char *into, int wanted)
{
    int used = 0;
    while (used < wanted && readable(fd, 5000)) {
        int n = read(fd, into + used, wanted - used);
        if (n <= 0)
            break;
        used += n;
    }
    return used;
}

int main(int argc, char **argv)
{
    static char text[32768], big[32768], out[32768];
    int lines[2], mark[2], raw[2], packet[2], much[2], echo[2], on = 1;
    begin(argv);
    pair(&lines[0], &lines[1], 0);
    MUST(write(lines[0], "first\nsecond\npar", 16));
    pair(&mark[0], &mark[1], 0);
    MUST(write(mark[0], "end\004more\n\026\003\026\004x", 14));
    pair(&raw[0], &raw[1], 1);
    for (int i = 0; i < 256; i++)
        out[i] = i;
    MUST(write(raw[0], out, 256) + write(raw[1], out, 256));
    pair(&packet[0], &packet[1], 0);
    MUST(ioctl(packet[0], TIOCPKT, &on));
    MUST(write(packet[1], "in packets\n", 11));
    pair(&much[0], &much[1], 1);
    for (int i = 0; i < 32768; i++)
        big[i] = i * 7 + (i >> 8);
    int in = MUST(write(much[0], big, 12000)), back = MUST(write(much[1], big, 10000));
    pair(&echo[0], &echo[1], 0);
    struct termios t;
    MUST(tcgetattr(echo[1], &t));
    t.c_lflag |= ECHO;
    MUST(tcsetattr(echo[1], TCSANOW, &t));
    MUST(write(echo[0], "echoed\rand a part", 17));
    usleep(100000);
    ready();
    CHECK(read(lines[1], text, 64) == 6 && !memcmp(text, "first\n", 6) && read(lines[1], text, 64) == 7 && !memcmp(text, "second\n", 7) && read(lines[1], text, 64) == -1);
    CHECK(write(lines[0], "tial\n", 5) == 5 && readable(lines[1], 5000) && read(lines[1], text, 64) == 8 && !memcmp(text, "partial\n", 8));
    CHECK(read(mark[1], text, 64) == 3 && !memcmp(text, "end", 3) && read(mark[1], text, 64) == 5 && !memcmp(text, "more\n", 5));
    CHECK(write(mark[0], "\n", 1) == 1 && readable(mark[1], 5000) && read(mark[1], text, 64) == 4 && !memcmp(text, "\003\004x\n", 4));
    CHECK(get(raw[1], text, 256) == 256 && !memcmp(text, out, 256) && get(raw[0], text, 256) == 256 && !memcmp(text, out, 256));
    CHECK(read(packet[0], text, 64) == 13 && text[0] == 0 && !memcmp(text + 1, "in packets\r\n", 12) && ioctl(packet[0], TIOCGPKT, &on) == 0 && on == 1);
    struct pollfd p = { packet[0], POLLPRI, 0 };
    CHECK(poll(&p, 1, 0) == 0);
    int got = get(much[1], text, in);
    if (in < 8000 || got != in || memcmp(text, big, in))
        differ("of %d bytes %d came, the same up to %d", in, got, (int)({ int k = 0; while (k < got && text[k] == big[k]) k++; k; }));
    got = get(much[0], text, back);
    CHECK(back > 4096 && got == back && !memcmp(text, big, back));
    CHECK(read(echo[1], text, 64) == 7 && !memcmp(text, "echoed\n", 7) && get(echo[0], text, 18) == 18 && !memcmp(text, "echoed\r\nand a part", 18));
    CHECK(read(echo[0], text, 1) == -1 && errno == EAGAIN && write(echo[0], "\n", 1) == 1 && readable(echo[1], 5000) && read(echo[1], text, 64) == 11 && !memcmp(text, "and a part\n", 11));
    for (int i = 0; i < 6; i++)
        CHECK(read(((int *[]){ lines, mark, raw, packet, much, echo })[i][1], text, 64) == -1 && errno == EAGAIN);
    return finish();
}
