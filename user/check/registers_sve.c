/* SPDX-License-Identifier: MIT */
/*
 * AArch64: what is special about SVE's registers (Linux, Documentation/arch/arm64/sve.rst): a system call keeps their
 * first 128 bits alone, a frame has them in a record of their own, and their length can be changed.
 */
#include "check.h"

#ifdef __aarch64__

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>

#define SVE_MAGIC 0x53564501
#define PR_SVE_SET 50
#define PR_SVE_GET 51
#define LENGTH_MAX 256u
#define BYTES_MAX (32 * LENGTH_MAX + 17 * LENGTH_MAX / 8)

#define TO_15 "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"
#define TO_31 TO_15 ", 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31"
#define EACH_Z(op, at) ".irp r, " TO_31 "\n " op " z\\r, [" at ", #\\r, mul vl]\n.endr\n"
#define EACH_P(op) ".irp r, " TO_15 "\n " op " p\\r, [x10, #\\r, mul vl]\n.endr\n"
#define P_AT(at) "rdvl x10, #16\n add x10, " at ", x10, lsl #1\n"
#define SVE ".arch_extension sve\n"
#define LOAD(at) SVE EACH_Z("ldr", at) P_AT(at) "ldr p0, [x10, #16, mul vl]\n wrffr p0.b\n" EACH_P("ldr")
#define STORE(at) SVE EACH_Z("str", at) P_AT(at) EACH_P("str") "rdffr p0.b\n str p0, [x10, #16, mul vl]\n"
#define LOST                                                                                                     \
    "x10", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
    "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", \
    "v31"

static uint8_t from[BYTES_MAX], to[BYTES_MAX], seen[BYTES_MAX];
static sigjmp_buf none;

static void on_none(int number)
{
    (void)number;
    siglongjmp(none, 1);
}

static size_t length_now(void)
{
    size_t length;

    __asm__ volatile(SVE "rdvl %0, #1" : "=r"(length));
    return length;
}

/* 0: there is no SVE. */
static size_t length_of_all(void)
{
    static volatile size_t length;
    struct sigaction action = {.sa_handler = on_none}, old;

    sigaction(SIGILL, &action, &old);
    if (sigsetjmp(none, 1) == 0)
        length = length_now();
    sigaction(SIGILL, &old, NULL);
    return length;
}

static size_t need_sve(void)
{
    size_t length = length_of_all();

    NEEDS(length != 0, "no SVE");
    return length;
}

static void fill(size_t length)
{
    size_t bytes = 32 * length + 17 * length / 8, ffr = length / 8;

    for (size_t i = 0; i < bytes; i++)
        from[i] = (uint8_t)(i * 11 + i / 256 * 5 + 1);
    memset(from + bytes - ffr, 0, ffr);
    from[bytes - ffr] = 0x0f; /* a row of ones, then zeros */
}

