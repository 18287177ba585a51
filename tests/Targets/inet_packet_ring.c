// Mapped rings of packet sockets, of versions 1, 2 and 3, caught in the midst: both sides go on with the next frame.
#include "target.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FRAMES 16
#define SIZE 2048
#define BLOCKS 4
#define BLOCK (FRAMES / BLOCKS * SIZE)

static int lo, protocols;

struct ring {
    int version, fd, protocol;
    unsigned next, sent;
    unsigned char *at;
};

static void give(int protocol, char text)
{
    char frame[64] = { text };
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = lo };
    int fd = MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
    MUST(sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)));
    close(fd);
}

static unsigned status_of(struct ring *r, unsigned char *frame)
{
    __sync_synchronize();
    return r->version == TPACKET_V1 ? ((struct tpacket_hdr *)frame)->tp_status : ((struct tpacket2_hdr *)frame)->tp_status;
}

// The first byte of the next frame, which must be there soon; 0 for none.
static char take(struct ring *r)
{
    char byte;
    if (r->version == TPACKET_V3) {
        struct tpacket_block_desc *block = (void *)(r->at + r->next % BLOCKS * BLOCK);
        if (!(block->hdr.bh1.block_status & TP_STATUS_USER) && (!readable(r->fd, 3000) || !(block->hdr.bh1.block_status & TP_STATUS_USER)))
            return 0;
        struct tpacket3_hdr *h = (void *)((char *)block + block->hdr.bh1.offset_to_first_pkt);
        byte = ((char *)h)[h->tp_net];
        __sync_synchronize();
        block->hdr.bh1.block_status = TP_STATUS_KERNEL;
        r->next++;
        return byte;
    }
    unsigned char *frame = r->at + r->next % FRAMES * SIZE;
    if (!(status_of(r, frame) & TP_STATUS_USER) && (!readable(r->fd, 3000) || !(status_of(r, frame) & TP_STATUS_USER)))
        return 0;
    byte = frame[r->version == TPACKET_V1 ? ((struct tpacket_hdr *)frame)->tp_net : ((struct tpacket2_hdr *)frame)->tp_net];
    if (r->version == TPACKET_V1)
        ((struct tpacket_hdr *)frame)->tp_status = TP_STATUS_KERNEL;
    else
        ((struct tpacket2_hdr *)frame)->tp_status = TP_STATUS_KERNEL;
    __sync_synchronize();
    r->next++;
    return byte;
}

// Sends by the ring; the socket that listens for it is not one of the rings.
static void put(struct ring *r, char text, int flush)
{
    unsigned char *frame = r->at + BLOCKS * BLOCK + r->sent++ % FRAMES * SIZE;
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(protocols), .sll_ifindex = lo };
    struct tpacket2_hdr *h = (void *)frame;
    char *data = (char *)frame + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
    memset(data, 0, 64);
    data[0] = text;
    h->tp_len = 64;
    __sync_synchronize();
    h->tp_status = TP_STATUS_SEND_REQUEST;
    if (flush)
        CHECK(sendto(r->fd, NULL, 0, 0, (void *)&to, sizeof(to)) >= 0);
}

static void open_ring(struct ring *r, int version, int protocol)
{
    struct tpacket_req3 shape = { BLOCK, BLOCKS, SIZE, FRAMES, version == TPACKET_V3 ? 20 : 0, 0, 0 };
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = lo };
    *r = (struct ring){ .version = version, .protocol = protocol, .fd = MUST(socket(AF_PACKET, SOCK_DGRAM, 0)) };
    int rings = version == TPACKET_V2 ? 2 : 1;
    MUST(setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)));
    MUST(setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &shape, version == TPACKET_V3 ? sizeof(shape) : 16));
    if (rings == 2)
        MUST(setsockopt(r->fd, SOL_PACKET, PACKET_TX_RING, &shape, 16));
    r->at = mmap(NULL, rings * BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    MUST(r->at == MAP_FAILED ? -1 : 0);
    MUST(bind(r->fd, (void *)&a, sizeof(a)));
}

int main(int argc, char **argv)
{
    begin(argv);
    protocols = own_numbers();
    lo = MUST(if_nametoindex("lo"));
    struct ring rings[4];
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(protocols), .sll_ifindex = lo };
    int listener = MUST(socket(AF_PACKET, SOCK_DGRAM, 0)), versions[] = { TPACKET_V1, TPACKET_V2, TPACKET_V3, TPACKET_V3 };
    MUST(bind(listener, (void *)&a, sizeof(a)));
    for (int i = 0; i < 4; i++) {
        open_ring(&rings[i], versions[i], protocols + 1 + i);
        // Once round and a part, the last two not taken; version 3 closes a block for each that is waited for.
        for (int n = 0; n < (versions[i] == TPACKET_V3 ? BLOCKS + 1 : FRAMES + 5); n++) {
            give(rings[i].protocol, 'a' + n);
            MUST(take(&rings[i]) == 'a' + n ? 0 : -1);
        }
        for (int n = 0; n < 2; n++) {
            give(rings[i].protocol, 'A' + n);
            struct tpacket_block_desc *block = (void *)(rings[i].at + (rings[i].next + n) % BLOCKS * BLOCK);
            while (versions[i] == TPACKET_V3 && !(*(volatile unsigned *)&block->hdr.bh1.block_status & TP_STATUS_USER))
                usleep(1000);
        }
    }
    // A ring of version 3 without room: all blocks wait for the program.
    for (int n = 2; n < BLOCKS; n++) {
        give(rings[3].protocol, 'A' + n);
        struct tpacket_block_desc *block = (void *)(rings[3].at + (rings[3].next + n) % BLOCKS * BLOCK);
        while (!(*(volatile unsigned *)&block->hdr.bh1.block_status & TP_STATUS_USER))
            usleep(1000);
    }
    for (int n = 0; n < 3; n++)
        put(&rings[1], 'a' + n, 1);
    char got[64];
    for (int n = 0; n < 3; n++)
        MUST(recv(listener, got, sizeof(got), 0));
    put(&rings[1], 'W', 0);
    int child = MUST(fork()), status;
    if (child == 0) {
        wait_for_wake();
        // The same ring at the same place, shared.
        _exit(status_of(&rings[0], rings[0].at + rings[0].next % FRAMES * SIZE) & TP_STATUS_USER ? 0 : 1);
    }
    ready();
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 4; i++) {
        for (int n = 0; n < (i == 3 ? BLOCKS : 2); n++)
            CHECK(take(&rings[i]) == 'A' + n);
        for (int n = 0; n < FRAMES + 3; n++) {
            give(rings[i].protocol, '0' + n);
            char taken = take(&rings[i]);
            if (taken != '0' + n)
                differ("ring %d, frame %d: %c", i, n, taken ? taken : '-');
        }
    }
    put(&rings[1], 'N', 1);
    CHECK(readable(listener, 2000) && recv(listener, got, sizeof(got), 0) > 0 && got[0] == 'W');
    CHECK(readable(listener, 2000) && recv(listener, got, sizeof(got), 0) > 0 && got[0] == 'N');
    return finish();
}
