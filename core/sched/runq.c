/* SPDX-License-Identifier: MIT */
/*
 * A CPU's queues and counts, and the order in which two run-queue locks are taken. Everything here is under rq->lock.
 */
#include "sched_priv.h"

size_t sched_cpu_bytes(void)
{
    return sizeof(struct runq);
}

struct cpu *sched_cpu_init(void *memory, cpu_id_t id, uint64_t hw_id, struct task *idle)
{
    struct runq *rq = memory;

    ASSERT(id < CPU_MAX && cpu_table[id] == NULL);
    spin_init(&rq->lock, LOCK_RUNQ);
    for (unsigned i = 0; i < RT_LEVELS; i++)
        list_init(&rq->rt.level[i]);
    rq->rt.first = RT_LEVELS;
    list_init(&rq->fair.lane);
    rb_init(&rq->fair.tree);
    list_init(&rq->fair.unsorted);
    rb_init(&rq->deadline.ready);
    rb_init(&rq->deadline.throttled);
    admit_init_runq(rq);
    agenda_init(rq);
    list_init(&rq->idle_tasks);
    list_init(&rq->movable);
    list_init(&rq->misplaced);
    stop_init_cpu(rq);
    list_init(&rq->active.link);
    rq->place_from = rq->balance_from = id;
    cpu_mask_words = MAX(cpu_mask_words, id / 64 + 1);
    list_init(&rq->anchored);
    rq->running = idle;
    store_relaxed(&rq->running_rank, RANK_NOTHING);
    store_relaxed(&rq->next_rank, RANK_NOTHING);
    rq->quiet_from = RANK_UNKNOWN;

    rq->cpu.id = id;
    cputime_init_runq(rq);
    rq->cpu.hw_id = hw_id;
    rq->cpu.idle_task = idle;
    store_relaxed(&rq->cpu.slice_deadline_ticks, TIME_NEVER);
    rq->cpu.armed_deadline_ticks = TIME_NEVER;
    store_relaxed(&idle->base.cpu, &rq->cpu); /* before the state: a task that runs names the CPU that it runs on */
    task_set_state(idle, TASK_NEW, TASK_RUNNING);
    cpumask_set_single(&idle->affinity, id);
    cpu_table[id] = &rq->cpu;
    task_note_pinned(idle);
    return &rq->cpu;
}

/* Not a fair task, or real-time tasks are about. */
static NOINLINE void enqueue_and_look(struct runq *rq, struct task *task, enum enqueue_kind kind) REQUIRES(rq->lock)
{
    task->class->enqueue(rq, task, kind);
    if (load_relaxed(&rq->running_rank) < RANK_FAIR || (rq->ready_classes & 1u << CLASS_RT) != 0)
        rt_limit_look(rq);
}

/* A switch from one fair task to the next is measured: what it passes through here and in runq_pick_by_table() ends in
 * a jump to the class, and so needs no frame. */
NOINLINE void runq_enqueue_by_table(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    if (UNLIKELY(task->rank != RANK_FAIR || load_relaxed(&rq->running_rank) < RANK_FAIR ||
                 (rq->ready_classes & 1u << CLASS_RT) != 0))
        enqueue_and_look(rq, task, kind);
    else
        class_fair_enqueue(rq, task, kind);
}

void runq_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    runq_enqueue_inline(rq, task, kind);
}

void runq_dequeue(struct runq *rq, struct task *task)
{
    ASSERT(task->state == TASK_READY && load_relaxed(&task->base.cpu) == &rq->cpu);
    if (task->is_misplaced) {
        list_remove(&task->queue_link);
        task->is_misplaced = false;
        store_relaxed(&rq->queued, load_relaxed(&rq->queued) - 1);
        return;
    }
    bool is_counted = !task->is_throttled;

    task->class->dequeue(rq, task);
    if (is_counted)
        runq_uncount(rq, task);
}

void runq_misplace(struct runq *rq, struct task *task)
{
    ASSERT(task->state == TASK_READY && !task->is_misplaced);
    task->is_misplaced = true;
    list_push_back(&rq->misplaced, &task->queue_link);
    store_relaxed(&rq->queued, load_relaxed(&rq->queued) + 1);
}

