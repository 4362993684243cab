/* SPDX-License-Identifier: MIT */
/*
 * CPUs come up one after the other, each with its own idle task as its first context. The boot CPU waits in the idle
 * instruction with a timer, not in a spin: where virtual CPUs share a real one, a spinning waiter keeps the CPU that it
 * waits for from running.
 */
#include <hal/irq.h>
#include <hal/mmu.h>
#include <k/assert.h>
#include <k/errno.h>
#include <k/log.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/cpu.h>
#include <mm/kspace.h>
#include <mm/kstack.h>
#include <mm/phys.h>
#include <mm/stats.h>
#include <sched/hotplug.h>
#include <sched/latency.h>
#include <sched/sched.h>
#include <sched/stop.h>
#include <smp/call.h>
#include <smp/quiesce.h>
#include <smp/topology.h>
#include <time/clock.h>
#include <time/timer.h>

#include "boot_priv.h"

/* Zeroed pages for a CPU's own structures. */
static void *cpu_alloc(size_t bytes, cpu_id_t id)
{
    unsigned order = 0;

    while ((PAGE_BYTES << order) < bytes)
        order++;
    paddr_t block = phys_alloc_zeroed(order);

    if (block == 0)
        panic("out of memory at boot: need %zu KiB for CPU %u", bytes >> 10, id);
    return phys_to_virt(block);
}

struct cpu *bringup_prepare_cpu(cpu_id_t id, uint64_t hw_id, void (*entry)(void *arg))
{
    size_t runq_bytes = ROUND_UP(sched_cpu_bytes(), (size_t)CACHE_LINE_BYTES);
    size_t task_bytes = ROUND_UP(sizeof(struct task), (size_t)CACHE_LINE_BYTES);
    size_t timer_bytes = ROUND_UP(sizeof(struct timer_queue), (size_t)CACHE_LINE_BYTES);
    size_t latency_bytes = ROUND_UP(sizeof(struct latency_ledger), (size_t)CACHE_LINE_BYTES);
    char *memory = cpu_alloc(runq_bytes + task_bytes + timer_bytes + latency_bytes + mm_cpu_bytes(), id);
    struct task *idle = (struct task *)(memory + runq_bytes);
    struct timer_queue *timers = (struct timer_queue *)(memory + runq_bytes + task_bytes);
    char name[TASK_NAME_BYTES];
    struct kstack stack;

    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0)
        panic("out of memory at boot: no stack for CPU %u", id);
    (void)fmt_print(name, sizeof name, "idle/%u", id);
    const struct task_params params = {
        .name = name,
        .entry = entry,
        .stack_base = stack.base,
        .stack_bytes = stack.bytes,
        .priority = PRIORITY_IDLE,
    };

    task_init(idle, &params);
    struct cpu *cpu = sched_cpu_init(memory, id, hw_id, idle);

    timer_queue_init(timers, cpu);
    cpu->timers = timers;
    cpu->latency = (struct latency_ledger *)(memory + runq_bytes + task_bytes + timer_bytes);
    latency_init(cpu->latency);
    mm_cpu_init(cpu, memory + runq_bytes + task_bytes + timer_bytes + latency_bytes);
    cpu->hal_area = HAL_CPU_AREA_BYTES != 0 ? cpu_alloc(HAL_CPU_AREA_BYTES, id) : NULL;
    /* The first context of a CPU is not a scheduled task's: it enters `entry` itself. */
    hal_context_init(&idle->base.context, stack.base + stack.bytes, stack.bytes, entry, cpu);
    return cpu;
}

void bringup_prepare_stopper(struct cpu *cpu)
{
    struct task *stopper = cpu_alloc(sizeof *stopper, cpu->id);
    char name[TASK_NAME_BYTES];
    struct cpumask mask;
    struct kstack stack;

    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0)
        panic("out of memory at boot: no stack for the stopper of CPU %u", cpu->id);
    (void)fmt_print(name, sizeof name, "stop/%u", cpu->id);
    cpumask_set_single(&mask, cpu->id);
    const struct task_params params = {
        .name = name,
        .entry = stop_main,
        .stack_base = stack.base,
        .stack_bytes = stack.bytes,
        .priority = PRIORITY_REALTIME_HIGH,
        .affinity = &mask,
    };

    task_init(stopper, &params);
    stop_set_task(cpu->id, stopper);
    if (task_start(stopper) != 0)
        panic("CPU %u is online and takes no stopper", cpu->id);
}

void bringup_build_topology(const struct boot_info *boot, unsigned count)
{
    char words[64];

    topology_init(cpu_alloc(topology_bytes(count), 0), boot, count);
    for (cpu_id_t id = 0; id < count; id++)
        mm_cpu_set_node(cpu_table[id], cpu_table[id]->node);
    topology_describe(words, sizeof words);
    log_info("smp: %s", words);
    for (unsigned node = 0; topology_nodes() > 1 && node < topology_nodes(); node++) {
        char distances[256] = "";
        size_t used = 0;
        unsigned cpus = cpumask_count(topology_node_cpus(node));

        for (unsigned to = 0; to < topology_nodes() && used < sizeof distances; to++)
            used += (size_t)fmt_print(distances + used, sizeof distances - used, " %u", topology_distance(node, to));
        log_info("smp: node %u: %u CPU%s, distances%s", node, cpus, cpus == 1 ? "" : "s", distances);
    }
    for (unsigned node = 0; mm_node_count() > 1 && node < mm_node_count(); node++) {
        struct mm_node_stats stats;

        mm_node_stats_get(node, &stats);
        log_info("memory: node %u: %llu KiB in care", node, (unsigned long long)(stats.total * (PAGE_BYTES >> 10)));
    }
}

