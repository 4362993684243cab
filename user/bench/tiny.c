/* SPDX-License-Identifier: MIT */
/*
 * kbench-tiny - the smallest static program, for two uses.
 *
 * With an argument that starts with '-' it exits at once: kbench's exec target.
 * Otherwise, as /init, it is the boot probe.  It prints
 *
 *   KB boot counter=<raw counter at PID 1's start> hz=<its rate, 0: not known>
 *           ram_kib=<total> free_kib=<free>
 *
 * and powers the machine off.  The counter is the one that user code can read
 * and that QEMU starts at zero on reset: TSC, CNTVCT_EL0 or time.  Under
 * `-icount shift=0` the TSC runs at 1 GHz of virtual time.
 *
 * No libc: cc -O2 -static -nostdlib -ffreestanding tiny.c -o kbench-tiny
 */
#define _GNU_SOURCE
#include <linux/reboot.h>
#include <linux/sysinfo.h>
#include <sys/syscall.h>

#if defined __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#define COUNTER_HZ 0

static unsigned long counter(void)
{
    unsigned lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (unsigned long)hi << 32 | lo;
}

static long sys(long nr, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return nr;
}

#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x0, sp\n bl start\n");

static unsigned long counter(void)
{
    unsigned long v;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
    return v;
}

static unsigned long counter_hz(void)
{
    unsigned long v;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(v));
    return v;
}
#define COUNTER_HZ counter_hz()

static long sys(long nr, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

#elif defined __riscv
__asm__(".globl _start\n_start: mv a0, sp\n"
        ".option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
        "call start\n");
#define COUNTER_HZ 10000000 /* QEMU's virt machine */

static unsigned long counter(void)
{
    unsigned long v;
    __asm__ volatile("rdtime %0" : "=r"(v));
    return v;
}

static long sys(long nr, long a, long b, long c, long d)
{
    register long a7 __asm__("a7") = nr;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3) : "memory");
    return a0;
}
#else
#error "unknown ISA"
#endif

static char line[256];
static unsigned len;

static void text(const char *s)
{
    while (*s != '\0')
        line[len++] = *s++;
}

static void number(unsigned long v)
{
    char digits[24];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    while (n > 0)
        line[len++] = digits[--n];
}

__attribute__((used, noreturn)) void start(unsigned long *sp)
{
    unsigned long argc = sp[0];
    const char *arg = (const char *)sp[2];
    struct sysinfo si;

    if (argc > 1 && arg[0] == '-')
        for (;;)
            sys(SYS_exit_group, 0, 0, 0, 0);

    unsigned long at = counter();
    text("KB boot counter=");
    number(at);
    text(" hz=");
    number((unsigned long)COUNTER_HZ);
    if (sys(SYS_sysinfo, (long)&si, 0, 0, 0) == 0) {
        text(" ram_kib=");
        number(si.totalram * si.mem_unit / 1024);
        text(" free_kib=");
        number(si.freeram * si.mem_unit / 1024);
    }
    text("\n");
    sys(SYS_write, 1, (long)line, len, 0);
    sys(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
        LINUX_REBOOT_CMD_POWER_OFF, 0);
    for (;;)
        sys(SYS_exit_group, 0, 0, 0, 0);
}
