/* SPDX-License-Identifier: MIT */
/*
 * Tasks that their own CPU sends away: those that may not run there any more, and those that wait behind a more urgent
 * one while another CPU runs something less urgent than they are.
 *
 * The second is the promise of real-time order over all CPUs: in the steady state no real-time task that may move waits
 * for longer than SCHED_PUSH_NS and one look while a CPU that it may use runs something less urgent. A CPU that
 * switches with such a task waiting looks for a place for it after the switch. If there is none, it says so in a set
 * of CPUs, where those that run out of real-time work look, and looks again itself after SCHED_PUSH_NS, by its
 * slice timer. That is all: CPUs that go from one real-time task to another look at nothing, and pay nothing.
 *
 * A fair task that has waited behind real-time ones for as long moves, too. Each look holds two run-queue locks at
 * most, and looks at a bounded number of tasks and CPUs under them.
 */
#include <time/clock.h>

#include "sched_priv.h"

#define PUSH_SCAN_MAX 12 /* waiting tasks looked at */
#define PUSH_MAX 4       /* tasks moved at a time */
#define PULL_MAX 4       /* CPUs asked for urgent tasks at a time */

static struct {
    _Atomic(uint64_t) mask[CPUMASK_WORDS]; /* CPUs on which a real-time task waits that may move: a hint */
    _Atomic(uint32_t) count;
    _Atomic(uint32_t) news; /* goes on whenever a CPU has looked and found no place for such a task: a hint */
} urgent;

