/* SPDX-License-Identifier: MIT */
/*
 * What a program without a C library needs: a beginning, system calls, and threads. start() gets the stack as the
 * kernel made it: argc, argv, 0, envp, 0, the auxiliary vector.
 */
#pragma once

#include <asm/unistd.h>

long start(long *stack);

#if defined __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");

static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return nr;
}

/* clone(2) with a stack: the child calls fn(), which does not return. */
long sys_thread(long flags, void *stack, void *tid, void (*fn)(void), long tls);
__asm__(".globl sys_thread\nsys_thread: sub $8, %rsi\n mov %rcx, (%rsi)\n mov %rdx, %r10\n mov $56, %eax\n syscall\n"
        " test %rax, %rax\n jnz 1f\n pop %rax\n and $-16, %rsp\n call *%rax\n1: ret\n");

static unsigned long thread_pointer(void)
{
    unsigned long value;

    __asm__ volatile("mov %%fs:0, %0" : "=r"(value));
    return value;
}

#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x0, sp\n bl start\n");

static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

long sys_thread(long flags, void *stack, void *tid, void (*fn)(void), long tls);
__asm__(".globl sys_thread\nsys_thread: str x3, [x1, #-16]!\n mov x3, x4\n mov x4, x2\n mov x8, #220\n svc 0\n"
        " cbnz x0, 1f\n ldr x0, [sp], #16\n blr x0\n1: ret\n");

static unsigned long thread_pointer(void)
{
    unsigned long *at;

    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(at));
    return *at;
}

#elif defined __riscv
__asm__(".globl _start\n_start: mv a0, sp\n.option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
        " call start\n");

static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
    register long a7 __asm__("a7") = nr;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = e;
    register long a5 __asm__("a5") = f;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}

long sys_thread(long flags, void *stack, void *tid, void (*fn)(void), long tls);
__asm__(".globl sys_thread\nsys_thread: addi a1, a1, -16\n sd a3, (a1)\n mv a3, a4\n mv a4, a2\n li a7, 220\n ecall\n"
        " bnez a0, 1f\n ld a0, (sp)\n addi sp, sp, 16\n jalr a0\n1: ret\n");

static unsigned long thread_pointer(void)
{
    unsigned long *at;

    __asm__ volatile("mv %0, tp" : "=r"(at));
    return *at;
}
#endif

#define CALL(name, ...) CALL_(__NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(nr, a, b, c, d, e, f, ...) sys(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static inline int is_text(const char *a, const char *b)
{
    while (*a != 0 && *a == *b)
        a++, b++;
    return *a == *b;
}

void *memset(void *to, int value, unsigned long bytes)
{
    for (unsigned long i = 0; i < bytes; i++)
        ((volatile char *)to)[i] = (char)value;
    return to;
}
