/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine, tested by scratch kernels: this program defines the upcalls itself and links no room of core.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hal/boot.h>
#include <hal/clock.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <hal/upcall.h>
#include <host/machine.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/errno.h>

#define SEEDS 200
#define SCRATCH_STACK_BYTES 65536

struct task {
    struct hal_context context;
};

/* Apart from the state that each test clears: a dead task's frames stay poisoned until its stack is used again. */
static ALIGNED(16) char stack[SCRATCH_STACK_BYTES];

static struct {
    struct task task[8];
    void (*on_timer)(void);
    void (*on_ipi)(void);
    void (*on_exit)(void);
    _Atomic(unsigned) timers;
    _Atomic(unsigned) ipis;
    _Atomic(unsigned) flag;
    _Atomic(unsigned) done;
    unsigned plain;
    uint64_t fired_at[8];
    struct fault_info fault;
    paddr_t next_page;
} scratch;

static struct host_result result;

void trap_timer(void)
{
    fetch_add_relaxed(&scratch.timers, 1);
    if (scratch.on_timer != NULL)
        scratch.on_timer();
}

void trap_ipi(void)
{
    fetch_add_relaxed(&scratch.ipis, 1);
    if (scratch.on_ipi != NULL)
        scratch.on_ipi();
}

void trap_exit(struct hal_trap *trap)
{
    assert_true(hal_trap_pc(trap) != 0);
    if (scratch.on_exit != NULL)
        scratch.on_exit();
}

/* Exit code 40 + kind: a fault ends these scratch kernels as a panic ends the real one. */
void trap_fault(struct hal_trap *trap, const struct fault_info *fault)
{
    (void)trap;
    scratch.fault = *fault;
    hal_machine_exit(40 + (int)fault->kind);
}

static int reset(void **state)
{
    (void)state;
    memset(&scratch, 0, sizeof scratch);
    return 0;
}

static struct host_config config_of(unsigned cpus, uint64_t seed)
{
    return (struct host_config){ .cpus = cpus, .seed = seed, .memory_bytes = 4 << 20, .max_steps = 2000000 };
}

static int run(const struct host_config *config)
{
    (void)reset(NULL);
    return host_machine_run(config, &result);
}

static int run_entry(unsigned cpus, uint64_t seed, void (*entry)(struct boot_info *))
{
    struct host_config config = config_of(cpus, seed);

    config.entry = entry;
    return run(&config);
}

static void team_prepare(struct task *tasks[], unsigned count)
{
    (void)reset(NULL);
    for (unsigned i = 0; i < count; i++)
        tasks[i] = &scratch.task[i];
}

static int run_team(const struct host_config *config, void (*body)(cpu_id_t, void *))
{
    struct task *tasks[8];
    struct host_team team = { .tasks = tasks, .body = body };

    team_prepare(tasks, config->cpus);
    return host_team_run(config, &team, &result);
}

static void boot_cpu_start(void)
{
    hal_cpu_init(0, &scratch.task[0], NULL);
}

/* Determinism. */

static void body_count(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 200; i++) {
        uintptr_t state = hal_irq_save();

        fetch_add_relaxed(&scratch.done, 1);
        hal_irq_restore(state);
        if (i % 50 == cpu)
            hal_cpu_poke((cpu + 1) % 4);
    }
}

static void test_same_seed_gives_the_same_trace(void **state)
{
    uint64_t hash[SEEDS];
    unsigned same = 0;

    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(4, seed);

        assert_int_equal(run_team(&config, body_count), 0);
        hash[seed] = result.hash;
        assert_int_equal(run_team(&config, body_count), 0);
        assert_true(hash[seed] == result.hash);
        for (unsigned other = 0; other < seed; other++)
            same += hash[other] == hash[seed];
    }
    assert_int_equal(same, 0);
}

static void test_a_forked_run_gives_the_same_trace(void **state)
{
    struct host_config config = config_of(4, 7);
    struct task *tasks[8];
    struct host_team team = { .tasks = tasks, .body = body_count };
    uint64_t hash;

    (void)state;
    assert_int_equal(run_team(&config, body_count), 0);
    hash = result.hash;
    team_prepare(tasks, 4);
    assert_int_equal(host_team_run_forked(&config, &team, &result), 0);
    assert_true(hash == result.hash);
    assert_int_equal(load_relaxed(&scratch.done), 0); /* the child's counting is not seen here */
}

