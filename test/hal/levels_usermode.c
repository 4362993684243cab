/* SPDX-License-Identifier: MIT */
/*
 * The level about user mode: a program (userland.h) whose registers hold patterns, on each CPU. What a trap brings in
 * is compared with them, what core changes must be what the program sees, and all else must come back as it was, by the
 * short way and by the long one, from system calls, interrupts and faults. The kit plays core: the upcalls below.
 *
 * The level about signals uses the same program. Its calls are followed by a handler, which makes a call of its own;
 * then the frame is taken off again, whole, or damaged by chance. The frame never gets to user memory: the machine does
 * not touch that.
 */
#include "levels.h"

#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/string.h>
#include <torture.h>

#include "userland.h"

#define CODE_VA ((vaddr_t)0x10000)
#define DATA_VA ((vaddr_t)0x20000)
#define HOLE_VA ((vaddr_t)0x40000)
#define CALLS 60u
#define SPINS 20u
#define SPIN_NS (30 * NS_PER_US)
#define STACK_VA ((vaddr_t)0x7ff0f8) /* of handlers; nothing is mapped there */
#define SIGNALS 40u
#define DAMAGES 400u

enum act { ACT_SIGNAL, ACT_HANDLER, ACT_DAMAGE, ACT_CALLS, ACT_SPIN, ACT_STORED, ACT_READ, ACT_DENY, ACT_OVER };

static struct {
    paddr_t root, code, data;
    uint64_t *words; /* the data page: what the program loads, then what it stores */
    struct task task;
    struct task *caller; /* goes on when the program's part is over */
    enum act act;
    unsigned left;
    uint64_t result;     /* that the last call was given */
    int64_t call_result; /* of the last trap_syscall() */
    bool wants_all;
    bool was_restarted;
    vaddr_t read;        /* what ACT_READ reads */

    /* The level about signals. */
    void *area;
    uint64_t fpu_words;
    uint64_t want[TORTURE_WORDS_MAX];
    struct hal_signal signal;
    vaddr_t frame_va;
    size_t frame_bytes;
    bool is_damaged;     /* each frame */
    unsigned refused;
} um;

static alignas(64) uint8_t frame[HAL_SIGNAL_FRAME_BYTES];

static vaddr_t code_at(const char *label)
{
    return CODE_VA + (vaddr_t)(label - userland_begin);
}

static void new_words(void)
{
    for (unsigned i = 0; i < USERLAND_WORDS; i++)
        um.words[i] = kit_random();
    memset(um.words + USERLAND_WORDS, 0, USERLAND_WORDS * sizeof *um.words);
}

/* Back to the kit, for good: the program's registers are of no further use. */
[[noreturn]] static void over(void)
{
    um.act = ACT_OVER;
    hal_context_switch(&um.task, um.caller);
    CHECK(false, "a program that has ended goes on");
    __builtin_unreachable();
}

static void check_trap(const struct hal_trap *trap, const char *what)
{
    uintptr_t end = (uintptr_t)(trap + 1);

    CHECK(!hal_irq_is_enabled(), "%s: interrupts are enabled", what);
    CHECK(hal_current() == &um.task, "%s: hal_current() is not the task", what);
    CHECK(end == um.task.stack_base + um.task.stack_bytes, "%s: the registers are not where they were", what);
    CHECK(HAL_USER_SP(trap) == DATA_VA, "%s: the stack pointer is %#lx", what, (unsigned long)HAL_USER_SP(trap));
}

static bool is_lost(unsigned word)
{
    return word == userland_words.lost[0] || word == userland_words.lost[1];
}

/* What the program stored: word `result` is what the call was given, if it was one. */
static void check_stored(const char *what, bool is_call)
{
    const uint64_t *got = um.words + USERLAND_WORDS;

    for (unsigned i = 0; i < USERLAND_WORDS; i++) {
        uint64_t want = is_call && i == userland_words.result ? um.result : um.words[i];

        if (got[i] == 0 || (is_call && is_lost(i)))
            continue; /* nobody's; a pattern is 0 once in 2^64 */
        CHECK(got[i] == want, "%s: word %u comes back as %#llx, not %#llx", what, i, (unsigned long long)got[i],
              (unsigned long long)want);
    }
}

