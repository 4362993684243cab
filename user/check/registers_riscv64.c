/* SPDX-License-Identifier: MIT */
/* RISC-V: the F and D extensions' registers, and V's. */
#include "registers.h"

#ifdef __riscv

#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

static size_t f_bytes(void)
{
    return 32 * 8;
}

#define EACH_F(op)                                                                                                \
    op " f0, 0(%[a])\n" op " f1, 8(%[a])\n" op " f2, 16(%[a])\n" op " f3, 24(%[a])\n" op " f4, 32(%[a])\n"        \
    op " f5, 40(%[a])\n" op " f6, 48(%[a])\n" op " f7, 56(%[a])\n" op " f8, 64(%[a])\n" op " f9, 72(%[a])\n"      \
    op " f10, 80(%[a])\n" op " f11, 88(%[a])\n" op " f12, 96(%[a])\n" op " f13, 104(%[a])\n"                      \
    op " f14, 112(%[a])\n" op " f15, 120(%[a])\n" op " f16, 128(%[a])\n" op " f17, 136(%[a])\n"                   \
    op " f18, 144(%[a])\n" op " f19, 152(%[a])\n" op " f20, 160(%[a])\n" op " f21, 168(%[a])\n"                   \
    op " f22, 176(%[a])\n" op " f23, 184(%[a])\n" op " f24, 192(%[a])\n" op " f25, 200(%[a])\n"                   \
    op " f26, 208(%[a])\n" op " f27, 216(%[a])\n" op " f28, 224(%[a])\n" op " f29, 232(%[a])\n"                   \
    op " f30, 240(%[a])\n" op " f31, 248(%[a])\n"
#define WAIT "1: lw t0, 0(%[flag])\n bnez t0, 2f\n addi %[spins], %[spins], -1\n bnez %[spins], 1b\n2:\n"
#define F_LOST                                                                                                       \
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", \
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"

static int f_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    const uint8_t *a = from;
    unsigned long control, wanted = 0x65; /* rounding mode 3, and two flags */

    __asm__ volatile(EACH_F("fld") "fscsr %[wanted]\n mv %[a], %[to]\n" WAIT "frcsr %[control]\n fscsr zero\n"
                     EACH_F("fsd")
                     : [a] "+&r"(a), [spins] "+&r"(spins), [control] "=&r"(control)
                     : [to] "r"(to), [flag] "r"(flag), [wanted] "r"(wanted)
                     : "t0", "memory", F_LOST);
    return control == wanted;
}

static void f_store(uint8_t *to)
{
    __asm__ volatile(EACH_F("fsd") :: [a] "r"(to) : "memory");
}

static uint8_t *f_in_frame(void *context)
{
    return (uint8_t *)((ucontext_t *)context)->uc_mcontext.__fpregs.__d.__f;
}

static void any(uint8_t *bytes)
{
    (void)bytes;
}

static sigjmp_buf none;

static void on_illegal(int number)
{
    (void)number;
    siglongjmp(none, 1);
}

/* Asks the CPU itself: to some emulators' auxiliary vectors V is nothing. */
static size_t v_bytes(void)
{
    static volatile size_t bytes;
    struct sigaction action = {.sa_handler = on_illegal}, old;

    if (bytes != 0)
        return bytes;
    sigaction(SIGILL, &action, &old);
    if (sigsetjmp(none, 1) == 0) {
        size_t vlenb;

        __asm__ volatile("csrr %0, 0xc22" : "=r"(vlenb));
        bytes = 32 * vlenb;
    }
    sigaction(SIGILL, &old, NULL);
    return bytes;
}

#define EACH_V(op)                                                                                              \
    "csrr t1, 0xc22\n slli t1, t1, 3\n mv t2, %[a]\n" op " v0, (t2)\n add t2, t2, t1\n" op " v8, (t2)\n"        \
    "add t2, t2, t1\n" op " v16, (t2)\n add t2, t2, t1\n" op " v24, (t2)\n"
#define WITH_V(text) ".option push\n.option arch, +v\n" text ".option pop\n"

static int v_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    const uint8_t *a = from;
    unsigned long vl_lost, vtype_lost, vstart, vcsr;

    __asm__ volatile(WITH_V("csrwi vstart, 0\n" EACH_V("vl8re8.v")
                            "li t1, 5\n vsetvli t3, t1, e32, m2, ta, ma\n csrr t4, vtype\n csrwi vcsr, 5\n"
                            "csrwi vstart, 3\n mv %[a], %[to]\n" WAIT
                            "csrr %[vstart], vstart\n csrwi vstart, 0\n csrr %[vcsr], vcsr\n csrwi vcsr, 0\n"
                            "csrr %[vl], vl\n xor %[vl], %[vl], t3\n csrr %[vtype], vtype\n"
                            "xor %[vtype], %[vtype], t4\n" EACH_V("vs8r.v"))
                     : [a] "+&r"(a), [spins] "+&r"(spins), [vl] "=&r"(vl_lost), [vtype] "=&r"(vtype_lost),
                       [vstart] "=&r"(vstart), [vcsr] "=&r"(vcsr)
                     : [to] "r"(to), [flag] "r"(flag)
                     : "t0", "t1", "t2", "t3", "t4", "memory");
    return vl_lost == 0 && vtype_lost == 0 && vstart == 3 && vcsr == 5;
}

static void v_store(uint8_t *to)
{
    __asm__ volatile(WITH_V("csrwi vstart, 0\n" EACH_V("vs8r.v")) :: [a] "r"(to) : "t1", "t2", "memory");
}

/* Linux's struct __riscv_ctx_hdr, struct __riscv_v_ext_state and the registers: asm/sigcontext.h, asm/ptrace.h. */
struct v_record {
    uint32_t magic, bytes;
    uint64_t vstart, vl, vtype, vcsr, vlenb;
    uint8_t *data;
    uint8_t registers[];
};

static uint8_t *v_in_frame(void *context)
{
    ucontext_t *user = context;
    struct v_record *record = (void *)((uint8_t *)&user->uc_mcontext + sizeof user->uc_mcontext - 8);

    if (record->magic != 0x53465457)
        return NULL;
    const uint32_t *end = (const uint32_t *)((uint8_t *)record + record->bytes);

    if (record->bytes != sizeof *record + 32 * record->vlenb ||
        32 * record->vlenb != v_bytes() || record->data != record->registers || end[0] != 0 ||
        end[1] != 0)
        raise(SIGABRT);
    return record->data;
}

const struct registers register_files[] = {
    {"f0-f31", f_bytes, f_hold, f_store, any, f_in_frame, NULL},
    {"v0-v31", v_bytes, v_hold, v_store, any, v_in_frame, NULL},
};
const size_t register_file_count = sizeof register_files / sizeof register_files[0];

#endif