static void test_strategies_differ(void **state)
{
    struct host_config config = config_of(4, 7);
    uint64_t hash;

    (void)state;
    assert_int_equal(run_team(&config, body_count), 0);
    hash = result.hash;
    config.strategy = HOST_ROUND_ROBIN;
    assert_int_equal(run_team(&config, body_count), 0);
    assert_true(hash != result.hash);
}

/* Interleaving: a lost update must be found by some seed, and an atomic one by none. */

static void body_lost_update(cpu_id_t cpu, void *arg)
{
    (void)cpu;
    (void)arg;
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = load_relaxed(&scratch.flag);

        store_relaxed(&scratch.flag, value + 1);
        fetch_add_relaxed(&scratch.done, 1);
    }
}

static void test_some_seed_finds_a_lost_update(void **state)
{
    unsigned lost = 0;

    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        assert_int_equal(run_team(&config, body_lost_update), 0);
        assert_int_equal(load_relaxed(&scratch.done), 8);
        lost += load_relaxed(&scratch.flag) != 8;
    }
    assert_in_range(lost, SEEDS / 10, SEEDS);
}

/* A CPU that spins on relax lets the others work, whoever is chosen. */

static void body_relax(cpu_id_t cpu, void *arg)
{
    (void)arg;
    while (load_acquire(&scratch.flag) != cpu)
        hal_cpu_relax();
    store_release(&scratch.flag, cpu + 1);
}

static void test_relax_lets_the_others_run(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(8, seed);

        config.strategy = seed % 2 == 0 ? HOST_UNIFORM : HOST_ROUND_ROBIN;
        config.max_steps = 20000;
        assert_int_equal(run_team(&config, body_relax), 0);
        assert_int_equal(load_relaxed(&scratch.flag), 8);
    }
}

/* A lone CPU that waits for the clock gets there in few steps. */
static void entry_relax_until_deadline(struct boot_info *boot)
{
    boot_cpu_start();
    while (hal_clock_ticks() < boot->clock_hz)
        hal_cpu_relax();
    hal_machine_exit(0);
}

static void test_waiting_for_time_alone_is_quick(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_relax_until_deadline), 0);
    assert_true(result.virtual_ns >= NS_PER_SEC);
}

/* Interrupts. */

static void entry_disabled(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    hal_cpu_poke(0);
    hal_timer_arm(hal_clock_ticks());
    for (unsigned i = 0; i < 2000; i++)
        hal_point();
    if (load_relaxed(&scratch.ipis) + load_relaxed(&scratch.timers) != 0)
        hal_machine_exit(1);
    hal_irq_enable();
    if (load_relaxed(&scratch.ipis) != 1 || load_relaxed(&scratch.timers) != 1)
        hal_machine_exit(2);
    if (!hal_irq_is_enabled())
        hal_machine_exit(3);
    hal_machine_exit(0);
}

static void test_no_interrupt_while_disabled(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_entry(1, seed, entry_disabled), 0);
}

static void note_time(void)
{
    scratch.fired_at[load_relaxed(&scratch.timers) - 1] = hal_clock_ticks();
}

static void entry_timer(struct boot_info *boot)
{
    uint64_t start = hal_clock_ticks();

    (void)boot;
    boot_cpu_start();
    scratch.on_timer = note_time;
    hal_timer_arm(start + 5000); /* replaced before it comes */
    hal_timer_arm(start + 1000);
    hal_cpu_idle();
    hal_timer_arm(start + 3000);
    hal_cpu_idle();
    hal_timer_arm(start); /* past: at once */
    hal_cpu_idle();
    for (unsigned i = 0; i < 3; i++)
        if (scratch.fired_at[i] < start + (i == 0 ? 1000 : 3000) || scratch.fired_at[i] > start + (i == 0 ? 1100 : 3100))
            hal_machine_exit(1 + (int)i);
    if (load_relaxed(&scratch.timers) != 3)
        hal_machine_exit(4);
    hal_timer_arm(hal_clock_ticks() + 1000);
    hal_timer_arm(TIME_NEVER);
    hal_cpu_idle(); /* nothing will come: a deadlock, reported */
    hal_machine_exit(5);
}