static void check_call_words(const struct hal_trap *trap)
{
    const uintptr_t arg[6] = { HAL_USER_ARG(trap, 0), HAL_USER_ARG(trap, 1), HAL_USER_ARG(trap, 2),
                               HAL_USER_ARG(trap, 3), HAL_USER_ARG(trap, 4), HAL_USER_ARG(trap, 5) };

    CHECK(HAL_USER_NUMBER(trap) == um.words[userland_words.number], "a call's number is wrong");
    for (unsigned i = 0; i < 6; i++)
        CHECK(arg[i] == um.words[userland_words.arg[i]], "a call's argument %u is wrong", i);
}

static bool has_stored(void)
{
    return um.words[USERLAND_WORDS + userland_words.result] != 0;
}

/* ---- Signals ---- */

static void fpu_load_random(uint64_t *want)
{
    for (uint64_t i = 0; i < um.fpu_words; i++)
        want[i] = kit_random();
    for (unsigned i = 0; i < 2; i++)
        want[i] = (want[i] & torture_isa.fpu_control[i].mask) | torture_isa.fpu_control[i].base;
    torture_fpu_load(want, um.fpu_words);
}

/* Between a call of the program and its return: the handler is to run. */
static void enter_handler(struct hal_trap *trap)
{
    uint8_t *bytes = (uint8_t *)&um.signal;

    for (size_t i = 0; i < sizeof um.signal; i++)
        bytes[i] = (uint8_t)kit_random();
    um.signal.number = (uint32_t)kit_random() % 64 + 1;
    um.signal.has_info = true;
    um.signal.handler = code_at(userland_handler);
    if (um.area != NULL) {
        fpu_load_random(um.want);
        hal_fpu_switch(um.area, um.area);
    }
    memset(frame, 0x5a, sizeof frame);
    um.frame_bytes = hal_signal_push(trap, um.area, &um.signal, STACK_VA, frame, &um.frame_va);
    CHECK(um.frame_bytes > sizeof um.signal.info && um.frame_bytes <= HAL_SIGNAL_FRAME_BYTES, "a frame has %zu bytes",
          um.frame_bytes);
    CHECK(um.frame_va + um.frame_bytes <= STACK_VA && um.frame_va + 8192 > STACK_VA, "a frame lies at %#lx",
          (unsigned long)um.frame_va);
    um.act = ACT_HANDLER;
}

/* It has made its call: its arguments are what sigaction(2) says. */
static void check_handler(const struct hal_trap *trap)
{
    uintptr_t info = HAL_USER_ARG(trap, 1) - um.frame_va, context = HAL_USER_ARG(trap, 2) - um.frame_va;

    CHECK(HAL_TRAP_PC(trap) == um.signal.handler + HAL_SYSCALL_BYTES, "not the handler made the call, but %#lx",
          (unsigned long)HAL_TRAP_PC(trap));
    CHECK(HAL_USER_SP(trap) == um.frame_va, "a handler's stack pointer is %#lx", (unsigned long)HAL_USER_SP(trap));
    CHECK(HAL_USER_ARG(trap, 0) == um.signal.number, "a handler's first argument is wrong");
    CHECK(info <= um.frame_bytes - sizeof um.signal.info && context < um.frame_bytes && context % 8 == 0,
          "a handler's arguments are not in the frame");
    CHECK(memcmp(frame + info, um.signal.info, sizeof um.signal.info) == 0, "the information has changed");
}

/* Some bits of the frame. */
static void damage(void)
{
    for (unsigned i = 0; i <= kit_random() % 8; i++) {
        size_t at = kit_random() % um.frame_bytes / 8 * 8;
        uint64_t word = kit_random() % 2 == 0 ? kit_random() : UINT64_C(1) << kit_random() % 64;

        for (size_t n = 0; n < 8 && at + n < um.frame_bytes; n++)
            frame[at + n] ^= (uint8_t)(word >> 8 * n);
    }
}