/* Load all of them, make a call, store all of them. */
static long over_a_call(long number, unsigned long first)
{
    register long x8 __asm__("x8") = number;
    register unsigned long x0 __asm__("x0") = first;
    register unsigned long x1 __asm__("x1") = 0, x2 __asm__("x2") = 0, x3 __asm__("x3") = 0, x4 __asm__("x4") = 0;

    __asm__ volatile(LOAD("%[from]") "svc #0\n" STORE("%[to]")
                     : "+r"(x0)
                     : [from] "r"(from), [to] "r"(to), "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : LOST);
    return (long)x0;
}

/* What is more than q0-q31 is zero, all of it, or as it was: emulators keep it. Returns whether it is zero. */
static bool be_kept(size_t length)
{
    size_t bytes = 32 * length + 17 * length / 8, same = 0, zero = 0, rest = 0;

    for (size_t i = 0; i < bytes; i++) {
        if (i < 32 * length && i % length < 16) {
            EQUAL(to[i], from[i]);
        } else if (from[i] != 0) {
            rest++;
            same += to[i] == from[i];
            zero += to[i] == 0;
        }
    }
    TRUE(rest > 0 && (same == rest || zero == rest));
    return zero == rest;
}

CHECK(registers, z_is_q_after_a_call)
{
    size_t length = need_sve();

    fill(length);
    EQUAL(over_a_call(SYS_getpid, 0), getpid());
    if (be_kept(length))
        printf("registers: a call keeps 128 bits of z\n");
    fflush(stdout);
    for (int i = 0; i < 100; i++) {
        EQUAL(over_a_call(SYS_sched_yield, 0), 0);
        (void)be_kept(length);
    }
}

CHECK(registers, z_is_q_in_a_child)
{
    size_t length = need_sve();
    int status;

    fill(length);
    for (int i = 0; i < 20; i++) {
        long child = over_a_call(SYS_clone, SIGCHLD);

        (void)be_kept(length);
        if (child == 0)
            _exit(0);
        TRUE(child > 0);
        EQUAL(waitpid((pid_t)child, &status, 0), child);
        EQUAL(status, 0);
    }
}

/* ---- Frames: of a fault, with the registers in use ---- */

enum act { ACT_LOOK, ACT_CHANGE, ACT_BYTES, ACT_LENGTH, ACT_SET };
static enum act act;

static uint8_t *record_find(void *context)
{
    uint8_t *at = (uint8_t *)((ucontext_t *)context)->uc_mcontext.__reserved;
    uint32_t head[2];

    for (;; at += head[1]) {
        memcpy(head, at, sizeof head);
        if (head[0] == SVE_MAGIC)
            return at;
        if (head[0] == 0)
            return NULL;
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    uint8_t *record = record_find(context);
    uint32_t head[2], small = 32;
    uint16_t length, other;

    (void)number;
    (void)info;
    if (record == NULL)
        _exit(3);
    memcpy(head, record, sizeof head);
    memcpy(&length, record + sizeof head, sizeof length);
    other = length == 16 ? 32 : 16;
    if (head[1] != (16 + 32u * length + 17u * length / 8 + 15) / 16 * 16)
        _exit(4);
    memcpy(seen, record + 16, 32u * length + 17u * length / 8);
    switch (act) {
    case ACT_LOOK:
        break;
    case ACT_CHANGE: /* above the first 128 bits, if there is anything, and a predicate */
        record[16 + 3 * length + length - 1] ^= length > 16 ? 1 : 0;
        record[16 + 32 * length + 5] ^= 1;
        break;
    case ACT_BYTES:
        memcpy(record + 4, &small, sizeof small);
        break;
    case ACT_LENGTH:
        memcpy(record + 8, &other, sizeof other);
        break;
    case ACT_SET:
        if (prctl(PR_SVE_SET, (unsigned long)other) != other)
            _exit(5);
        break;
    }
    memset(from, 0xff, sizeof from);
    __asm__ volatile(LOAD("%[from]") :: [from] "r"(from) : LOST);
    ((ucontext_t *)context)->uc_mcontext.pc += 4;
}

static int fault(void *arg)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    size_t length = length_of_all(), bytes = 32 * length + 17 * length / 8;
    uint8_t wanted[BYTES_MAX];

    act = *(enum act *)arg;
    fill(length);
    memcpy(wanted, from, sizeof wanted);
    GOOD(sigaction(SIGILL, &action, NULL));
    __asm__ volatile(LOAD("%[from]") ".inst 0\n" STORE("%[to]") :: [from] "r"(from), [to] "r"(to) : LOST);
    TRUE(memcmp(seen, wanted, bytes) == 0);
    if (act == ACT_CHANGE) {
        wanted[3 * length + length - 1] ^= length > 16 ? 1 : 0;
        wanted[32 * length + 5] ^= 1;
    }
    for (size_t i = 0; i < bytes; i++)
        if (to[i] != wanted[i])
            check_failed(__FILE__, __LINE__, "byte %zu is %#x, not %#x", i, to[i], wanted[i]);
    return 0;
}

CHECK(registers, z_is_in_a_fault_s_frame)
{
    enum act looks[] = {ACT_LOOK, ACT_CHANGE};

    (void)need_sve();
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        check_child(fault, &looks[i]);
}

CHECK(registers, z_s_damaged_record_is_refused)
{
    enum act damages[] = {ACT_BYTES, ACT_LENGTH, ACT_SET};
    size_t count = sizeof damages / sizeof damages[0];

    /* One length alone cannot be set to another one. */
    count -= need_sve() == 16 ? 1 : 0;
    for (size_t i = 0; i < count; i++)
        EQUAL(check_wait(check_fork(fault, &damages[i])) & 0x7f, SIGSEGV);
}

/* ---- Lengths ---- */

static int set_lengths(void *arg)
{
    unsigned long length = length_of_all(), before = 0;

    (void)arg;
    EQUAL(GOOD(prctl(PR_SVE_GET)) & 0xffff, length);
    FAILS(EINVAL, prctl(PR_SVE_SET, 8ul));
    FAILS(EINVAL, prctl(PR_SVE_SET, 24ul));
    FAILS(EINVAL, prctl(PR_SVE_SET, 8208ul));
    for (unsigned long wanted = 16; wanted <= length; wanted += 16) {
        long got = GOOD(prctl(PR_SVE_SET, wanted)) & 0xffff;

        TRUE(got <= (long)wanted && got >= (long)before && got % 16 == 0);
        EQUAL(length_now(), got);
        EQUAL(GOOD(prctl(PR_SVE_GET)) & 0xffff, got);
        before = (unsigned long)got;
        fill(before);
        (void)over_a_call(SYS_sched_yield, 0);
        (void)be_kept(before);
    }
    EQUAL(before, length);
    EQUAL(GOOD(prctl(PR_SVE_SET, 16ul)) & 0xffff, 16);
    return 0;
}

static int have_length(void *arg)
{
    EQUAL(length_now(), *(size_t *)arg);
    return 0;
}

CHECK(prctl, sets_the_length_of_z)
{
    size_t length = length_of_all(), least = 16;

    if (length == 0) {
        FAILS(EINVAL, prctl(PR_SVE_GET));
        FAILS(EINVAL, prctl(PR_SVE_SET, 16ul));
        return;
    }
    check_child(set_lengths, NULL);
    EQUAL(length_now(), length); /* each thread has its own; a child begins with its parent's */
    GOOD(prctl(PR_SVE_SET, 16ul));
    check_child(have_length, &least);
}

#endif
