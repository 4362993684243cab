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
    rb_init(&rq->fair.tree);
    list_init(&rq->idle_tasks);
    list_init(&rq->movable);
    list_init(&rq->misplaced);
    rq->running = idle;
    store_relaxed(&rq->running_rank, RANK_NOTHING);

    rq->cpu.id = id;
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

/* Is there another CPU for the task at all? */
static bool is_movable(const struct task *task)
{
    return !task->is_pinned && load_relaxed(&cpu_online_count) > 1;
}

void runq_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    DEBUG_ASSERT(task->state == TASK_READY && load_relaxed(&task->base.cpu) == &rq->cpu);
    DEBUG_ASSERT(cpumask_contains(&task->affinity, rq->cpu.id));
    if (LIKELY(task->policy == SCHED_POLICY_FIFO))
        class_rt_enqueue_fifo(rq, task, kind);
    else
        task->class->enqueue(rq, task, kind);
    store_relaxed(&rq->queued, load_relaxed(&rq->queued) + 1);
    if (is_movable(task)) {
        list_push_back(&rq->movable, &task->movable_link);
        store_relaxed(&rq->movable_count, load_relaxed(&rq->movable_count) + 1);
    }
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
    task->class->dequeue(rq, task);
    runq_uncount(rq, task);
}

void runq_misplace(struct runq *rq, struct task *task)
{
    ASSERT(task->state == TASK_READY && !task->is_misplaced);
    task->is_misplaced = true;
    list_push_back(&rq->misplaced, &task->queue_link);
    store_relaxed(&rq->queued, load_relaxed(&rq->queued) + 1);
}

struct task *runq_pick_by_table(struct runq *rq)
{
    /* The lowest bit set: a table, because not every CPU counts zeros in one instruction. */
    static const uint8_t first_class[1u << CLASS_COUNT] = { 0, 0, 1, 0, 2, 0, 1, 0 };

    return sched_classes[first_class[rq->ready_classes]]->pick(rq);
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

/* Does `queued` change what this CPU should run, or when it must decide again? */
static ALWAYS_INLINE void notice_here(struct runq *rq, struct task *queued) REQUIRES(rq->lock)
{
    struct task *running = rq->running;
    uint32_t running_rank = load_relaxed(&rq->running_rank);

    if (queued->rank < running_rank) {
        resched_cpu(rq);
        return;
    }
    if (queued->rank > running_rank || running->policy == SCHED_POLICY_FIFO)
        return;
    if (running->class->preempts != NULL) {
        runq_account(rq, hal_clock_ticks());
        if (running->class->preempts(rq, queued, running)) {
            resched_cpu(rq);
            return;
        }
    }
    /* The running task may have had the CPU for itself and no timer; now somebody waits for the end of its slice. */
    if (load_relaxed(&rq->cpu.slice_deadline_ticks) != TIME_NEVER)
        return;
    if (&rq->cpu == this_cpu())
        runq_arm_slice(rq, running, hal_clock_ticks());
    else
        resched_cpu(rq); /* only a CPU itself can program its timer */
}

void runq_notice_slow(struct runq *rq, struct task *queued)
{
    uint32_t movable = load_relaxed(&rq->movable_count);

    notice_here(rq, queued);
    /* Whoever does not run now waits, be it the new task or the one it preempts: an idle CPU may want it. An idle CPU
     * itself takes the first one. */
    if (UNLIKELY(movable != 0) && movable > (load_relaxed(&rq->running_rank) == RANK_NOTHING))
        balance_offer(rq);
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

static uint32_t count_list(const struct list_node *head)
{
    uint32_t count = 0;

    list_for_each(node, head)
        count++;
    return count;
}

void runq_check(struct runq *rq)
{
    uint32_t counted[CLASS_COUNT] = { 0 };
    uint32_t all = count_list(&rq->misplaced);
    int in_tree = rb_check(&rq->fair.tree);
    unsigned filled = 0;

    for (unsigned i = 0; i < RT_LEVELS; i++) {
        uint32_t here = count_list(&rq->rt.level[i]);

        ASSERT((rq->rt.bitmap[i / 64] >> (i % 64) & 1) == (here != 0));
        counted[CLASS_RT] += here;
        filled += here != 0;
    }
    ASSERT(rq->rt.filled == filled);
    ASSERT(in_tree >= 0);
    counted[CLASS_FAIR] = (uint32_t)in_tree;
    counted[CLASS_IDLE] = count_list(&rq->idle_tasks);
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        ASSERT((counted[i] != 0) == (rq->ready_classes >> i & 1));
        all += counted[i];
    }
    ASSERT(all == load_relaxed(&rq->queued));
    ASSERT(count_list(&rq->movable) == load_relaxed(&rq->movable_count));
}