/* rt_sigreturn(2). Whatever the frame holds, the machine goes back to user mode with what comes of it. */
static void leave_handler(struct hal_trap *trap)
{
    const struct hal_trap before = *trap;
    struct hal_signal out;

    HAL_USER_SP(trap) += um.frame_va - HAL_SIGNAL_AT(trap); /* as a handler that returns has it */
    struct hal_trap held = *trap;

    CHECK(!hal_signal_pop(trap, um.area, frame, um.frame_bytes / 2 - um.frame_bytes / 4, &out),
          "half a frame is a frame");
    CHECK(memcmp(trap, &held, sizeof held) == 0, "a frame that was refused has changed something");
    if (um.is_damaged)
        damage();
    if (um.area != NULL) {
        uint64_t others[TORTURE_WORDS_MAX];

        fpu_load_random(others);
        hal_fpu_switch(um.area, um.area);
    }
    bool is_frame = hal_signal_pop(trap, um.area, frame, um.frame_bytes, &out);

    if (um.area != NULL)
        hal_fpu_switch(NULL, um.area);
    if (um.is_damaged) {
        um.refused += is_frame ? 0 : 1;
        if (!is_frame)
            *trap = before;
        HAL_TRAP_PC(trap) = code_at(userland_handler);
        HAL_USER_SP(trap) = DATA_VA;
        um.act = ACT_DAMAGE;
        return;
    }
    CHECK(is_frame, "a frame is not taken back");
    CHECK(out.mask == um.signal.mask && out.stack == um.signal.stack && out.stack_flags == um.signal.stack_flags &&
          out.stack_bytes == um.signal.stack_bytes, "mask or stack have changed");
    if (um.area != NULL) {
        uint64_t got[TORTURE_WORDS_MAX];

        torture_fpu_dump(got, um.fpu_words);
        for (uint64_t i = 0; i < um.fpu_words; i++)
            CHECK(got[i] == um.want[i], "word %u of: %s", (unsigned)i, torture_fpu_names);
    }
    um.act = ACT_SIGNAL;
}

/* A call of the program, or of its handler. */
static bool on_signal_call(struct hal_trap *trap)
{
    if (um.act == ACT_HANDLER) {
        check_handler(trap);
        return true;
    }
    check_trap(trap, "trap_syscall()");
    if (um.act == ACT_SIGNAL && has_stored())
        check_stored("a handler", true);
    if (um.left == 0)
        over();
    um.left--;
    if (um.act == ACT_DAMAGE)
        return true;
    if (has_stored()) {
        new_words();
        HAL_TRAP_PC(trap) = code_at(userland_call);
        return false;
    }
    check_call_words(trap);
    um.result = HAL_USER_RESULT(trap) = kit_random();
    return true;
}

/* A damaged frame has done what it could, to the program alone: from the start, with registers as new. */
static void begin_anew(struct hal_trap *trap)
{
    new_words();
    hal_user_init(trap, code_at(userland_call), DATA_VA);
    um.act = ACT_SIGNAL;
}

static void on_signal_work(struct hal_trap *trap)
{
    if (um.act == ACT_DAMAGE)
        begin_anew(trap);
    else if (um.act == ACT_HANDLER)
        leave_handler(trap);
    else
        enter_handler(trap);
}

/* ---- Upcalls ---- */