static void test_the_timer_fires_at_its_last_deadline(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        (void)run_entry(1, seed, entry_timer);
        assert_int_equal(result.end, HOST_END_DEADLOCK);
        assert_int_equal(load_relaxed(&scratch.timers), 3);
    }
}

static void body_timer_order(cpu_id_t cpu, void *arg)
{
    (void)arg;
    hal_timer_arm(10000 + 100 * (uint64_t)(7 - cpu));
    hal_cpu_idle();
    scratch.fired_at[cpu] = fetch_add_relaxed(&scratch.done, 1);
}

static void test_timers_of_several_cpus_fire_in_time_order(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(8, seed);

        /* 100 ticks are 1 us: more than the few steps between an interrupt and the count. */
        assert_int_equal(run_team(&config, body_timer_order), 0);
        for (cpu_id_t cpu = 0; cpu < 8; cpu++)
            assert_int_equal(scratch.fired_at[cpu], 7 - cpu);
    }
}

static void body_coalesce(cpu_id_t cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        for (unsigned i = 0; i < 5; i++)
            hal_cpu_poke(1);
        store_release(&scratch.flag, 1);
        return;
    }
    while (load_acquire(&scratch.flag) == 0)
        hal_cpu_relax();
    hal_cpu_idle();
    store_relaxed(&scratch.done, load_relaxed(&scratch.ipis));
}

static void test_pokes_coalesce_while_pending(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        assert_int_equal(run_team(&config, body_coalesce), 0);
        assert_int_equal(load_relaxed(&scratch.done), 1);
    }
}

/* The sender stores, then pokes; the receiver checks, then idles: no seed may lose the wake-up. */
static void body_idle(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned round = 1; round <= 20; round++) {
        if (cpu == 0) {
            store_release(&scratch.flag, round);
            hal_cpu_poke(1);
            while (load_acquire(&scratch.done) != round)
                hal_cpu_relax();
        } else {
            while (load_acquire(&scratch.flag) != round) {
                hal_cpu_idle();
                assert_false(hal_irq_is_enabled());
            }
            store_release(&scratch.done, round);
        }
    }
}

static void test_idle_misses_no_poke(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 5 * SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        config.ipi_delay_ns_max = 1 + (seed % 5) * 500;
        assert_int_equal(run_team(&config, body_idle), 0);
    }
}

/* Contexts. */

static void task_other(void *arg)
{
    struct task *main_task = arg;

    assert_ptr_equal(hal_current(), &scratch.task[1]);
    assert_false(hal_irq_is_enabled());
    for (;;) {
        scratch.plain++;
        hal_context_switch(&scratch.task[1], main_task);
    }
}

static void context_of(struct task *task, void (*entry)(void *), void *arg)
{
    hal_context_init(&task->context, (vaddr_t)stack + sizeof stack, sizeof stack, entry, arg);
}

static void entry_switch(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    context_of(&scratch.task[1], task_other, &scratch.task[0]);
    for (unsigned i = 0; i < 1000; i++)
        hal_context_switch(&scratch.task[0], &scratch.task[1]);
    hal_machine_exit(scratch.plain == 1000 && hal_current() == &scratch.task[0] ? 0 : 1);
}

static void test_tasks_switch_to_and_fro(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 3, entry_switch), 0);
}

/* Preemption: the interrupt's way out switches, and the interrupted task finds its interrupts enabled again. */
static void preempt(void)
{
    struct task *self = hal_current();

    hal_context_switch(self, self == &scratch.task[0] ? &scratch.task[1] : &scratch.task[0]);
}

static void rearm(void)
{
    hal_timer_arm(hal_clock_ticks() + 50);
}

static void task_hog(void *arg)
{
    (void)arg;
    hal_irq_enable();
    for (;;) {
        fetch_add_relaxed(&scratch.done, 1);
        assert_true(hal_irq_is_enabled());
    }
}

static void entry_preempt(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    scratch.on_timer = rearm;
    scratch.on_exit = preempt;
    context_of(&scratch.task[1], task_hog, NULL);
    rearm();
    hal_irq_enable();
    while (load_relaxed(&scratch.timers) < 100)
        fetch_add_relaxed(&scratch.flag, 1);
    hal_machine_exit(0);
}

