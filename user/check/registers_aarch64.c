/* SPDX-License-Identifier: MIT */
/* AArch64: Advanced SIMD's registers, and SVE's. */
#include "registers.h"

#ifdef __aarch64__

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#define TO_15 "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"
#define TO_31 TO_15 ", 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31"
#define EACH_Q(op) ".irp r, " TO_31 "\n " op " q\\r, [%[a], #16*\\r]\n.endr\n"
#define WAIT "1: ldr w9, [%[flag]]\n cbnz w9, 2f\n subs %[spins], %[spins], #1\n b.ne 1b\n2:\n"
#define Q_LOST                                                                                                    \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",   \
    "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

#define WANTED_CONTROL 0x00c00000ul /* rounding towards zero */
#define WANTED_STATUS 0x11ul        /* two flags */

/* Control registers in w10, w11 while it waits. */
#define HOLD(load, store)                                                                                       \
    const uint8_t *a = from;                                                                                    \
    uint64_t control, status;                                                                                   \
    __asm__ volatile(load "msr fpcr, %[want_control]\n msr fpsr, %[want_status]\n mov %[a], %[to]\n" WAIT       \
                     "mrs %[control], fpcr\n mrs %[status], fpsr\n msr fpcr, xzr\n msr fpsr, xzr\n" store       \
                     : [a] "+&r"(a), [spins] "+&r"(spins), [control] "=&r"(control), [status] "=&r"(status)     \
                     : [to] "r"(to), [flag] "r"(flag), [want_control] "r"(WANTED_CONTROL),                      \
                       [want_status] "r"(WANTED_STATUS)                                                         \
                     : "x9", "x10", "memory", "cc", Q_LOST);                                                    \
    return control == WANTED_CONTROL && status == WANTED_STATUS

static size_t q_bytes(void)
{
    return 32 * 16;
}

static int q_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    HOLD(EACH_Q("ldr"), EACH_Q("str"));
}

static void q_store(uint8_t *to)
{
    __asm__ volatile(EACH_Q("str") :: [a] "r"(to) : "memory");
}

static void any(uint8_t *bytes)
{
    (void)bytes;
}

/* Linux's struct _aarch64_ctx, and what stands behind it: asm/sigcontext.h. */
struct record {
    uint32_t magic, bytes;
};

static uint8_t *record_find(void *context, uint32_t magic)
{
    uint8_t *at = (uint8_t *)((ucontext_t *)context)->uc_mcontext.__reserved;
    struct record head;

    for (;; at += head.bytes) {
        memcpy(&head, at, sizeof head);
        if (head.magic == magic)
            return at;
        if (head.magic == 0)
            return NULL;
    }
}

#define FPSIMD_MAGIC 0x46508001
#define SVE_MAGIC 0x53564501

static uint8_t *q_in_frame(void *context)
{
    uint8_t *record = record_find(context, FPSIMD_MAGIC);

    if (record == NULL)
        raise(SIGABRT);
    return record + 16;
}

static sigjmp_buf none;

static void on_illegal(int number)
{
    (void)number;
    siglongjmp(none, 1);
}

static size_t vector_length(void)
{
    static volatile size_t length;
    struct sigaction action = {.sa_handler = on_illegal}, old;

    if (length != 0)
        return length;
    sigaction(SIGILL, &action, &old);
    if (sigsetjmp(none, 1) == 0) {
        size_t bytes;

        __asm__ volatile(".arch_extension sve\n rdvl %0, #1" : "=r"(bytes));
        length = bytes;
    }
    sigaction(SIGILL, &old, NULL);
    return length;
}

/* z0-z31, p0-p15, ffr: as in a signal frame. */
static size_t z_bytes(void)
{
    return 32 * vector_length() + 17 * vector_length() / 8;
}

#define EACH_Z(op) ".irp r, " TO_31 "\n " op " z\\r, [%[a], #\\r, mul vl]\n.endr\n"
#define EACH_P(op) ".irp r, " TO_15 "\n " op " p\\r, [x10, #\\r, mul vl]\n.endr\n"
#define P_AT "rdvl x10, #16\n add x10, %[a], x10, lsl #1\n"
#define SVE ".arch_extension sve\n"

static int z_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    HOLD(SVE EACH_Z("ldr") P_AT "ldr p0, [x10, #16, mul vl]\n wrffr p0.b\n" EACH_P("ldr"),
         EACH_Z("str") P_AT EACH_P("str") "rdffr p0.b\n str p0, [x10, #16, mul vl]\n");
}

static void z_store(uint8_t *to)
{
    __asm__ volatile(SVE EACH_Z("str") P_AT EACH_P("str") "rdffr p0.b\n str p0, [x10, #16, mul vl]\n"
                     :: [a] "r"(to) : "x10", "memory");
}

/* The first-fault register is a row of ones, then zeros. */
static void z_fit(uint8_t *bytes)
{
    size_t row = vector_length() / 8;

    memset(bytes + z_bytes() - row, 0, row);
    bytes[z_bytes() - row] = 0x7f;
}

static uint8_t *z_in_frame(void *context)
{
    uint8_t *record = record_find(context, SVE_MAGIC);
    struct record head;
    uint16_t length;

    if (record == NULL)
        return NULL;
    memcpy(&head, record, sizeof head);
    memcpy(&length, record + sizeof head, sizeof length);
    if (head.bytes == 16) /* the thread has not used it */
        return NULL;
    if (length != vector_length() || head.bytes < 16 + z_bytes())
        raise(SIGABRT);
    return record + 16;
}

/* The first 128 bits of each z register are also in the other record: to Linux that is what counts, to QEMU this. */
static void z_change(void *context, size_t at)
{
    size_t length = vector_length(), in_register = at % length;

    z_in_frame(context)[at] ^= 1;
    if (at < 32 * length && in_register < 16)
        q_in_frame(context)[at / length * 16 + in_register] ^= 1;
}

static void q_change(void *context, size_t at)
{
    uint8_t *z = z_in_frame(context);

    q_in_frame(context)[at] ^= 1;
    if (z != NULL)
        z[at / 16 * vector_length() + at % 16] ^= 1;
}

const struct registers register_files[] = {
    {"q0-q31", q_bytes, q_hold, q_store, any, q_in_frame, q_change},
    {"z0-z31, p0-p15, ffr", z_bytes, z_hold, z_store, z_fit, z_in_frame, z_change},
};
const size_t register_file_count = sizeof register_files / sizeof register_files[0];

#endif