/* What the kit does about a call. True: it wants all registers. */
static bool on_call(struct hal_trap *trap)
{
    check_trap(trap, "trap_syscall()");
    if (um.act == ACT_STORED) {
        check_stored("an interrupt", false);
        if (um.left-- == 0)
            over();
        new_words();
        um.act = ACT_CALLS;
        HAL_TRAP_PC(trap) = code_at(userland_spin);
        um.act = ACT_SPIN;
        hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(kit_random() % SPIN_NS));
        return true;
    }
    CHECK(um.act == ACT_CALLS, "a system call that nobody made");
    if (has_stored() && !um.was_restarted)
        check_stored("a system call", true);
    if (um.was_restarted) {
        um.was_restarted = false;
        check_call_words(trap);
        um.result = HAL_USER_RESULT(trap) = kit_random();
        return false;
    }
    if (um.left-- == 0)
        over();
    if (has_stored()) { /* it has loaded the words that were there before: let it come again */
        new_words();
        HAL_TRAP_PC(trap) = code_at(userland_call);
        return um.left % 2 == 0;
    }
    check_call_words(trap);
    CHECK(hal_user_call(trap, NULL, UINT32_MAX) == -ENOSYS, "hal_user_call() knows a number that nobody has");
    if (um.left % 5 == 0) { /* the call is made anew */
        uintptr_t number = HAL_USER_NUMBER(trap), arg = HAL_USER_ARG(trap, 0);

        um.was_restarted = true;
        HAL_USER_RESULT(trap) = kit_random();
        HAL_USER_NUMBER(trap) = number;
        HAL_USER_ARG(trap, 0) = arg;
        HAL_TRAP_PC(trap) -= HAL_SYSCALL_BYTES;
        return false;
    }
    um.result = HAL_USER_RESULT(trap) = kit_random();
    return um.left % 2 == 0;
}

int64_t trap_syscall(struct hal_trap *trap)
{
    um.wants_all = um.act <= ACT_DAMAGE ? on_signal_call(trap) : on_call(trap);
    um.call_result = (int64_t)kit_random();
    return um.call_result;
}

unsigned trap_syscall_end(struct hal_trap *trap, int64_t result)
{
    (void)trap;
    CHECK(result == um.call_result, "trap_syscall_end() is not given what trap_syscall() returned");
    return um.wants_all ? 7 : 0;
}

void trap_user_work(struct hal_trap *trap, unsigned what)
{
    CHECK(what == 7, "trap_user_work() is given %u, not what trap_syscall_end() returned", what);
    if (um.act <= ACT_DAMAGE)
        on_signal_work(trap);
    else
        check_trap(trap, "trap_user_work()");
}

void trap_user_fault(struct hal_trap *trap, const struct fault_info *fault)
{
    check_trap(trap, "trap_user_fault()");
    if (um.act == ACT_DAMAGE) { /* such as a step: its flag is a program's to set */
        begin_anew(trap);
        return;
    }
    if (um.act == ACT_DENY) {
        CHECK(fault->kind == FAULT_ILLEGAL || fault->kind == FAULT_OTHER,
              "a privileged instruction is a fault of kind %d", (int)fault->kind);
        CHECK(HAL_TRAP_PC(trap) == code_at(userland_deny), "a privileged instruction faults elsewhere");
        over();
    }
    CHECK(um.act == ACT_READ, "the program faults: %s at %#lx, address %#lx", fault->name,
          (unsigned long)HAL_TRAP_PC(trap), (unsigned long)fault->address);
    CHECK(fault->kind == FAULT_PAGE && fault->address == um.read, "a read of %#lx is %s of kind %d at %#lx",
          (unsigned long)um.read, fault->name, (int)fault->kind, (unsigned long)fault->address);
    CHECK(!fault->is_write && !fault->is_exec && !fault->is_user_access, "a read is reported as something else");
    HAL_TRAP_PC(trap) = code_at(userland_deny);
    um.act = ACT_DENY;
}

/* After an interrupt the program spins; leave it there for a while. */
void trap_user_exit(struct hal_trap *trap)
{
    if (um.act <= ACT_DAMAGE) /* a timer that the other level left, or that fault */
        return;
    check_trap(trap, "trap_user_exit()");
    if (um.act != ACT_SPIN)
        return;
    CHECK(HAL_TRAP_PC(trap) >= code_at(userland_spin) && HAL_TRAP_PC(trap) < code_at(userland_store),
          "an interrupt finds the program at %#lx", (unsigned long)HAL_TRAP_PC(trap));
    if (HAL_TRAP_PC(trap) + 8 < code_at(userland_store)) { /* not all is loaded */
        hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(SPIN_NS));
        return;
    }
    HAL_TRAP_PC(trap) = code_at(userland_store);
    um.act = ACT_STORED;
}

