/* SPDX-License-Identifier: MIT */
/*
 * check-signals - signals as a program sees them, on the machine's own frames. As /init of a machine it ends with 42 if
 * all is well, else with the number of the check that failed.
 */
#include "bare.h"

#define EINTR 4
#define ECHILD 10
#define EAGAIN 11

enum {
    SIGILL = 4, SIGKILL = 9, SIGUSR1, SIGSEGV, SIGUSR2, SIGALRM = 14, SIGTERM, SIGCHLD = 17, SIGCONT, SIGSTOP, R1 = 40
};
#define SA_SIGINFO 4ul
#define SA_RESTORER 0x04000000ul
#define SA_ONSTACK 0x08000000ul
#define SA_RESTART 0x10000000ul
#define WUNTRACED 2
#define WCONTINUED 8
#define BIT(n) (1ul << ((n) - 1))

struct siginfo {
    int number, error, code, unused;
    union {
        struct {
            int pid, uid;
            unsigned long value;
        };
        void *address;
    };
    char rest[96];
};

static volatile int calls, seen_number, seen_code, seen_pid;
static volatile unsigned long seen_value;
static void *volatile seen_address;
static void *volatile seen_stack;
static char other_stack[16384] __attribute__((aligned(16)));

static void leave(int status)
{
    for (;;)
        CALL(exit_group, status);
}

#define CHECK(number, condition) \
    do {                         \
        if (!(condition))        \
            leave(number);       \
    } while (0)

/* A floating-point register that a handler uses, too. */
#if defined __x86_64__
static void fp_set(unsigned long value) { __asm__ volatile("movq %0, %%xmm5" :: "r"(value)); }
static unsigned long fp_get(void) { unsigned long v; __asm__ volatile("movq %%xmm5, %0" : "=r"(v)); return v; }
void restorer(void);
__asm__(".globl restorer\nrestorer: mov $15, %eax\n syscall\n");
struct action { void *handler; unsigned long flags; void (*restorer)(void); unsigned long mask; };
#define FLAGS SA_RESTORER /* elsewhere it is the kernel's */
#elif defined __aarch64__
static void fp_set(unsigned long value) { __asm__ volatile("fmov d5, %0" :: "r"(value)); }
static unsigned long fp_get(void) { unsigned long v; __asm__ volatile("fmov %0, d5" : "=r"(v)); return v; }
struct action { void *handler; unsigned long flags; void (*restorer)(void); unsigned long mask; };
#define FLAGS 0
#else
#define WITH_D(code) ".option push\n.option arch, +d\n" code "\n.option pop"
static void fp_set(unsigned long value) { __asm__ volatile(WITH_D("fmv.d.x ft5, %0") :: "r"(value)); }
static unsigned long fp_get(void) { unsigned long v; __asm__ volatile(WITH_D("fmv.x.d %0, ft5") : "=r"(v)); return v; }
struct action { void *handler; unsigned long flags, mask; };
#define FLAGS 0
#endif

static void handler(int number, struct siginfo *info, void *context)
{
    int here;

    (void)context;
    seen_stack = &here;
    seen_number = number;
    seen_code = info->code;
    seen_pid = info->pid;
    seen_value = info->value;
    seen_address = info->address;
    fp_set(~0ul);
    calls++;
}

static void handle(int number, void *function, unsigned long flags)
{
    struct action action = { .handler = function, .flags = flags | FLAGS };

#if FLAGS
    action.restorer = restorer;
#endif
    CHECK(1, CALL(rt_sigaction, number, &action, 0, 8) == 0);
}

static unsigned long mask(int how, unsigned long set)
{
    unsigned long old = 0;

    CHECK(2, CALL(rt_sigprocmask, how, &set, &old, 8) == 0);
    return old;
}

static long fork(void)
{
    return CALL(clone, SIGCHLD);
}

static int wait_for(long pid, int options)
{
    int status = -1;

    CHECK(3, CALL(wait4, pid, &status, options, 0) == pid);
    return status;
}

static void sleep_for_ever(void)
{
    unsigned long none = 0;

    for (;;)
        CALL(rt_sigsuspend, &none, 8);
}

