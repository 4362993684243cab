/* SPDX-License-Identifier: MIT */
/*
 * CPUs that go off and come back, as the scheduler sees it.
 *
 * Anchors. A task's affinity has an online CPU, always. To keep that, each task that may not run on the boot CPU, which
 * stays, is anchored to an online CPU of its affinity: it stands in that CPU's list. To close a CPU means to find other
 * anchors for the tasks in its list, one at a time, and then to take it out of the online set when the list is empty,
 * under the lock. A task that has no other anchor stops it. New tasks and new affinities are anchored under the same
 * lock, so none can slip in between. Deadline tasks have no anchor: their CPU is booked for them (deadline.c), and
 * a CPU is closed only when its books are empty.
 *
 * Lock: anchors.lock (LOCK_ANCHORS, interrupts disabled, inside run-queue locks); it is held for one task at a time.
 */
#include <sched/hotplug.h>

#include <k/errno.h>
#include <smp/quiesce.h>

#include "hotplug_priv.h"

static struct {
    struct spinlock lock;
    const struct runq *closing GUARDED_BY(lock); /* an anchor only where there is no other */
} anchors = { .lock = SPINLOCK_INIT(LOCK_ANCHORS) };

/* ---- Anchors ---- */

static struct runq *find_anchor_locked(const struct cpumask *mask) REQUIRES(anchors.lock)
{
    struct runq *last_resort = NULL;

    for (cpu_id_t word = 0; word < cpu_mask_words; word++) {
        uint64_t bits = mask->word[word] & cpumask_word(&cpu_online_mask, word);

        for (; bits != 0; bits &= bits - 1) {
            struct runq *rq = runq_by_id(word * 64 + (cpu_id_t)__builtin_ctzll(bits));

            if (rq != anchors.closing)
                return rq;
            last_resort = rq;
        }
    }
    return last_resort;
}

/* A deadline task's CPU is kept for it by the books. A stopper is the CPU's own, like its idle task: it sleeps while
 * the CPU is off. */
static bool needs_none(const struct task *task, const struct cpumask *mask)
{
    return (LIKELY(cpumask_contains(mask, CPU_STAYS)) && cpu_is_online(CPU_STAYS)) || task->is_admitted ||
           task->class == &class_stop;
}

/* At once: as a call, a loop over the words, it takes several times as long, under the run queue's lock. */
static inline void take_mask(struct task *task, const struct cpumask *mask)
{
    if (mask != &task->affinity)
        __builtin_memcpy_inline(&task->affinity, mask, sizeof *mask);
}

int anchor_change(struct task *task, const struct cpumask *mask)
{
    int error = 0;

    /* The usual case. Whoever closes a CPU looks only at the affinity of tasks that are in a list. */
    if (needs_none(task, mask) && LIKELY(!task->is_anchored)) {
        take_mask(task, mask);
        return 0;
    }
    uintptr_t state = spin_lock_irqsave(&anchors.lock);
    struct runq *rq = needs_none(task, mask) ? NULL : find_anchor_locked(mask);

    if (rq == NULL && !needs_none(task, mask)) {
        error = -EINVAL;
    } else {
        if (task->is_anchored)
            list_remove(&task->anchor_link);
        task->is_anchored = rq != NULL;
        if (rq != NULL)
            list_push_back(&rq->anchored, &task->anchor_link);
        take_mask(task, mask);
    }
    spin_unlock_irqrestore(&anchors.lock, state);
    return error;
}

void anchor_drop(struct task *task)
{
    uintptr_t state = spin_lock_irqsave(&anchors.lock);

    list_remove(&task->anchor_link);
    task->is_anchored = false;
    spin_unlock_irqrestore(&anchors.lock, state);
}

int task_admit(struct task *task)
{
    ASSERT(task->state == TASK_NEW);
    return LIKELY(anchor_is_needless(task)) ? 0 : anchor_change(task, &task->affinity);
}

void task_dismiss(struct task *task)
{
    ASSERT(task->state == TASK_NEW);
    if (task->is_anchored)
        anchor_drop(task);
}

/* ---- Closing ---- */

/* Moves the first task of the list to another anchor. -EBUSY: there is none; -EAGAIN: there may be more in the list. */
static int reanchor_one_locked(struct runq *rq) REQUIRES(anchors.lock)
{
    if (list_is_empty(&rq->anchored))
        return 0;
    struct task *task = list_first(&rq->anchored, struct task, anchor_link);
    struct runq *other = find_anchor_locked(&task->affinity);

    if (other == rq)
        return -EBUSY;
    list_remove(&task->anchor_link);
    list_push_back(&other->anchored, &task->anchor_link);
    return -EAGAIN;
}

/* 0: nothing is anchored there. With `closes` that is so for good: it is out of the online set. */
static int reanchor_all(struct runq *rq, bool closes)
{
    int result;

    do {
        uintptr_t state = spin_lock_irqsave(&anchors.lock);

        anchors.closing = rq;
        result = reanchor_one_locked(rq);
        if (result == 0 && closes)
            cpu_set_change(&cpu_online_mask, rq->cpu.id, false);
        if (result == -EBUSY || (result == 0 && closes))
            anchors.closing = NULL;
        spin_unlock_irqrestore(&anchors.lock, state);
    } while (result == -EAGAIN);
    return result;
}