static void test_a_timer_preempts(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 3, entry_preempt), 0);
    assert_true(load_relaxed(&scratch.done) > 100);
    assert_true(load_relaxed(&scratch.flag) > 100);
}

static void entry_resume_running(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    scratch.task[1].context.running_on = 2;
    hal_context_switch(&scratch.task[0], &scratch.task[1]);
}

static void entry_idle_enabled(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    hal_irq_enable();
    hal_cpu_idle();
}

static void test_a_broken_contract_ends_the_run(void **state)
{
    (void)state;
    assert_true(run_entry(2, 1, entry_resume_running) != 0);
    assert_int_equal(result.end, HOST_END_CONTRACT);
    assert_non_null(strstr(result.report, "still runs"));
    assert_true(run_entry(1, 1, entry_idle_enabled) != 0);
    assert_int_equal(result.end, HOST_END_CONTRACT);
}

static void entry_spin(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    for (;;)
        hal_point();
}

static void test_a_hang_is_reported(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    config.entry = entry_spin;
    config.max_steps = 1000;
    assert_true(run(&config) != 0);
    assert_int_equal(result.end, HOST_END_STEPS);
    assert_int_equal(result.steps, 1000);
    assert_non_null(strstr(result.report, "atomic"));
}

static void entry_say(struct boot_info *boot)
{
    int c;

    boot_cpu_start();
    while ((c = hal_console_get()) >= 0)
        hal_console_put((char)c);
    for (const char *s = boot->cmdline; *s != '\0'; s++)
        hal_console_put(*s);
    hal_machine_exit(7);
}

static void test_the_console_is_captured_and_the_code_returned(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    config.entry = entry_say;
    config.console_input = "typed ";
    config.cmdline = "init=none";
    assert_int_equal(run(&config), 7);
    assert_string_equal(result.console, "typed init=none");
}

static void entry_silent(struct boot_info *boot)
{
    struct task *task = &scratch.task[1];

    boot_cpu_start();
    assert_int_equal(boot->cpu_count, 3);
    assert_int_equal(hal_cpu_start(3, 0, task), -EINVAL);
    context_of(task, task_hog, NULL);
    assert_int_equal(hal_cpu_start(1, 0, task), 0);
    for (unsigned i = 0; i < 1000; i++)
        hal_cpu_relax();
    assert_int_equal(load_relaxed(&scratch.done), 0);
    assert_int_equal(hal_cpu_start(1, 0, task), -EINVAL);
    hal_machine_exit(0);
}

static void test_a_silent_cpu_never_answers(void **state)
{
    struct host_config config = config_of(3, 1);
    struct cpumask silent;

    (void)state;
    cpumask_set_single(&silent, 1);
    config.entry = entry_silent;
    config.silent_cpus = &silent;
    assert_int_equal(run(&config), 0);
}

/* Floating point. */

static void entry_fpu(struct boot_info *boot)
{
    ALIGNED(HAL_FPU_ALIGN) char a[128];
    ALIGNED(HAL_FPU_ALIGN) char b[128];

    (void)boot;
    boot_cpu_start();
    assert_true(hal_fpu_bytes() <= sizeof a);
    hal_fpu_init(a);
    hal_fpu_init(b);
    hal_fpu_switch(NULL, a);
    host_fpu_use(3, 33);
    hal_fpu_switch(a, b);
    assert_int_equal(host_fpu_peek(3), 0);
    hal_fpu_switch(b, a);
    assert_int_equal(host_fpu_peek(3), 33);
    hal_fpu_switch(a, NULL);
    host_fpu_use(0, 1);
    hal_machine_exit(0);
}

static void test_floating_point_belongs_to_who_loaded_it(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_fpu), 40 + FAULT_FPU_OFF);
}

/* Memory and translation. */

static uint64_t *table_at(paddr_t pa)
{
    return (uint64_t *)(HAL_DIRECT_MAP_BASE + pa);
}

static paddr_t page_take(void)
{
    scratch.next_page += PAGE_BYTES;
    return scratch.next_page - PAGE_BYTES;
}

