// For targets of several processes: each says that it is there, waits for the word, looks at what it has, and tells what differs; the first
// of them gathers it.
#ifndef REPORTS_H
#define REPORTS_H
#include "target.h"

static int go[2], told[2];

static inline void begin_reports(void)
{
    MUST(pipe2(go, O_CLOEXEC));
    MUST(pipe2(told, O_CLOEXEC));
}

static inline void say_ready(void)
{
    MUST(write(told[1], "r", 1));
}

static inline void wait_for_go(void)
{
    char byte;
    if (MUST(read(go[0], &byte, 1)) != 1)
        _exit(3);
}

static inline void report(void)
{
    int length = differs[0] ? strlen(differs) : 3;
    if (length > 255)
        length = 255;
    char line[256] = { length };
    memcpy(line + 1, differs[0] ? differs : "ok\n", length);
    MUST(write(told[1], line, length + 1));
}

// In the first process: waits until all are there, then ready(), then for what each tells.
static inline void gather_reports(int count)
{
    char byte;
    for (int i = 0; i < count; i++)
        if (MUST(read(told[0], &byte, 1)) != 1 || byte != 'r')
            _exit(1);
    usleep(20000);
    ready();
    for (int i = 0; i < count; i++)
        MUST(write(go[1], "x", 1));
    for (int i = 0; i < count; i++) {
        char text[256] = "";
        MUST(read(told[0], &byte, 1));
        for (int got = 0; got < (unsigned char)byte;)
            got += MUST(read(told[0], text + got, (unsigned char)byte - got));
        if (strcmp(text, "ok\n"))
            differ("of a child: %s", text);
    }
}
#endif