NOINLINE struct task *runq_pick_by_table(struct runq *rq)
{
    /* The lowest bit set: a table, because not every CPU counts zeros in one instruction. */
#define FIRST(n) (uint8_t)__builtin_ctz((n) | 1u << CLASS_COUNT)
#define FIRST_4(n) FIRST(n), FIRST((n) + 1), FIRST((n) + 2), FIRST((n) + 3)
#define FIRST_16(n) FIRST_4(n), FIRST_4((n) + 4), FIRST_4((n) + 8), FIRST_4((n) + 12)
#define FIRST_64(n) FIRST_16(n), FIRST_16((n) + 16), FIRST_16((n) + 32), FIRST_16((n) + 48)
    static const uint8_t first_class[] = { FIRST_64(0), FIRST_64(64), FIRST_64(128), FIRST_64(192) };
    _Static_assert(sizeof first_class >= 1u << CLASS_COUNT, "one for each set of classes");

    store_relaxed(&rq->next_rank, RANK_NOTHING); /* the end of a slice asks for nobody in particular */
    if (UNLIKELY(push_is_wanted()) && push_may_pull(rq))
        rq->after_switch |= AFTER_PULL;
    if (LIKELY((rq->ready_classes & ((2u << CLASS_FAIR) - 1)) == 1u << CLASS_FAIR))
        return class_fair_pick(rq);
    return sched_classes[first_class[rq->ready_classes]]->pick(rq);
}

void runq_move(struct runq *from, struct runq *to, struct task *task)
{
    runq_dequeue(from, task);
    if (to != from) {
        task_change_cpu(task, from, to);
        task->stats.migrations++;
        to->stats.migrations_in++;
    }
    runq_enqueue(to, task, ENQUEUE_MOVED);
}

void runq_account(struct runq *rq, uint64_t now_ticks)
{
    struct task *task = rq->running;

    if (LIKELY(!is_idle_task(rq, task))) {
        runq_charge(rq, task, now_ticks);
        return;
    }
    rq->stats.idle_ticks += elapsed_ticks(task->since_ticks, now_ticks);
    task->since_ticks = now_ticks;
}

/* Is `queued` more urgent than what this CPU runs? Then it switches soon. */
static ALWAYS_INLINE bool notice_urgent(struct runq *rq, const struct task *queued) REQUIRES(rq->lock)
{
    if (queued->rank >= load_relaxed(&rq->running_rank))
        return false;
    /* Until the CPU has switched, nobody else takes it for one that runs something less urgent. */
    if (load_relaxed(&rq->cpu.need_resched) != RESCHED_ASKED || queued->rank < load_relaxed(&rq->next_rank))
        store_relaxed(&rq->next_rank, queued->rank);
    resched_cpu(rq);
    return true;
}

/* Does `queued` change what this CPU should run, or when it must decide again? */
static ALWAYS_INLINE void notice_here(struct runq *rq, struct task *queued) REQUIRES(rq->lock)
{
    struct task *running = rq->running;

    if (notice_urgent(rq, queued))
        return;
    if (queued->rank > load_relaxed(&rq->running_rank) || running->policy == SCHED_POLICY_FIFO)
        return;
    if (running->class->preempts != NULL) {
        runq_account(rq, hal_clock_ticks());
        if (running->class->preempts(rq, queued, running)) {
            resched_cpu(rq);
            return;
        }
    }
    /* The running task may have had the CPU for itself and no timer; now somebody waits for the end of its slice. */
    if (load_relaxed(&rq->cpu.slice_deadline_ticks) != TIME_NEVER && !rq->is_slice_shorter)
        return;
    rq->is_slice_shorter = false;
    if (&rq->cpu == this_cpu())
        runq_arm_slice(rq, running, hal_clock_ticks());
    else
        resched_cpu(rq); /* only a CPU itself can program its timer */
}

/* A task that may move waits, perhaps behind one that runs for as long as it likes: its CPU looks after it. A real-time
 * one just queued is a new case: that there was no place for others a moment ago says nothing about it, nor about the
 * one that it displaces. */