/* What a CPU was in the middle of when it parked is over; what the machine keeps of it begins anew. Requests that were
 * made while it was off are nobody's: nothing waits for them. */
static void forget_last_life(struct cpu *cpu)
{
    (void)xchg_relaxed(&cpu->ipi_pending, 0);
    store_relaxed(&cpu->need_resched, 0);
    if (HAL_CPU_AREA_BYTES != 0)
        memset(cpu->hal_area, 0, HAL_CPU_AREA_BYTES);
}

static _Atomic(bool) bringup_done; /* PAIRS(bringup_done) */

/* On the CPU's idle task's stack, interrupts disabled. */
void bringup_secondary_main(void *arg)
{
    struct cpu *cpu = arg;
    enum cpu_state expected = CPU_STARTING;

    forget_last_life(cpu);
    hal_cpu_init(cpu->id, cpu->idle_task, cpu->hal_area);
    sched_cpu_online(cpu);
    /* PAIRS(cpu_online): either we are counted in, or the boot CPU has given up on us: never both. */
    if (!cas_acq_rel(&cpu->state, &expected, CPU_ONLINE)) {
        quiesce_idle_enter(cpu); /* one that was here before takes part in grace periods, which go on without it */
        hal_cpu_park();
    }
    hal_cpu_poke(0);
    /* PAIRS(bringup_done): the set of online CPUs is complete before anybody but the boot CPU looks at it. */
    while (!load_acquire(&bringup_done) || !cpu_is_in(&cpu_live_mask, cpu->id))
        hal_cpu_idle();
    /* Kernel mappings may have changed before this CPU was among those that are told to flush. PAIRS(cpu_live): whoever
     * did not find it there has changed the tables before this. */
    fence_seq_cst();
    hal_tlb_flush_local(HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES);
    if (!cpu_is_online(cpu->id)) /* it comes back */
        sched_cpu_open(cpu);
    sched_idle_loop();
}

static void wake_up(struct timer *timer)
{
    (void)timer; /* the interrupt itself ends the wait */
}

void bringup_idle_a_moment(void)
{
    struct timer timer;

    timer_init(&timer, wake_up);
    timer_arm(&timer, clock_ns() + CPU_LOOK_NS);
    hal_cpu_idle();
    (void)timer_cancel(&timer);
}

/* Wait until the CPU says ONLINE. Interrupts are disabled. */
static bool wait_online(struct cpu *cpu)
{
    uint64_t deadline = clock_ns() + CPU_ANSWER_NS;
    enum cpu_state expected = CPU_STARTING;

    while (load_acquire(&cpu->state) != CPU_ONLINE) { /* PAIRS(cpu_online) */
        if (clock_ns() >= deadline)
            return !cas_acq_rel(&cpu->state, &expected, CPU_FAILED); /* PAIRS(cpu_online) */
        bringup_idle_a_moment();
    }
    return true;
}

void bringup_count_in(struct cpu *cpu)
{
    smp_call_admit(cpu->id);
    cpu_set_change(&cpu_online_mask, cpu->id, true);
    cpu_set_change(&cpu_started_mask, cpu->id, true);
    (void)fetch_add_acq_rel(&cpu_started_count, 1); /* PAIRS(cpu_online) */
}

static bool start_one(struct cpu *cpu)
{
    store_release(&cpu->state, CPU_STARTING); /* PAIRS(cpu_online) */
    int result = hal_cpu_start(cpu->id, kspace_root(), cpu->idle_task);

    if (result != 0) {
        log_error("CPU %u (hardware id %#llx): the firmware refuses to start it, error %d; left out", cpu->id,
                  (unsigned long long)cpu->hw_id, result);
        store_release(&cpu->state, CPU_FAILED); /* PAIRS(cpu_online) */
        return false;
    }
    if (!wait_online(cpu)) {
        log_error("CPU %u (hardware id %#llx): no answer within %llu ms; left out", cpu->id,
                  (unsigned long long)cpu->hw_id, (unsigned long long)(CPU_ANSWER_NS / NS_PER_MS));
        return false;
    }
    bringup_count_in(cpu);
    return true;
}

void bringup_start_others(const struct boot_info *boot, unsigned count)
{
    uintptr_t state = hal_irq_save();

    for (cpu_id_t id = 1; id < count; id++)
        if (!start_one(cpu_table[id]))
            boot_report.cpus_failed++;
    store_release(&bringup_done, true); /* PAIRS(bringup_done) */
    for (cpu_id_t id = cpumask_next(&cpu_online_mask, 1); id != CPU_NONE; id = cpumask_next(&cpu_online_mask, id + 1))
        hal_cpu_poke(id);
    hal_irq_restore(state);
    boot_report.cpus_online = load_relaxed(&cpu_started_count);
    if (boot->cpu_listed > count)
        log_warn("%u CPUs listed, %u in use", boot->cpu_listed, count);
}