static uint64_t *pte_of(paddr_t root, vaddr_t va)
{
    paddr_t table = root;

    for (unsigned level = hal_pt_levels() - 1; level > 0; level--) {
        uint64_t *pte = &table_at(table)[va >> (PAGE_SHIFT + level * HAL_PT_INDEX_BITS) & 511];

        if (!hal_pte_is_valid(*pte))
            *pte = hal_pte_table(page_take());
        table = hal_pte_paddr(*pte);
    }
    return &table_at(table)[va >> PAGE_SHIFT & 511];
}

static paddr_t memory_start(struct boot_info *boot)
{
    paddr_t root;

    boot_cpu_start();
    /* The middle of the low range: no firmware and no image there. */
    scratch.next_page = ROUND_UP(boot->memory[1].base + boot->memory[1].bytes / 2, PAGE_BYTES);
    root = page_take();
    hal_mmu_activate_kernel(root);
    return root;
}

static void entry_kmap(struct boot_info *boot)
{
    paddr_t root = memory_start(boot);
    paddr_t first = page_take();
    paddr_t second = page_take();
    volatile uint64_t *va = (volatile uint64_t *)(HAL_KMAP_BASE + 7 * PAGE_BYTES);
    uint64_t *pte = pte_of(root, (vaddr_t)va);

    *pte = hal_pte_leaf(first, PROT_WRITE, 0);
    *va = 11;
    assert_int_equal(*table_at(first), 11);
    *table_at(second) = 22;
    *pte = hal_pte_leaf(second, PROT_READ_ONLY, 0);
    assert_int_equal(*va, 11); /* the TLB still has the old entry */
    hal_tlb_flush_local((vaddr_t)va, 1);
    assert_int_equal(*va, 22);
    *va = 33; /* a page fault */
    hal_machine_exit(0);
}

static void test_kmap_follows_the_tables_after_a_flush(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_kmap), 40 + FAULT_PAGE);
    assert_true(scratch.fault.address == HAL_KMAP_BASE + 7 * PAGE_BYTES);
    assert_true(scratch.fault.is_write);
}

/* Not optimised: the recursion must stay one, and use its frames. */
__attribute__((optnone)) NOINLINE static unsigned sink_deep(unsigned depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    return depth == 0 ? (unsigned)frame[0] : sink_deep(depth - 1) + (unsigned)frame[0];
}

static void task_in_kmap(void *arg)
{
    unsigned depth = *(unsigned *)arg;

    scratch.plain = sink_deep(depth);
    hal_machine_exit(0);
}

static unsigned kmap_depth;

static void entry_kmap_stack(struct boot_info *boot)
{
    paddr_t root = memory_start(boot);
    vaddr_t base = HAL_KMAP_BASE + 16 * PAGE_BYTES;
    struct task *task = &scratch.task[1];

    for (unsigned i = 0; i < 8; i++)
        *pte_of(root, base + i * PAGE_BYTES) = hal_pte_leaf(page_take(), PROT_WRITE, 0);
    hal_context_init(&task->context, base + 8 * PAGE_BYTES, 8 * PAGE_BYTES, task_in_kmap, &kmap_depth);
    hal_context_switch(&scratch.task[0], task);
}

static void test_a_stack_in_kmap_works_and_its_overflow_is_named(void **state)
{
    (void)state;
    kmap_depth = 10;
    assert_int_equal(run_entry(1, 1, entry_kmap_stack), 0);
    kmap_depth = 1000;
    assert_int_equal(run_entry(1, 1, entry_kmap_stack), 40 + FAULT_STACK_OVERFLOW);
}

static void entry_wild(struct boot_info *boot)
{
    (void)memory_start(boot);
    *(volatile uint64_t *)(HAL_DIRECT_MAP_BASE + boot->memory[1].base + boot->memory[1].bytes) = 1; /* the hole */
    hal_machine_exit(0);
}

static void test_the_hole_in_ram_is_not_mapped(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_wild), 40 + FAULT_PAGE);
}

