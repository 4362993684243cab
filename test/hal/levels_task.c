/* SPDX-License-Identifier: MIT */
/* Levels about one CPU and what runs on it: contexts, interrupt state, faults, floating point, mappings. CPU 0. */
#include "levels.h"

#include <lib/string.h>

#include "torture.h"

#define SWITCHES 10000u
#define PATTERN_ROUNDS 1000u
#define GUARD_BYTES 64u
#define GUARD_BYTE 0xa5
#define REMAP_ROUNDS 100u
#define USER_VA ((vaddr_t)0x400000)

/* ---- context ---- */

/* Before there are tables: stacks in the image, between bytes that nobody may touch. */
static struct {
    ALIGNED(HAL_STACK_ALIGN) uint8_t below[GUARD_BYTES];
    uint8_t stack[KIT_STACK_BYTES];
    uint8_t above[GUARD_BYTES];
} ground;

static struct {
    struct task task;
    void *arg;
    struct task *current;
    bool was_irq_enabled;
    uintptr_t frame;
    unsigned records;
    bool has_end;
    unsigned runs;
} other;

static void switch_back(void)
{
    hal_context_switch(&other.task, &kit_boot_task);
}

static void other_main(void *arg)
{
    other.arg = arg;
    other.current = hal_current();
    other.was_irq_enabled = hal_irq_is_enabled();
    other.frame = (uintptr_t)__builtin_frame_address(0);
    other.records = kit_records_count(other.frame, (uintptr_t)ground.stack,
                                      (uintptr_t)ground.stack + sizeof ground.stack, &other.has_end);
    for (;;) {
        other.runs++;
        switch_back();
    }
}

static void check_guards(void)
{
    for (unsigned i = 0; i < GUARD_BYTES; i++)
        CHECK(ground.below[i] == GUARD_BYTE && ground.above[i] == GUARD_BYTE, "a task wrote outside its stack");
}

static void other_init(void (*entry)(void *), void *arg)
{
    memset(&ground, GUARD_BYTE, sizeof ground);
    other.task.cpu = &kit_boot_cpu;
    other.task.stack_base = (uintptr_t)ground.stack;
    other.task.stack_bytes = sizeof ground.stack;
    hal_context_init(&other.task.context, (uintptr_t)ground.stack + sizeof ground.stack, sizeof ground.stack, entry,
                     arg);
    check_guards();
}

static void check_first_run(void)
{
    other_init(other_main, &other.runs);
    hal_context_switch(&kit_boot_task, &other.task);
    CHECK(other.arg == &other.runs, "entry() got another argument than hal_context_init()");
    CHECK(other.current == &other.task, "hal_current() is wrong in a new task");
    CHECK(!other.was_irq_enabled, "a new task begins with interrupts enabled");
    CHECK(other.frame % HAL_STACK_ALIGN == 0, "entry()'s frame at %#lx: the stack was not aligned as after a call",
          (unsigned long)other.frame);
    /* A frame pointer may be the first address above the stack. */
    CHECK(other.frame - (uintptr_t)ground.stack <= sizeof ground.stack,
          "entry() does not run on the stack it was given");
    CHECK(other.records >= 1 && other.has_end, "a backtrace of a new task does not end: %u records", other.records);
    CHECK(hal_current() == &kit_boot_task, "hal_current() is wrong after switching back");
    CHECK(!hal_irq_is_enabled(), "hal_context_switch() enabled interrupts");
    check_guards();
}

/* torture_general_yield() calls this with its registers full. */
void task_yield(void);
void task_yield(void)
{
    struct task *self = hal_current();

    hal_context_switch(self, self == &kit_boot_task ? &other.task : &kit_boot_task);
}

static void patterns_once(void)
{
    uint64_t want[TORTURE_WORDS_MAX];
    uint64_t got[TORTURE_WORDS_MAX] = { 0 };

    for (uint64_t i = 0; i < torture_isa.general_words; i++)
        want[i] = kit_random();
    torture_general_yield(want, got);
    for (uint64_t i = 0; i < torture_isa.general_words; i++)
        CHECK((torture_isa.general_preserved >> i & 1) == 0 || want[i] == got[i],
              "hal_context_switch() lost register %u of: %s", (unsigned)i, torture_general_names);
}

static void patterns_main(void *arg)
{
    (void)arg;
    for (;;)
        patterns_once();
}

const char *level_context(void)
{
    check_first_run();
    for (unsigned i = other.runs; i < SWITCHES; i++) {
        hal_context_switch(&kit_boot_task, &other.task);
        CHECK(other.runs == i + 1, "a switch went elsewhere");
    }
    check_first_run(); /* a context may be made anew */
    other_init(patterns_main, NULL);
    for (unsigned i = 0; i < PATTERN_ROUNDS; i++)
        patterns_once();
    check_guards();
    return NULL;
}