static void watch_waiting(struct runq *rq, const struct task *queued) REQUIRES(rq->lock)
{
    uint64_t now = hal_clock_ticks();

    if (queued->rank < RANK_FAIR)
        rq->push_next_ticks = now;
    if (load_relaxed(&rq->running_rank) >= RANK_FAIR ||
        load_relaxed(&rq->cpu.slice_deadline_ticks) <= now + sched_tunables.push_ticks)
        return;
    if (&rq->cpu == this_cpu())
        push_arm(rq, now);
    else
        resched_cpu(rq); /* only a CPU itself can program its timer */
}

/* Whoever does not run now waits, be it the new task or the one it preempts: an idle CPU may want it. An idle CPU
 * itself takes the first one. */
static NOINLINE void offer_waiting(struct runq *rq, struct task *queued) REQUIRES(rq->lock)
{
    if (load_relaxed(&rq->movable_count) > (load_relaxed(&rq->running_rank) == RANK_NOTHING)) {
        rq->due |= DUE_OFFER;
        watch_waiting(rq, queued);
    }
}

void runq_notice_slow(struct runq *rq, struct task *queued)
{
    if (UNLIKELY(queued->is_throttled))
        return; /* it waits for a time, which agenda_want() has been told */
    notice_here(rq, queued);
    if (queued->class == &class_rt)
        rt_limit_look(rq);
    if (UNLIKELY(load_relaxed(&rq->movable_count) != 0))
        offer_waiting(rq, queued);
}

void runq_unlock_notice(struct runq *to, struct task *task)
{
    if (!task->is_throttled)
        (void)notice_urgent(to, task); /* it waits for no second hold, in whose way others may be */
    spin_unlock_irqoff(&to->lock);
    spin_lock_irqoff(&to->lock);
    if (load_relaxed(&task->base.cpu) == &to->cpu && task_is_queued(task))
        runq_notice(to, task);
    runq_unlock(to);
}

NOINLINE void runq_unlock_due(struct runq *rq, uint32_t due)
{
    if (due & DUE_SORT)
        class_fair_sort(rq);
    if (due & DUE_OFFER)
        steal_offer(rq);
}

struct runq *runq_lock_loose(struct task *task)
{
    struct runq *rq = runq_lock_of(task);

    if (LIKELY(!task_is_queued(task) || runq_is_loose(task)))
        return rq;
    runq_loosen(rq, task);
    spin_unlock_irqoff(&rq->lock);
    return runq_lock_of(task);
}

bool runq_lock_second(struct runq *held, struct runq *other)
{
    if (other->cpu.id > held->cpu.id) {
        spin_lock_irqoff(&other->lock);
        return true;
    }
    if (spin_try_lock_irqoff(&other->lock))
        return true;
    spin_unlock_irqoff(&held->lock);
    spin_lock_irqoff(&other->lock);
    spin_lock_irqoff(&held->lock);
    return false;
}

uint32_t runq_visit_list(const struct list_node *head, const struct runq *rq, runq_visit_fn visit)
{
    uint32_t count = 0;

    list_for_each(node, head) {
        if (visit != NULL)
            visit(list_entry(node, struct task, queue_link), rq);
        count++;
    }
    return count;
}

static void check_queues(struct runq *rq, uint32_t queued) REQUIRES(rq->lock)
{
    uint32_t all = runq_visit_list(&rq->misplaced, rq, NULL);

    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        uint32_t counted = i != CLASS_BELOW ? sched_classes[i]->check(rq, NULL) : 0;

        ASSERT(i == CLASS_BELOW || (counted != 0) == (rq->ready_classes >> i & 1));
        all += counted;
    }
    ASSERT(all == queued);
    ASSERT(rb_check(&rq->deadline.throttled) == (int)rq->throttled);
    uint32_t movable = 0;

    list_for_each(node, &rq->movable)
        movable++;
    ASSERT(movable == load_relaxed(&rq->movable_count));
}

void runq_check(struct runq *rq)
{
    check_queues(rq, load_relaxed(&rq->queued));
}

#define CHECKED_PER_SWITCH 16u /* tasks, on average */

void runq_check_switch(struct runq *rq)
{
    uint32_t queued = load_relaxed(&rq->queued);

    rq->unchecked += CHECKED_PER_SWITCH;
    if (rq->unchecked < queued)
        return;
    rq->unchecked = 0;
    check_queues(rq, queued);
}
