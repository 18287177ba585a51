// Loads known values into all registers, waits, stores what is there. Word 0 to 14 of a frame's general registers:
// rax rcx rdx rbx rbp rsi rdi r8 r9 r10 r11 r12 r13 r14, flags. r15 points to the frame, rsp is the stack.
#pragma once
#include <stddef.h>
#include <immintrin.h>

struct frame {
    uint64_t wanted[15], found[15];                   // 0, 120
    uint64_t go, spinning, call[5], saved_rsp;        // 240, 248, 256, 296
    uint64_t pad[2];                                  // 304
    uint8_t vectors[32 * 64], vectors_found[32 * 64]; // 320, 2368
    uint64_t masks[8], masks_found[8];                // 4416, 4480
    uint8_t fx[512], fx_found[512];                   // 4544, 5056
    uint32_t seed;
    int wide;
    uint64_t gs, bits;
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct frame, go) == 240 && offsetof(struct frame, call) == 256 && offsetof(struct frame, saved_rsp) == 296
    && offsetof(struct frame, vectors) == 320 && offsetof(struct frame, vectors_found) == 2368 && offsetof(struct frame, masks) == 4416
    && offsetof(struct frame, fx) == 4544 && offsetof(struct frame, fx_found) == 5056, "offsets in the assembly");

#define STR(x) #x
#define LD(r, n, at) "vmovdqu64 " STR(at) "+64*" #n "(%%r15), %%" #r #n "\n"
#define ST(r, n, at) "vmovdqu64 %%" #r #n ", " STR(at) "+64*" #n "(%%r15)\n"
#define LDY(r, n, at) "vmovdqu " STR(at) "+64*" #n "(%%r15), %%" #r #n "\n"
#define STY(r, n, at) "vmovdqu %%" #r #n ", " STR(at) "+64*" #n "(%%r15)\n"
#define LDK(r, n, at) "kmovq " STR(at) "+8*" #n "(%%r15), %%k" #n "\n"
#define STK(r, n, at) "kmovq %%k" #n ", " STR(at) "+8*" #n "(%%r15)\n"
#define UP8(M, r, at) M(r, 0, at) M(r, 1, at) M(r, 2, at) M(r, 3, at) M(r, 4, at) M(r, 5, at) M(r, 6, at) M(r, 7, at)
#define UP16(M, r, at) UP8(M, r, at) M(r, 8, at) M(r, 9, at) M(r, 10, at) M(r, 11, at) M(r, 12, at) M(r, 13, at) M(r, 14, at) M(r, 15, at)
#define UP32(M, r, at) UP16(M, r, at) M(r, 16, at) M(r, 17, at) M(r, 18, at) M(r, 19, at) M(r, 20, at) M(r, 21, at) M(r, 22, at) M(r, 23, at) \
    M(r, 24, at) M(r, 25, at) M(r, 26, at) M(r, 27, at) M(r, 28, at) M(r, 29, at) M(r, 30, at) M(r, 31, at)

#define GENERAL_LOAD "pushq 112(%%r15)\n popfq\n movq 0(%%r15), %%rax\n movq 8(%%r15), %%rcx\n movq 16(%%r15), %%rdx\n movq 24(%%r15), %%rbx\n" \
    "movq 32(%%r15), %%rbp\n movq 40(%%r15), %%rsi\n movq 48(%%r15), %%rdi\n movq 56(%%r15), %%r8\n movq 64(%%r15), %%r9\n movq 72(%%r15), %%r10\n" \
    "movq 80(%%r15), %%r11\n movq 88(%%r15), %%r12\n movq 96(%%r15), %%r13\n movq 104(%%r15), %%r14\n"
#define GENERAL_STORE "movq %%rax, 120(%%r15)\n movq %%rcx, 128(%%r15)\n movq %%rdx, 136(%%r15)\n movq %%rbx, 144(%%r15)\n movq %%rbp, 152(%%r15)\n" \
    "movq %%rsi, 160(%%r15)\n movq %%rdi, 168(%%r15)\n movq %%r8, 176(%%r15)\n movq %%r9, 184(%%r15)\n movq %%r10, 192(%%r15)\n movq %%r11, 200(%%r15)\n" \
    "movq %%r12, 208(%%r15)\n movq %%r13, 216(%%r15)\n movq %%r14, 224(%%r15)\n"
// jrcxz and mov change no flags: the wait must leave them alone.
#define SPIN "movq $1, 248(%%r15)\n 1: pause\n movq 240(%%r15), %%rcx\n jrcxz 1b\n movq 8(%%r15), %%rcx\n"
#define CALL "movq 264(%%r15), %%rdi\n movq 272(%%r15), %%rsi\n movq 280(%%r15), %%rdx\n movq 288(%%r15), %%r10\n movq 256(%%r15), %%rax\n" \
    "movq $1, 248(%%r15)\n syscall\n movq %%rax, 256(%%r15)\n" \
    "movq 40(%%r15), %%rsi\n movq 48(%%r15), %%rdi\n movq 16(%%r15), %%rdx\n movq 72(%%r15), %%r10\n"