/* ---- irq ---- */

const char *level_irq(void)
{
    struct kit_cpu *self = kit_self();

    CHECK(!hal_irq_is_enabled(), "interrupts are enabled");
    uintptr_t outer = hal_irq_save();

    CHECK(!hal_irq_is_enabled(), "hal_irq_save() enabled interrupts");
    hal_irq_restore(outer);
    CHECK(!hal_irq_is_enabled(), "hal_irq_restore() enabled what was disabled");
    hal_irq_enable();
    CHECK(hal_irq_is_enabled(), "hal_irq_enable() did nothing");
    outer = hal_irq_save();
    CHECK(!hal_irq_is_enabled(), "hal_irq_save() did not disable");
    uintptr_t inner = hal_irq_save();

    hal_irq_restore(inner);
    CHECK(!hal_irq_is_enabled(), "the inner hal_irq_restore() enabled interrupts");
    hal_irq_restore(outer);
    CHECK(hal_irq_is_enabled(), "the outer hal_irq_restore() did not enable interrupts");
    hal_irq_disable();
    CHECK(!hal_irq_is_enabled(), "hal_irq_disable() did nothing");
    hal_irq_restore(outer);
    CHECK(hal_irq_is_enabled(), "a state cannot be restored from disabled");
    for (unsigned i = 0; i < 10000; i++)
        hal_cpu_relax();
    CHECK(self->timers == 0, "hal_cpu_init() left the timer armed");
    CHECK(self->ipis == 0, "a poke from nobody");
    hal_irq_disable();
    return NULL;
}

/* ---- traps ---- */

static void run_breakpoint(void *arg)
{
    (void)arg;
    __builtin_debugtrap();
}

static void run_illegal(void *arg)
{
    (void)arg;
    __builtin_trap();
}

static void check_execution(uintptr_t address, const char *what)
{
    struct kit_fault fault;
    bool has_faulted = kit_catch(kit_probe_call, (void *)address, &fault);

    kit_check_page_fault(&fault, has_faulted, address, what);
    CHECK(fault.info.is_exec && !fault.info.is_write, "%s is not reported as an execution", what);
    CHECK(fault.pc == address, "%s: the pc is %#lx", what, (unsigned long)fault.pc);
    CHECK(fault.records >= 2 && fault.has_end, "%s: the backtrace has %u records and %s end", what, fault.records,
          fault.has_end ? "an" : "no");
}

static void check_write(uintptr_t address, const char *what)
{
    struct kit_fault fault;
    bool has_faulted = kit_catch(kit_probe_store, (void *)address, &fault);

    kit_check_page_fault(&fault, has_faulted, address, what);
    CHECK(fault.info.is_write && !fault.info.is_exec, "%s is not reported as a write", what);
}

static void check_load(uintptr_t address, const char *what)
{
    struct kit_fault fault;
    bool has_faulted = kit_catch(kit_probe_load, (void *)address, &fault);

    kit_check_page_fault(&fault, has_faulted, address, what);
    CHECK(!fault.info.is_write && !fault.info.is_exec, "%s is not reported as a read", what);
    CHECK(fault.records >= 1 && fault.has_end, "%s: the backtrace has %u records and %s end", what, fault.records,
          fault.has_end ? "an" : "no"); /* one: the code that faults is a leaf */
    CHECK(fault.dump_lines > 0, "hal_trap_dump() printed nothing");
}

static const uint64_t constant = 1;
static uint64_t variable[4];

const char *level_traps(void)
{
    uintptr_t hole = kit_va_reserve(1) + 0x128;
    struct kit_fault fault;

    check_load(hole, "a load from an unmapped page");
    check_write(hole, "a store to an unmapped page");
    check_execution(hole, "a jump to an unmapped page");
    check_load(sizeof(uint64_t), "a load through a null pointer");
    check_write((uintptr_t)&constant, "a store to a constant");
    check_write((uintptr_t)kit_probe_load, "a store to code");
    check_execution((uintptr_t)variable, "a jump to data");
    CHECK(kit_catch(run_breakpoint, NULL, &fault), "a breakpoint instruction did nothing");
    CHECK(fault.info.kind == FAULT_BREAKPOINT, "a breakpoint is a fault of kind %d (%s)", (int)fault.info.kind,
          fault.info.name);
    CHECK(kit_catch(run_illegal, NULL, &fault), "an undefined instruction did nothing");
    CHECK(fault.info.kind == FAULT_ILLEGAL || fault.info.kind == FAULT_BREAKPOINT,
          "an undefined instruction is a fault of kind %d (%s)", (int)fault.info.kind, fault.info.name);
    for (unsigned i = 0; i < 3; i++) /* the emergency stack is there again each time */
        kit_check_cpu_faults(kit_self());
    return NULL;
}

