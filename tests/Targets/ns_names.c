// The names of host and domain.
// contain: pu
#include "target.h"

int main(int argc, char **argv)
{
    char host[65] = "", domain[65] = "";
    begin(argv);
    MUST(sethostname("a-host-of-its-own", 17));
    MUST(setdomainname("a.domain", 8));
    ready();
    gethostname(host, sizeof(host));
    MUST(getdomainname(domain, sizeof(domain)));
    CHECK(!strcmp(host, "a-host-of-its-own"));
    CHECK(!strcmp(domain, "a.domain"));
    CHECK(getpid() == 1 && getppid() == 0 && getsid(0) == 1);
    return finish();
}