static void stop_closing(void)
{
    uintptr_t state = spin_lock_irqsave(&anchors.lock);

    anchors.closing = NULL;
    spin_unlock_irqrestore(&anchors.lock, state);
}

/* Who may object does so before anything has changed: first those that may run nowhere else, then what was promised to
 * deadline tasks. Those have other CPUs after that, and no new ones come; what was anchored meanwhile for want of
 * another CPU may still object. */
int sched_cpu_close(struct cpu *cpu)
{
    struct runq *rq = runq_of(cpu);

    ASSERT(cpu->id != CPU_STAYS);
    int result = reanchor_all(rq, false);

    if (result != 0)
        return result;
    result = deadline_evacuate(cpu->id);
    if (result != 0) {
        stop_closing();
        return result;
    }
    result = reanchor_all(rq, true);
    if (result != 0)
        deadline_admit_again(cpu->id);
    return result;
}

void sched_cpu_open(struct cpu *cpu)
{
    struct runq *rq = runq_of(cpu);

    DEBUG_ASSERT(!hal_irq_is_enabled() && cpu == this_cpu());
    store_relaxed(&rq->idle_since_ticks, hal_clock_ticks()); /* until now no task was its to run */
    cpu_set_change(&cpu_online_mask, cpu->id, true);
    deadline_admit_again(cpu->id);
    resched_cpu(rq); /* what waited elsewhere for want of a CPU waits for this one now */
}

/* ---- Evacuation ---- */

/* One queued task leaves its queue for those that must move. False: there is none. All that are queued are movable, but
 * for the stopper: none may run here alone, and deadline tasks, queued and throttled ones, left before the close. */
static bool misplace_one(struct runq *rq)
{
    uintptr_t state = spin_lock_irqsave(&rq->lock);
    bool found = !list_is_empty(&rq->movable);

    if (found) {
        struct task *task = list_first(&rq->movable, struct task, movable_link);

        runq_dequeue(rq, task);
        runq_misplace(rq, task);
    }
    spin_unlock_irqoff(&rq->lock);
    if (found)
        push_misplaced(rq);
    hal_irq_restore(state);
    return found;
}

/* Else what runs there is asked to leave, and whoever waits in affinity_moved hears of it. The stopper does what it was
 * asked for before the CPU closed, and sleeps; that is heard of as well. */
static bool is_empty(struct runq *rq)
{
    uintptr_t state = spin_lock_irqsave(&rq->lock);
    struct task *running = rq->running;
    struct task *stopper = rq->stop.task;
    bool empty = is_idle_task(rq, running) && load_relaxed(&rq->queued) == 0;

    if (stopper != NULL && (stopper->state == TASK_READY || stopper->state == TASK_RUNNING))
        stopper->is_move_awaited = true;
    if (!is_idle_task(rq, running) && running != stopper) {
        running->is_leaving = true;
        running->is_move_awaited = true;
        resched_cpu(rq);
    }
    spin_unlock_irqoff(&rq->lock);
    hal_irq_restore(state);
    return empty;
}

void sched_cpu_evacuate(struct cpu *cpu)
{
    struct runq *rq = runq_of(cpu);

    ASSERT(context_can_sleep() && !cpu_is_online(cpu->id));
    while (misplace_one(rq))
        ;
    /* If this task runs there itself, the end of is_empty()'s caller's section is where it moves: it is asked to. */
    (void)waitq_wait_until(&affinity_moved, is_empty(rq), TIME_NEVER, WAIT_UNINTERRUPTED);
}

/* ---- Leaving ---- */

/* The next one that stays, round and round. There is one: the boot CPU. */
static struct cpu *successor_of(const struct cpu *cpu)
{
    cpu_id_t id = cpumask_next(&cpu_online_mask, cpu->id + 1);

    return cpu_table[id != CPU_NONE ? id : cpumask_next(&cpu_online_mask, 0)];
}

void hotplug_leave(struct runq *rq)
{
    struct cpu *cpu = &rq->cpu;

    ASSERT(current_task() == cpu->idle_task && cpu->irq_depth == 0);
    ASSERT(load_relaxed(&rq->queued) == 0 && load_relaxed(&cpu->tlb_active) == NULL);
    spin_lock_irqoff(&rq->lock);
    runq_account(rq, hal_clock_ticks());
    rq->left_ticks = rq->running->since_ticks;
    push_forget(rq);
    spin_unlock_irqoff(&rq->lock);
    if (steal_was_offered(rq))
        steal_pass_on(rq);
    agenda_close(rq);
    cputime_stop(rq);
    timer_hand_over(cpu, successor_of(cpu));
    /* What the next life begins with. Requests that came, or come, are for nobody: nothing waits for an answer. */
    cpu->armed_deadline_ticks = TIME_NEVER;
    store_relaxed(&cpu->slice_deadline_ticks, TIME_NEVER);
    /* The last thing that others may wait for: from here on it counts as idle. */
    quiesce_idle_enter(cpu);
    store_release(&cpu->state, CPU_OFFLINE); /* PAIRS(cpu_online): all that it ever stored */
    hal_cpu_park();
}