/* ---- fpu ---- */

static void check_fpu_off(const char *when)
{
    struct kit_fault fault;

    CHECK(kit_catch(kit_probe_fpu, NULL, &fault), "floating point does not trap %s", when);
    CHECK(fault.info.kind == FAULT_FPU_OFF, "floating point %s is a fault of kind %d (%s)", when, (int)fault.info.kind,
          fault.info.name);
}

static void fpu_pattern(uint64_t *want, uint64_t words, bool is_clean)
{
    for (uint64_t i = 0; i < words; i++)
        want[i] = is_clean ? 0 : kit_random();
    for (unsigned i = 0; i < 2; i++)
        want[i] = (want[i] & torture_isa.fpu_control[i].mask) | torture_isa.fpu_control[i].base;
}

static void check_fpu(const uint64_t *want, uint64_t words, const char *what)
{
    uint64_t got[TORTURE_WORDS_MAX];

    torture_fpu_dump(got, words);
    for (uint64_t i = 0; i < words; i++)
        CHECK(got[i] == want[i], "%s: word %u of: %s", what, (unsigned)i, torture_fpu_names);
}

/* A machine that leaves state in the unit for later must know when it is no longer that of the area. */
static void check_changed_area(void *a, void *b, const uint64_t *clean, const uint64_t *held, uint64_t words)
{
    hal_fpu_switch(NULL, a);
    torture_fpu_load(held, words);
    hal_fpu_switch(a, NULL);
    hal_fpu_switch(NULL, a);
    hal_fpu_switch(a, a); /* in this turn nobody has used the unit */
    memcpy(b, a, HAL_FPU_BYTES);
    hal_fpu_init(a);
    hal_fpu_switch(NULL, a);
    check_fpu(clean, words, "an area that was changed shows what it held before");
    hal_fpu_switch(a, b);
    check_fpu(held, words, "a copy of an area does not hold what that did");
    hal_fpu_switch(b, NULL);
    check_fpu_off("after a copy");
}

const char *level_fpu(void)
{
    uint64_t want[3][TORTURE_WORDS_MAX];
    size_t bytes = HAL_FPU_BYTES;

    hal_fpu_switch(NULL, NULL);
    check_fpu_off("after hal_cpu_init()");
    if (bytes == 0)
        return "this machine has no such state";
    uint64_t words = torture_fpu_words();
    void *a = kit_pages_alloc(bytes); /* page aligned: more than HAL_FPU_ALIGN */
    void *b = kit_pages_alloc(bytes);

    CHECK(words <= TORTURE_WORDS_MAX && PAGE_BYTES % HAL_FPU_ALIGN == 0, "this kit is too small for the machine");
    fpu_pattern(want[0], words, true);
    fpu_pattern(want[1], words, false);
    fpu_pattern(want[2], words, false);
    memset(a, 0xff, bytes);
    memset(b, 0xff, bytes);
    hal_fpu_init(a);
    hal_fpu_init(b);
    hal_fpu_switch(NULL, a);
    check_fpu(want[0], words, "a new area does not hold what a new program sees");
    torture_fpu_load(want[1], words);
    hal_fpu_switch(a, b);
    check_fpu(want[0], words, "a new area shows what another one's owner left");
    torture_fpu_load(want[2], words);
    hal_fpu_switch(b, a);
    check_fpu(want[1], words, "an area that was saved and loaded has changed");
    hal_fpu_switch(a, NULL);
    check_fpu_off("after hal_fpu_switch() to nobody");
    hal_fpu_switch(NULL, b);
    check_fpu(want[2], words, "an area that was saved long ago has changed");
    hal_fpu_switch(b, a);
    hal_fpu_switch(a, b); /* nobody touched it in between */
    check_fpu(want[2], words, "an area that was loaded and saved untouched has changed");
    torture_fpu_load(want[1], words);
    hal_fpu_switch(b, b);
    check_fpu(want[1], words, "a unit whose area was brought up to date has changed");
    hal_fpu_switch(NULL, a);
    hal_fpu_switch(NULL, b);
    check_fpu(want[1], words, "an area that was brought up to date does not hold what the unit does");
    hal_fpu_switch(b, NULL);
    check_fpu_off("after the last owner");
    check_changed_area(a, b, want[0], want[2], words);
    return NULL;
}

/* ---- mmu ---- */

static paddr_t marked_page(uint64_t mark)
{
    paddr_t page = kit_page_alloc();

    for (unsigned i = 0; i < PAGE_BYTES / sizeof mark; i++)
        ((volatile uint64_t *)kit_direct(page))[i] = mark;
    return page;
}