/* The first misplaced task moves to an allowed CPU. True if there was one. */
static bool push_one(struct runq *rq) NO_LOCK_ANALYSIS
{
    spin_lock_irqoff(&rq->lock);
    if (list_is_empty(&rq->misplaced)) {
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
    struct task *task = list_first(&rq->misplaced, struct task, queue_link);
    struct place_wish wish;

    place_wish_of(task, &wish);
    spin_unlock_irqoff(&rq->lock);
    struct runq *target = place_choose_start(&wish);

    if (target == NULL)
        return true; /* its affinity was changed meanwhile: look again */
    spin_lock_irqoff(&rq->lock);
    if (target != rq)
        (void)runq_lock_second(rq, target);
    /* Else somebody has changed it meanwhile: look again. */
    bool moves = task_is_misplaced_on(task, rq) && cpumask_contains(&task->affinity, target->cpu.id);

    if (moves)
        runq_move(rq, target, task);
    if (target != rq)
        spin_unlock_irqoff(&rq->lock);
    if (moves)
        runq_unlock_notice(target, task);
    else
        runq_unlock(target);
    return true;
}

void push_misplaced(struct runq *rq)
{
    while (push_one(rq))
        affinity_notify_moved();
}

/* ---- Urgent tasks ---- */

bool push_is_wanted(void)
{
    return load_relaxed(&urgent.count) != 0;
}

bool push_may_pull(struct runq *rq)
{
    uint32_t news = load_relaxed(&urgent.news);

    if (load_relaxed(&rq->running_rank) >= RANK_FAIR && rq->pull_seen == news)
        return false;
    rq->pull_seen = news;
    return true;
}

/* Say, or say no longer, that a real-time task waits here for a CPU. */
static void list_urgent(struct runq *rq, bool is_waiting) REQUIRES(rq->lock)
{
    uint64_t bit = UINT64_C(1) << (rq->cpu.id % 64);

    if (is_waiting)
        (void)fetch_add_relaxed(&urgent.news, 1);
    if (rq->is_urgent_listed == is_waiting)
        return;
    rq->is_urgent_listed = is_waiting;
    if (is_waiting) {
        (void)fetch_or_relaxed(&urgent.mask[rq->cpu.id / 64], bit);
        (void)fetch_add_relaxed(&urgent.count, 1);
    } else {
        (void)fetch_sub_relaxed(&urgent.count, 1);
        (void)fetch_and_relaxed(&urgent.mask[rq->cpu.id / 64], ~bit);
    }
}

/* Fair tasks are left where they are for a while: what displaced them may be through with its work in an instant. */
static bool is_due(const struct task *task, uint64_t now)
{
    return task->rank < RANK_FAIR || elapsed_ticks(task->since_ticks, now) >= sched_tunables.push_ticks;
}

/* The most urgent task that waits here, may move, and has waited for long enough. */
static struct task *find_waiting(struct runq *rq, uint64_t now) REQUIRES(rq->lock)
{
    struct task *best = NULL;
    unsigned scanned = 0;

    list_for_each(node, &rq->movable) {
        struct task *task = list_entry(node, struct task, movable_link);

        if ((best == NULL || task->rank < best->rank) && task->rank <= RANK_FAIR && is_due(task, now))
            best = task;
        if (++scanned >= PUSH_SCAN_MAX)
            break;
    }
    return best;
}

/* `task` was found queued on `rq`, whose lock has been let go since. Is it there, and would it run on `target`? */
static bool may_still_move(struct task *task, struct runq *rq, struct runq *target)
{
    return load_relaxed(&task->base.cpu) == &rq->cpu && task->state == TASK_READY && !task->is_misplaced &&
           cpumask_contains(&task->affinity, target->cpu.id) && !place_would_wait(target, task->rank);
}

/* It may have moved, and been queued anew, when the lock is held again. */
static void loosen(struct runq *rq, struct runq *target, struct task *task) REQUIRES(rq->lock)
{
    if (!may_still_move(task, rq, target) || runq_is_loose(task))
        return;
    runq_loosen(rq, task);
    spin_unlock_irqoff(&rq->lock);
    spin_lock_irqoff(&rq->lock);
}

static bool push_waiting_one(struct runq *rq) NO_LOCK_ANALYSIS
{
    spin_lock_irqoff(&rq->lock);
    uint64_t now = hal_clock_ticks();
    struct task *task = find_waiting(rq, now);
    struct place_wish wish;

    rq->push_next_ticks = now + sched_tunables.push_ticks; /* unless a new case comes, also while we search */
    if (task != NULL)
        place_wish_of(task, &wish);
    spin_unlock_irqoff(&rq->lock);
    struct runq *target = task == NULL ? NULL : place_least_loaded(&wish, rq->cpu.id + rq->push_from);
    bool is_better = target != NULL && target != rq && !place_would_wait(target, wish.rank);

    spin_lock_irqoff(&rq->lock);
    list_urgent(rq, task != NULL && wish.rank < RANK_FAIR && !is_better);
    if (!is_better) {
        rq->push_from = (rq->push_from + PLACE_SCAN_MAX) % CPU_MAX; /* other CPUs, if there are more */
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
    rq->push_next_ticks = now;
    /* It was there a moment ago. Until interrupts are enabled it stays a task, dead or alive. */
    loosen(rq, target, task);
    (void)runq_lock_second(rq, target);
    bool moves = may_still_move(task, rq, target) && runq_is_loose(task);

    if (moves) {
        rq->stats.pushes++;
        runq_move(rq, target, task);
    }
    spin_unlock_irqoff(&rq->lock);
    if (moves)
        runq_unlock_notice(target, task);
    else
        runq_unlock(target);
    return moves;
}

void push_after_pick(struct runq *rq, const struct task *next, uint64_t now)
{
    if (next->rank >= RANK_FAIR) {
        list_urgent(rq, false); /* nothing urgent waits where nothing urgent runs */
        return;
    }
    if ((int64_t)(now - rq->push_next_ticks) >= 0)
        rq->after_switch |= AFTER_PUSH;
    push_arm(rq, now);
}

void push_arm(struct runq *rq, uint64_t now)
{
    uint64_t deadline = now + sched_tunables.push_ticks;

    if (load_relaxed(&rq->cpu.slice_deadline_ticks) <= deadline)
        return;
    store_relaxed(&rq->cpu.slice_deadline_ticks, deadline);
    timer_program(&rq->cpu, deadline);
}

void push_forget(struct runq *rq)
{
    list_urgent(rq, false);
}

void push_waiting(struct runq *rq)
{
    for (unsigned i = 0; i < PUSH_MAX && push_waiting_one(rq); i++)
        continue;
}

/* The most urgent task of `victim` that may run here, or NULL. Where the lock is taken, its holder looks itself. */
static struct task *find_to_pull(const struct runq *rq, struct runq *victim) NO_LOCK_ANALYSIS
{
    if (!spin_try_lock_irqoff(&victim->lock))
        return NULL;
    struct task *task = steal_find(victim, rq->cpu.id);

    if (load_relaxed(&victim->movable_count) == 0)
        list_urgent(victim, false);
    spin_unlock_irqoff(&victim->lock);
    return task;
}

/* `task` was found there, and the lock has been let go since. */
static bool may_be_pulled(struct task *task, const struct runq *rq, const struct runq *victim)
{
    return load_relaxed(&task->base.cpu) == &victim->cpu && list_is_linked(&task->movable_link) &&
           task->rank < MIN(load_relaxed(&rq->running_rank), RANK_FAIR) &&
           cpumask_contains(&task->affinity, rq->cpu.id);
}

/* Take the most urgent task of `victim` if it is more urgent than what runs here. The search is a hold of its own. */
static void pull_from(struct runq *rq, struct runq *victim) NO_LOCK_ANALYSIS
{
    struct task *task = find_to_pull(rq, victim);
    bool moves = false;

    if (task == NULL)
        return;
    spin_lock_irqoff(&rq->lock);
    if (spin_try_lock_irqoff(&victim->lock)) {
        moves = may_be_pulled(task, rq, victim);
        if (moves) {
            rq->stats.pulls++;
            runq_move(victim, rq, task);
        }
        spin_unlock_irqoff(&victim->lock);
    }
    if (moves)
        runq_unlock_notice(rq, task);
    else
        runq_unlock(rq);
}

void push_pull_urgent(struct runq *rq)
{
    unsigned asked = 0;

    if (!cpu_is_online(rq->cpu.id))
        return; /* it goes off */
    for (cpu_id_t word = 0; word < cpu_mask_words; word++) {
        uint64_t bits = load_relaxed(&urgent.mask[word]);

        for (; bits != 0 && asked < PULL_MAX; bits &= bits - 1, asked++) {
            cpu_id_t id = word * 64 + (cpu_id_t)__builtin_ctzll(bits);

            if (id != rq->cpu.id)
                pull_from(rq, runq_by_id(id));
        }
    }
}