#define BODY(load, wait, store) __asm__ volatile( \
    "pushq %%rbp\n pushq %%r15\n subq $256, %%rsp\n movq %0, %%r15\n movq %%rsp, 296(%%r15)\n" \
    "fxrstor64 4544(%%r15)\n" load GENERAL_LOAD wait GENERAL_STORE \
    "pushfq\n popq 232(%%r15)\n cld\n fxsave64 5056(%%r15)\n" store \
    "fninit\n addq $256, %%rsp\n popq %%r15\n popq %%rbp\n" \
    :: "r"(f) : "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "memory", "cc")

static __attribute__((noinline, unused)) void spin256(struct frame *f) { BODY(UP16(LDY, ymm, 320), SPIN, UP16(STY, ymm, 2368)); }
static __attribute__((noinline, unused)) void spin512(struct frame *f)
{ BODY(UP32(LD, zmm, 320) UP8(LDK, k, 4416), SPIN, UP32(ST, zmm, 2368) UP8(STK, k, 4480)); }
static __attribute__((noinline, unused)) void call256(struct frame *f) { BODY(UP16(LDY, ymm, 320), CALL, UP16(STY, ymm, 2368)); }
static __attribute__((noinline, unused)) void call512(struct frame *f)
{ BODY(UP32(LD, zmm, 320) UP8(LDK, k, 4416), CALL, UP32(ST, zmm, 2368) UP8(STK, k, 4480)); }

static uint32_t regs_next(uint32_t *x) { return *x = *x * 1664525u + 1013904223u; }
static uint64_t regs_next64(uint32_t *x) { uint64_t high = regs_next(x); return high << 32 | regs_next(x); }

static void regs_fill(struct frame *f)
{
    uint32_t x = f->seed;
    for (int i = 0; i < 14; i++) f->wanted[i] = regs_next64(&x);
    f->wanted[14] = 0x202 | (regs_next(&x) & 0x8d5) | ((f->seed & 1) << 10);   // carry, parity, adjust, zero, sign, overflow; direction for some
    f->wanted[14] &= ~(1ULL << 8);
    for (size_t i = 0; i < sizeof f->vectors; i++) f->vectors[i] = regs_next(&x) >> 16;
    f->wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    for (int i = 0; i < 8; i++) f->masks[i] = regs_next64(&x);
    __asm__ volatile("fninit\n fxsave64 %0" : "=m"(f->fx));
    f->fx[0] = 0x7f;                                                  // all exceptions masked, double precision, rounding by seed
    f->fx[1] = 0x02 | ((f->seed >> 3 & 3) << 2);
    f->fx[4] = 0x3f;                                                  // six of eight x87 registers in use
    f->fx[3] = 0x10;                                                  // top of stack
    *(uint32_t *)(f->fx + 24) = 0x1f80 | ((f->seed >> 5 & 3) << 13) | 0x8021;
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) f->fx[32 + 16 * i + j] = regs_next(&x) >> 16;
        f->fx[32 + 16 * i + 7] |= 0x80;
        f->fx[32 + 16 * i + 8] = regs_next(&x) >> 16;
        f->fx[32 + 16 * i + 9] = 0x3f;
    }
    for (int i = 0; i < 16; i++) memcpy(f->fx + 160 + 16 * i, f->vectors + 64 * i, 16);
}

static void regs_bases_set(struct frame *f)
{
    f->gs = 0x7f0000000000 + f->seed;
    syscall(SYS_arch_prctl, ARCH_SET_GS, f->gs);
}

static void regs_bases_check(struct frame *f)
{
    uint64_t gs = 0, fs = 0;
    syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
    if (gs != f->gs) f->bits |= 1;
    if (fs != (uint64_t)pthread_self()) f->bits |= 2;
}

static void regs_compare(int number, struct frame *f)
{
    static const char *names[] = { "rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "flags" };
    for (int i = 0; i < 15; i++)
        if (f->wanted[i] != f->found[i])
            differ("thread %d: %s is %lx, was %lx", number, names[i], f->found[i], f->wanted[i]);
    int count = f->wide ? 32 : 16, width = f->wide ? 64 : 32;
    for (int i = 0; i < count; i++)
        if (memcmp(f->vectors + 64 * i, f->vectors_found + 64 * i, width)) differ("thread %d: vector register %d", number, i);
    for (int i = 0; f->wide && i < 8; i++)
        if (f->masks[i] != f->masks_found[i]) differ("thread %d: k%d is %lx, was %lx", number, i, f->masks_found[i], f->masks[i]);
    for (int i = 0; i < 416; i++)
        if (f->fx[i] != f->fx_found[i] && (i < 8 || i >= 24) && (i < 28 || i >= 32)) differ("thread %d: byte %d of the x87 and SSE state", number, i);
    if (f->bits) differ("thread %d: segment bases %lx", number, f->bits);
}