static uint64_t load(vaddr_t va)
{
    return *(const volatile uint64_t *)va;
}

static void check_rights(vaddr_t va, paddr_t page)
{
    kit_map(kit_root(), va, page, PAGE_BYTES, PROT_READ_ONLY | PROT_GLOBAL);
    uint64_t mark = load(va);

    check_write(va, "a store to a read-only page");
    CHECK(load(va) == mark, "a store to a read-only page was done");
    check_execution(va, "a jump to a read-only page");
    kit_unmap(kit_root(), va, PAGE_BYTES);
    kit_map(kit_root(), va, page, PAGE_BYTES, PROT_WRITE | PROT_GLOBAL);
    *(volatile uint64_t *)va = mark + 1;
    CHECK(*(volatile uint64_t *)kit_direct(page) == mark + 1, "a store did not reach the page");
    *(volatile uint64_t *)va = mark;
    check_execution(va, "a jump to a writable page");
    kit_unmap(kit_root(), va, PAGE_BYTES);
}

static void check_large_leaf(unsigned level)
{
    size_t bytes = PAGE_BYTES << (HAL_PT_INDEX_BITS * level);
    paddr_t block = kit_memory_block(bytes);

    if (block == 0)
        return;
    vaddr_t va = ROUND_UP(kit_va_reserve(2 * bytes / PAGE_BYTES), bytes);

    kit_map(kit_root(), va, block, bytes, PROT_READ_ONLY | PROT_GLOBAL);
    for (unsigned i = 0; i < 64; i++) {
        size_t at = kit_random() % bytes & ~(sizeof(uint64_t) - 1);

        CHECK(load(va + at) == *(volatile uint64_t *)kit_direct(block + at), "a leaf of level %u is wrong at %#zx",
              level, at);
    }
    check_write(va + bytes / 2, "a store to a large read-only leaf");
}

/* Without ids a space is forgotten when another one is taken into use; with them nothing is. */
static unsigned asid_of_space(unsigned space)
{
    return kit_boot->asid_count > 2 ? space + 1 : 0;
}

static void check_spaces(paddr_t a, paddr_t b)
{
    paddr_t nobody = HAL_PT_SHARED_ROOT ? kit_root() : 0;
    paddr_t roots[2] = { kit_user_root(USER_VA, a), kit_user_root(USER_VA, b) };
    uint64_t value = 0;

    for (unsigned i = 0; i < REMAP_ROUNDS; i++) {
        uint64_t want = *(volatile uint64_t *)kit_direct(i % 2 == 0 ? a : b);

        hal_mmu_activate(roots[i % 2], asid_of_space(i % 2));
        CHECK(kit_user_load(USER_VA, &value), "the active space's page faults");
        CHECK(value == want, "the active space shows another one's page");
    }
    CHECK(!kit_user_load(USER_VA + PAGE_BYTES, &value), "a page that the active space does not map can be read");
    kit_unmap(roots[(REMAP_ROUNDS - 1) % 2], USER_VA, PAGE_BYTES);
    CHECK(!kit_user_load(USER_VA, &value), "a page can be read after it was unmapped and flushed");
    hal_mmu_activate(roots[0], asid_of_space(0));
    CHECK(kit_user_load(USER_VA, &value), "a space's page faults after another one's was unmapped");
    hal_mmu_activate(nobody, 0);
    CHECK(!kit_user_load(USER_VA, &value), "a page of no active space can be read");
}

const char *level_mmu(void)
{
    vaddr_t va = kit_va_reserve(1);
    paddr_t pages[2] = { marked_page(0xaaaa), marked_page(0xbbbb) };

    for (unsigned i = 0; i < REMAP_ROUNDS; i++) {
        kit_map(kit_root(), va, pages[i % 2], PAGE_BYTES, PROT_WRITE | PROT_GLOBAL);
        CHECK(load(va) == (i % 2 == 0 ? 0xaaaa : 0xbbbb), "a page that was mapped after a flush is not seen");
        CHECK(load(va + PAGE_BYTES - sizeof(uint64_t)) == (i % 2 == 0 ? 0xaaaa : 0xbbbb),
              "the page's end is another's");
        kit_unmap(kit_root(), va, PAGE_BYTES);
    }
    check_load(va, "a load from a page that was unmapped and flushed");
    check_write(va, "a store to a page that was unmapped and flushed");
    check_rights(va, pages[0]);
    for (unsigned level = 1; level <= HAL_PT_LEAF_LEVEL_MAX; level++)
        check_large_leaf(level);
    check_spaces(pages[0], pages[1]);
    return NULL;
}