static void handlers(void)
{
    long self = CALL(getpid, 0);

    handle(SIGUSR1, handler, SA_SIGINFO);
    fp_set(0x123456789abcdef);
    long result = CALL(kill, self, SIGUSR1);
    unsigned long kept = fp_get();

    CHECK(10, result == 0 && calls == 1 && seen_number == SIGUSR1 && seen_code == 0 && seen_pid == self);
    CHECK(11, kept == 0x123456789abcdef);
    CHECK(12, mask(0, 0) == 0);
    struct { void *base; int flags; unsigned long bytes; } stack = { other_stack, 0, sizeof other_stack };

    CHECK(13, CALL(sigaltstack, &stack, 0) == 0);
    handle(SIGUSR1, handler, SA_SIGINFO | SA_ONSTACK);
    CHECK(14, CALL(tgkill, self, self, SIGUSR1) == 0 && calls == 2 && seen_code == -6);
    CHECK(15, (char *)seen_stack > other_stack && (char *)seen_stack < other_stack + sizeof other_stack);
}

static void fault_handler(int number, struct siginfo *info, void *context)
{
    (void)context;
    leave(number == SIGSEGV && info->address == (void *)8 && info->code == 1 ? 7 : 8);
}

static void faults(void)
{
    long pid = fork();

    if (pid == 0) {
        handle(SIGSEGV, fault_handler, SA_SIGINFO);
        *(volatile int *)8 = 0;
        leave(9);
    }
    CHECK(20, wait_for(pid, 0) == 7 << 8);
    pid = fork();
    if (pid == 0) {
        *(volatile int *)8 = 0;
        leave(9);
    }
    CHECK(21, wait_for(pid, 0) == SIGSEGV);
    pid = fork();
    if (pid == 0) {
        __asm__ volatile(".long 0xffffffff\n.long 0xffffffff"); /* no instruction on any machine here */
        leave(9);
    }
    CHECK(22, wait_for(pid, 0) == SIGILL);
    pid = fork();
    if (pid == 0) {
        CALL(rt_sigreturn, 0);
        leave(9);
    }
    CHECK(23, wait_for(pid, 0) == SIGSEGV);
}

static void waits(void)
{
    handle(SIGUSR2, handler, SA_SIGINFO | SA_RESTART);
    calls = 0;
    long self = CALL(getpid, 0), pid = fork();

    if (pid == 0) {
        for (int i = 0; i < 50; i++) {
            CALL(kill, self, SIGUSR2);
            CALL(sched_yield, 0);
        }
        leave(5);
    }
    CHECK(30, wait_for(pid, 0) == 5 << 8 && calls > 0);
    pid = fork();
    if (pid == 0)
        sleep_for_ever();
    CHECK(31, CALL(kill, pid, SIGSTOP) == 0 && wait_for(pid, WUNTRACED) == (SIGSTOP << 8 | 0x7f));
    CHECK(32, CALL(kill, pid, SIGCONT) == 0 && wait_for(pid, WCONTINUED) == 0xffff);
    CHECK(33, CALL(kill, pid, SIGTERM) == 0 && wait_for(pid, 0) == SIGTERM);
    CHECK(34, CALL(kill, 0, 0) == 0 && CALL(kill, 12345, 0) == -3);
    handle(SIGCHLD, (void *)1, 0);
    pid = fork();
    if (pid == 0)
        leave(0);
    CHECK(35, CALL(wait4, pid, 0, 0, 0) == -ECHILD);
    handle(SIGCHLD, (void *)0, 0);
}

static void queues(void)
{
    struct siginfo info = { .code = -1 }, got;
    unsigned long set = BIT(R1), timeout[2] = { 0, 1000000 };
    long self = CALL(getpid, 0);

    (void)mask(0, BIT(R1));
    for (int i = 1; i <= 3; i++) {
        info.value = (unsigned long)i * 0x100000001;
        CHECK(40, CALL(rt_sigqueueinfo, self, R1, &info) == 0);
    }
    for (int i = 1; i <= 3; i++) {
        CHECK(41, CALL(rt_sigtimedwait, &set, &got, &timeout, 8) == R1);
        CHECK(42, got.value == (unsigned long)i * 0x100000001 && got.code == -1);
    }
    CHECK(43, CALL(rt_sigtimedwait, &set, &got, &timeout, 8) == -EAGAIN);
}

static void alarms(void)
{
    unsigned long timer[4] = { 0, 500, 0, 1000 }, none = 0;

    (void)mask(2, BIT(SIGALRM));
    handle(SIGALRM, handler, SA_SIGINFO);
    calls = 0;
    CHECK(50, CALL(setitimer, 0, &timer, 0) == 0);
    while (calls < 3)
        CHECK(51, CALL(rt_sigsuspend, &none, 8) == -EINTR);
    CHECK(52, seen_number == SIGALRM && mask(0, 0) == BIT(SIGALRM));
}

long start(long *stack)
{
    (void)stack;
    CHECK(60, CALL(kill, 1, SIGKILL) == 0); /* init: nothing happens */
    handlers();
    faults();
    waits();
    queues();
    alarms();
    leave(42);
    return 0;
}
