/* SPDX-License-Identifier: MIT */
/*
 * CPU hotplug: the order in which the rooms let go of a CPU, and take it back.
 *
 *   off                                                  why then
 *   1 sched: out of the online set, or refused           the last step that can fail is the first
 *   2 a grace period                                     who chose the CPU from the old set has queued its task there
 *   3 sched: move what is there                          and nothing comes after it
 *   4 the lock of the cross-CPU calls                    until the CPU stops it forgets translations when all do, and
 *                                                        nobody asks it afterwards
 *   5 STOPPING; the CPU, in its idle loop: timers go     its own step: nobody else can know that no callback runs
 *     to another CPU, it reports for the last time,
 *     says OFFLINE and parks; out of the live set
 *   6 mm: caches are emptied                             it is nobody's now
 *
 * Lock: hotplug.lock, a mutex, over the whole of either.
 */
#include <boot/hotplug.h>

#include <hal/irq.h>
#include <k/assert.h>
#include <k/errno.h>
#include <k/log.h>
#include <mm/cpu.h>
#include <mm/kspace.h>
#include <proc/task.h>
#include <sched/hotplug.h>
#include <sched/mutex.h>
#include <sched/sched.h>
#include <smp/call.h>
#include <smp/quiesce.h>
#include <time/clock.h>

#include "boot_priv.h"

static struct {
    struct mutex lock;
    struct quiesce_head grace;
    _Atomic(bool) is_grace_over;
    struct waitq looks; /* nobody wakes it: the CPU that we wait for cannot */
} hotplug = {
    .lock = MUTEX_INIT(hotplug.lock),
    .looks = WAITQ_INIT(hotplug.looks),
};

static void grace_over(struct quiesce_head *head)
{
    (void)head;
    store_relaxed(&hotplug.is_grace_over, true);
}

static void wait_grace_period(void)
{
    store_relaxed(&hotplug.is_grace_over, false);
    quiesce_call(&hotplug.grace, grace_over);
    reaper_hurry_pass(); /* one that begins after this, and so ends after a grace period */
    ASSERT(load_relaxed(&hotplug.is_grace_over));
}

static void pause_a_moment(void)
{
    (void)waitq_wait_until(&hotplug.looks, false, clock_ns() + CPU_LOOK_NS, WAIT_UNINTERRUPTED);
}

static enum cpu_state state_of(struct cpu *cpu)
{
    return load_acquire(&cpu->state); /* PAIRS(cpu_online) */
}

static void set_state(struct cpu *cpu, enum cpu_state from, enum cpu_state to)
{
    ASSERT(load_relaxed(&cpu->state) == from);
    store_release(&cpu->state, to); /* PAIRS(cpu_online) */
}

/* One change at a time. */
static int change(cpu_id_t id, int (*how)(struct cpu *cpu))
{
    struct cpu *cpu = id < CPU_MAX ? cpu_table[id] : NULL;

    ASSERT(context_can_sleep());
    if (cpu == NULL)
        return -EINVAL;
    mutex_lock(&hotplug.lock);
    int result = how(cpu);

    mutex_unlock(&hotplug.lock);
    return result;
}

/* ---- Off ---- */

/* With the lock of the calls held, so asleep, not in a spin: see smp_call(). A machine that cannot stop a CPU leaves it
 * asleep for ever with its interrupts off; then no start will succeed either. */
static void see_off(struct cpu *cpu)
{
    uint64_t deadline_ns = clock_ns() + CPU_ANSWER_NS;
    uintptr_t state = hal_irq_save();

    set_state(cpu, CPU_LEAVING, CPU_STOPPING);
    cpu_request(cpu, IPI_LOOK); /* its idle loop looks after each interrupt */
    while (state_of(cpu) != CPU_OFFLINE)
        bringup_idle_a_moment();
    while (hal_cpu_start(cpu->id, kspace_root(), NULL) == -EAGAIN && clock_ns() < deadline_ns)
        bringup_idle_a_moment();
    hal_irq_restore(state);
}

static int take_off(struct cpu *cpu)
{
    if (state_of(cpu) != CPU_ONLINE)
        return -ENODEV;
    int result = cpu->id == 0 ? -EBUSY : sched_cpu_close(cpu);

    if (result != 0)
        return result;
    set_state(cpu, CPU_ONLINE, CPU_LEAVING);
    wait_grace_period();
    sched_cpu_evacuate(cpu);
    smp_call_retire(cpu, see_off);
    mm_cpu_drain(cpu);
    return 0;
}

int cpu_offline(cpu_id_t id)
{
    return change(id, take_off);
}

/* ---- On ---- */

static bool has_come(struct cpu *cpu, uint64_t deadline_ns)
{
    enum cpu_state expected = CPU_STARTING;

    while (state_of(cpu) != CPU_ONLINE) {
        if (clock_ns() >= deadline_ns)
            return !cas_acq_rel(&cpu->state, &expected, CPU_FAILED); /* PAIRS(cpu_online) */
        pause_a_moment();
    }
    return true;
}

static int start_again(struct cpu *cpu)
{
    struct task *idle = cpu->idle_task;
    int result = hal_cpu_start(cpu->id, kspace_root(), NULL);

    if (result == 0) {
        /* The machine has no use for the old context and what lies on the stack: the idle task begins anew there. */
        hal_context_init(&idle->base.context, idle->stack_base + idle->stack_bytes, idle->stack_bytes,
                         bringup_secondary_main, cpu);
        set_state(cpu, CPU_OFFLINE, CPU_STARTING);
        result = hal_cpu_start(cpu->id, kspace_root(), idle);
        if (result != 0)
            set_state(cpu, CPU_STARTING, CPU_OFFLINE);
    }
    if (result != 0)
        return result == -ENODEV ? -ENODEV : -EIO;
    if (has_come(cpu, clock_ns() + CPU_ANSWER_NS))
        return 0;
    log_error("CPU %u: does not come back within %llu ms; left out", cpu->id,
              (unsigned long long)(CPU_ANSWER_NS / NS_PER_MS));
    return -EIO;
}

static int put_on(struct cpu *cpu)
{
    enum cpu_state state = state_of(cpu);

    if (state != CPU_OFFLINE)
        return state == CPU_ONLINE ? -EBUSY : -ENODEV;
    int result = start_again(cpu);

    if (result != 0)
        return result;
    smp_call_admit(cpu->id); /* it waits for this, and then flushes what it missed, and goes online */
    cpu_request(cpu, IPI_LOOK);
    while (!cpu_is_online(cpu->id))
        pause_a_moment();
    /* Who still looks at the set without it must not also see it without one that goes next: that might be all that a
     * task's affinity has. */
    wait_grace_period();
    return 0;
}

int cpu_online(cpu_id_t id)
{
    return change(id, put_on);
}
