/* SPDX-License-Identifier: MIT */
/*
 * The books of the deadline class: which CPU has promised how much to whom. A task is promised one CPU of its affinity
 * and stays there, because earliest deadline first keeps every promise of one CPU up to the whole of it, and of several
 * CPUs at once only up to little more than one of them (Dhall and Liu 1978).
 *
 * The test is the sum of runtime / deadline. Where deadlines are those of the periods it is exact: the sum may be 1,
 * and not more (Liu and Layland 1973). Where they are earlier it is safe, but refuses sets that would do: an exact test
 * would walk the demand of all tasks over a time that grows with their periods, and would have to be made again for the
 * server rules, which let a task ask for its share in any stretch of time.
 *
 * Sums are exact, too. Each quotient is kept rounded down to 2^-60, and it is known how many of them are a little more.
 * That decides all but sums that lie within 2^-52 of the limit. A sum s that differs from 1 differs by 1/m at least, m
 * being the least common multiple of the deadlines in nanoseconds; so if m < 2^60 / n (52 days for 256 tasks) and n
 * rounded numbers do not tell s from 1, then s is 1.
 *
 * Of the CPUs with room the fullest one is taken. Of m CPUs and tasks of at most 1/b each, no set is refused up to a
 * sum of (b m + 1) / (b + 1) (Lopez, Diaz and Garcia 2004), and CPUs stay free for tasks of other classes.
 *
 * What a task gives up it may have used already, ahead of its share. It is free for others when its share has caught
 * up.
 */
#include "sched_priv.h"

#include <time/clock.h>

#define ONE (UINT64_C(1) << 60)

struct spinlock admit_books = SPINLOCK_INIT(LOCK_ADMIT);

void admit_init_runq(struct runq *rq)
{
    list_init(&rq->admission.tasks);
}

struct density admit_density(uint64_t runtime_ns, uint64_t deadline_ns)
{
    /* Two digits of 30 bits: runtime <= deadline < 2^34. */
    uint64_t high = (runtime_ns << 30) / deadline_ns;
    uint64_t rest = (runtime_ns << 30) % deadline_ns;
    uint64_t low = (rest << 30) / deadline_ns;

    return (struct density){ .low = (high << 30) + low, .is_cut = (rest << 30) % deadline_ns != 0 };
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Multiply *m up to a common multiple with the deadline of a task of these numbers. False: it reaches `bound`. */
static bool grow_multiple(uint64_t *m, const struct sched_params *params, uint64_t bound)
{
    uint64_t part = params->deadline_ns / gcd(params->runtime_ns, params->deadline_ns);
    uint64_t factor = part / gcd(*m, part);

    if (*m >= bound / factor)
        return false;
    *m *= factor;
    return true;
}

/* Numbers do not tell whether the sum is above 1. Is it 1? */
static bool is_one(const struct runq *rq, const struct task *task, const struct sched_params *params)
{
    uint64_t bound = ONE / (rq->admission.count + 1);
    uint64_t multiple = 1;

    if (!grow_multiple(&multiple, params, bound))
        return false;
    list_for_each(node, &rq->admission.tasks) {
        const struct task *other = list_entry(node, struct task, deadline.home_link);

        if (other != task && !grow_multiple(&multiple, &other->params, bound))
            return false;
    }
    return true;
}

static bool is_booked_on(const struct task *task, cpu_id_t cpu)
{
    return task->is_admitted && task->deadline.home == cpu;
}

bool admit_fits_locked(const struct task *task, const struct sched_params *params, cpu_id_t cpu)
{
    const struct runq *rq = runq_by_id(cpu);
    const struct admission *books = &rq->admission;
    struct density density = admit_density(params->runtime_ns, params->deadline_ns);
    uint64_t limit = ONE / 100 * sched_tunables.deadline_percent + ONE % 100 * sched_tunables.deadline_percent / 100;
    uint64_t low = books->low + density.low;
    uint64_t cuts = books->cut_count + density.is_cut;
    unsigned count = books->count;

    if (is_booked_on(task, cpu)) {
        low -= task->deadline.density_low;
        cuts -= task->deadline.density_is_cut;
        count--;
    }
    if (count >= ADMITTED_MAX || books->is_closed)
        return false;
    if (books->fading != 0 && clock_ns() < books->fading_until_ns)
        return low + cuts + books->fading <= limit;
    if (low + cuts <= limit)
        return true;
    return low <= limit && limit == ONE && is_one(rq, task, params);
}

cpu_id_t admit_find_locked(const struct task *task, const struct sched_params *params, const struct cpumask *allowed,
                           cpu_id_t prefer, cpu_id_t except)
{
    cpu_id_t best = CPU_NONE;

    for_each_online_cpu(id) {
        const struct admission *books = &runq_by_id(id)->admission;

        if (id == except || !cpumask_contains(allowed, id) || !admit_fits_locked(task, params, id))
            continue;
        if (best == CPU_NONE || books->low > runq_by_id(best)->admission.low ||
            (id == prefer && books->low == runq_by_id(best)->admission.low))
            best = id;
    }
    return best;
}

static void unbook(struct task *task)
{
    struct admission *books = &runq_by_id(task->deadline.home)->admission;

    list_remove(&task->deadline.home_link);
    books->count--;
    books->low -= task->deadline.density_low;
    books->cut_count -= task->deadline.density_is_cut;
}

static void fade(struct task *task, uint64_t free_ns)
{
    struct admission *books = &runq_by_id(task->deadline.home)->admission;
    uint64_t now_ns = clock_ns();

    if (now_ns >= books->fading_until_ns)
        books->fading = 0;
    if (free_ns <= now_ns)
        return;
    books->fading += task->deadline.density_low + task->deadline.density_is_cut;
    books->fading_until_ns = MAX(books->fading_until_ns, free_ns);
}

void admit_give_locked(struct task *task, uint64_t free_ns)
{
    unbook(task);
    fade(task, free_ns);
    task->is_admitted = false;
}

void admit_take_locked(struct task *task, const struct sched_params *params, cpu_id_t cpu, uint64_t free_ns)
{
    struct admission *books = &runq_by_id(cpu)->admission;
    struct density density = admit_density(params->runtime_ns, params->deadline_ns);

    if (task->is_admitted) {
        unbook(task);
        if (task->deadline.home != cpu)
            fade(task, free_ns);
    } else {
        task->is_admitted = true; /* the run queue's lock is held, too: deadline_evacuate() books only those that are */
    }
    task->deadline.home = cpu;
    task->deadline.evacuated_from = CPU_NONE;
    task->deadline.density_low = density.low;
    task->deadline.density_is_cut = density.is_cut;
    list_init(&task->deadline.home_link);
    list_push_back(&books->tasks, &task->deadline.home_link);
    books->count++;
    books->low += density.low;
    books->cut_count += density.is_cut;
}