static void test_page_table_entries_keep_what_they_are_given(void **state)
{
    static const unsigned prots[] = { PROT_READ_ONLY, PROT_WRITE, PROT_EXEC | PROT_GLOBAL, PROT_USER | PROT_WRITE,
                                      PROT_DEVICE | PROT_WRITE | PROT_GLOBAL };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(prots); i++)
        for (unsigned level = 0; level <= hal_pt_leaf_level_max(); level++) {
            uint64_t pte = hal_pte_leaf(0x80200000, prots[i], level);

            assert_true(hal_pte_is_valid(pte) && hal_pte_is_leaf(pte, level));
            assert_true(hal_pte_paddr(pte) == 0x80200000);
            assert_int_equal(hal_pte_prot(pte), prots[i]);
        }
    assert_false(hal_pte_is_valid(0));
    assert_true(hal_pte_is_valid(hal_pte_table(0x1000)));
    assert_false(hal_pte_is_leaf(hal_pte_table(0x1000), 1));
}

/* Unit mode. */

static void end_with_5(void *arg)
{
    scratch.plain++;
    *table_at(host_boot_info()->memory[0].base) = 99;
    if (arg != NULL)
        hal_machine_exit(5);
}

static void end_idle(void *arg)
{
    (void)arg;
    hal_cpu_idle();
}

static void test_unit_mode_catches_the_end_of_the_machine(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    (void)reset(NULL);
    host_unit_setup(&config);
    host_unit_enter(&scratch.task[0]);
    assert_ptr_equal(hal_current(), &scratch.task[0]);
    assert_false(host_unit_returns(end_with_5, &scratch, &result));
    assert_int_equal(result.code, 5);
    assert_true(host_unit_returns(end_with_5, NULL, &result));
    assert_false(host_unit_returns(end_idle, NULL, &result));
    assert_int_equal(result.end, HOST_END_DEADLOCK);

    *table_at(host_boot_info()->memory[0].base) = 1;
    scratch.plain = 0;
    assert_false(host_unit_returns_forked(end_with_5, &scratch, &result));
    assert_int_equal(result.code, 5);
    assert_int_equal(scratch.plain, 0);
    assert_int_equal(*table_at(host_boot_info()->memory[0].base), 1);
    host_unit_teardown();
}

static void die(void *arg)
{
    (void)arg;
    _Exit(3);
}

static void test_a_crash_of_a_forked_run_is_a_result(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    host_unit_setup(&config);
    host_unit_enter(&scratch.task[0]);
    assert_false(host_unit_returns_forked(die, NULL, &result));
    assert_int_equal(result.end, HOST_END_CRASH);
    assert_int_equal(result.code, 3);
    host_unit_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_gives_the_same_trace),
        cmocka_unit_test(test_a_forked_run_gives_the_same_trace),
        cmocka_unit_test(test_strategies_differ),
        cmocka_unit_test(test_some_seed_finds_a_lost_update),
        cmocka_unit_test(test_relax_lets_the_others_run),
        cmocka_unit_test(test_waiting_for_time_alone_is_quick),
        cmocka_unit_test(test_no_interrupt_while_disabled),
        cmocka_unit_test(test_the_timer_fires_at_its_last_deadline),
        cmocka_unit_test(test_timers_of_several_cpus_fire_in_time_order),
        cmocka_unit_test(test_pokes_coalesce_while_pending),
        cmocka_unit_test(test_idle_misses_no_poke),
        cmocka_unit_test(test_tasks_switch_to_and_fro),
        cmocka_unit_test(test_a_timer_preempts),
        cmocka_unit_test(test_a_broken_contract_ends_the_run),
        cmocka_unit_test(test_a_hang_is_reported),
        cmocka_unit_test(test_the_console_is_captured_and_the_code_returned),
        cmocka_unit_test(test_a_silent_cpu_never_answers),
        cmocka_unit_test(test_floating_point_belongs_to_who_loaded_it),
        cmocka_unit_test(test_kmap_follows_the_tables_after_a_flush),
        cmocka_unit_test(test_a_stack_in_kmap_works_and_its_overflow_is_named),
        cmocka_unit_test(test_the_hole_in_ram_is_not_mapped),
        cmocka_unit_test(test_page_table_entries_keep_what_they_are_given),
        cmocka_unit_test(test_unit_mode_catches_the_end_of_the_machine),
        cmocka_unit_test(test_a_crash_of_a_forked_run_is_a_result),
    };

    return cmocka_run_group_tests_name("host machine", tests, reset, NULL);
}