static void program(void *arg)
{
    struct hal_trap *trap = (struct hal_trap *)(um.task.stack_base + um.task.stack_bytes) - 1;

    hal_user_init(trap, code_at(arg), DATA_VA);
    CHECK(HAL_USER_ARG(trap, 1) == 0, "hal_user_init() leaves something in a register");
    hal_user_enter(trap);
}

static void play(struct kit_cpu *self, enum act act, const char *at, unsigned left)
{
    um.act = act;
    um.left = left;
    um.was_restarted = false;
    um.caller = hal_current();
    um.task.cpu = self;
    new_words();
    if (act == ACT_READ)
        um.words[userland_words.address] = um.read;
    hal_context_init(&um.task.context, um.task.stack_base + um.task.stack_bytes / 2, um.task.stack_bytes / 2, program,
                     (void *)(uintptr_t)at);
    hal_context_switch(um.caller, &um.task);
}

static void activate(void)
{
    unsigned asid = kit_boot->asid_count - 1;

    if (asid != 0)
        hal_tlb_flush_local(asid, 0, HAL_TLB_ALL_PAGES);
    hal_mmu_activate(um.root, asid);
}

static void signals_on(struct kit_cpu *self, void *unused)
{
    (void)unused;
    activate();
    if (um.area != NULL) {
        hal_fpu_switch(NULL, um.area);
        um.fpu_words = torture_fpu_words();
    }
    um.is_damaged = false;
    play(self, ACT_SIGNAL, userland_call, SIGNALS);
    um.is_damaged = true;
    play(self, ACT_SIGNAL, userland_call, DAMAGES);
    if (um.area != NULL) {
        hal_fpu_init(um.area);
        hal_fpu_switch(um.area, NULL);
    }
    hal_mmu_activate(HAL_PT_SHARED_ROOT ? kit_root() : 0, 0);
}

static void run_on(struct kit_cpu *self, void *unused)
{
    const vaddr_t forbidden[] = { HOLE_VA, (vaddr_t)um.words, (vaddr_t)&um };

    (void)unused;
    activate();
    play(self, ACT_CALLS, userland_call, CALLS);
    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(SPIN_NS));
    play(self, ACT_SPIN, userland_spin, SPINS);
    hal_timer_arm(TIME_NEVER);
    for (unsigned i = 0; i < ARRAY_COUNT(forbidden); i++) {
        um.read = forbidden[i];
        play(self, ACT_READ, userland_read, 0);
    }
    hal_mmu_activate(HAL_PT_SHARED_ROOT ? kit_root() : 0, 0);
}

const char *level_usermode(void)
{
    if (!kit_executes_ram)
        return "this machine executes nothing out of its RAM";
    um.root = kit_page_alloc();
    um.code = kit_page_alloc();
    um.data = kit_page_alloc();
    if (HAL_PT_SHARED_ROOT)
        memcpy(kit_direct(um.root), kit_direct(kit_root()), PAGE_BYTES);
    memcpy(kit_direct(um.code), userland_begin, (size_t)(userland_end - userland_begin));
    hal_icache_sync(um.code, PAGE_BYTES);
    kit_map(um.root, CODE_VA, um.code, PAGE_BYTES, PROT_USER | PROT_EXEC);
    kit_map(um.root, DATA_VA, um.data, PAGE_BYTES, PROT_USER | PROT_WRITE);
    um.words = kit_direct(um.data);
    um.task.stack_base = kit_stack_alloc();
    um.task.stack_bytes = KIT_STACK_BYTES;
    for (cpu_id_t id = 0; id < kit_boot->cpu_count; id++)
        kit_cpus_run(id, run_on, NULL);
    return NULL;
}

const char *level_signals(void)
{
    if (!kit_executes_ram)
        return "this machine executes nothing out of its RAM";
    if (HAL_FPU_BYTES != 0) {
        um.area = kit_pages_alloc(HAL_FPU_BYTES);
        hal_fpu_init(um.area);
    }
    for (cpu_id_t id = 0; id < kit_boot->cpu_count; id++)
        kit_cpus_run(id, signals_on, NULL);
    CHECK(um.refused > 0, "no frame was damaged enough to be refused");
    return NULL;
}
