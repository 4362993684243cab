/* SPDX-License-Identifier: MIT */
/* The part of sched_priv.h, which includes it, that is about tasks over CPUs: where they go, and who takes them. */
#pragma once

/* place.c */
#define PLACE_SCAN_MAX 16 /* CPUs compared in one look */
/* What decides where a task may go, copied under its run queue's lock: the search for a CPU holds none. Whoever moves
 * the task then looks again whether it still may. */
struct place_wish {
    uint32_t rank;
    struct cpumask affinity; /* words beyond cpu_mask_words are not set */
};
void place_wish_of(const struct task *task, struct place_wish *out);
/* At once where there are several words: a loop over 16 of them takes several times as long, under a lock. */
static inline void place_copy_mask(const struct cpumask *from, struct cpumask *out)
{
    if (LIKELY(cpu_mask_words == 1))
        out->word[0] = from->word[0];
    else
        __builtin_memcpy_inline(out, from, sizeof *out);
}
void place_mark_idle(struct cpu *cpu, bool is_idle);
bool place_has_idle(void);                   /* a hint */
bool place_is_idle(cpu_id_t id);             /* the same of one */
bool place_is_core_idle(cpu_id_t id);        /* no thread of its core runs anything: a hint */
/* A free CPU of `affinity`, the nearest to `near`, whole cores before threads of busy ones; or CPU_NONE. */
cpu_id_t place_find_idle(const struct cpumask *affinity, const struct cpu *near);
/* The least loaded of up to PLACE_SCAN_MAX allowed CPUs from `from` on; NULL: none is online. */
struct runq *place_least_loaded(const struct place_wish *wish, cpu_id_t from);
/* Does something run there that would not give way to a task of that rank? */
bool place_would_wait(const struct runq *rq, uint32_t rank);
/* Idle or least loaded, for a new task and for one that names `last`. NULL: no CPU of the wish is online any more. A
 * task's affinity always has one, so it is another one by now. */
struct runq *place_choose_start(const struct place_wish *wish);
struct runq *place_search_wake(const struct place_wish *wish, struct runq *last);
/* Does a blocked task that names `last` wake there, without a look at other CPUs? */
static ALWAYS_INLINE bool place_stays(const struct task *task, const struct runq *last)
{
    if (LIKELY(task->pinned_cpu == &last->cpu))
        return true; /* it is online: as long as there is such a task, the CPU cannot go off (hotplug.c) */
    return load_relaxed(&cpu_started_count) == 1 && cpumask_contains(&task->affinity, last->cpu.id);
}

/* The same, also because nobody else wants that CPU. */
static inline bool place_is_free_for(const struct task *task, const struct runq *last)
{
    return place_stays(task, last) ||
           (cpumask_contains(&task->affinity, last->cpu.id) && cpu_is_online(last->cpu.id) &&
            load_relaxed(&last->running_rank) == RANK_NOTHING && load_relaxed(&last->queued) == 0);
}

/* steal.c */
/* One task moved into rq, which idles. */
bool steal_idle(struct runq *rq, bool *out_contended) EXCLUDES(rq->lock);
/* Of the next 24 queued tasks of `victim`, which is locked, the most urgent that may run on `thief`. NULL: none of them
 * may; a further call looks at the next ones. */
struct task *steal_find(struct runq *victim, cpu_id_t thief);
/* `rq` may have movable tasks that it does not run: tell idle CPUs that may take them. Interrupts are disabled. */
void steal_offer(struct runq *rq) EXCLUDES(rq->lock);
/* `rq`'s CPU does not idle, and has said so: was it poked to take other work? Then steal_pass_on() must follow. */
static inline bool steal_was_offered(struct runq *rq)
{
    if (LIKELY(!load_relaxed(&rq->is_offered)))
        return false;
    store_relaxed(&rq->is_offered, false);
    return true;
}
/* Another CPU must hear of what `rq`'s was poked for. The same context as steal_offer(). */
void steal_pass_on(struct runq *rq) EXCLUDES(rq->lock);

/* push.c. Those after a switch hold no lock, interrupts are disabled. */
void push_misplaced(struct runq *rq);
void push_waiting(struct runq *rq);
void push_pull_urgent(struct runq *rq);
void push_forget(struct runq *rq) REQUIRES(rq->lock); /* nothing waits here any more: the CPU goes off */
bool push_is_wanted(void); /* a real-time task waits somewhere: a hint */
/* It does, and a task that is none is picked here: is there reason to try and pull it? Only if real-time work has just
 * ended here, or if a CPU has looked in vain since the last try: each of those looks once in SCHED_PUSH_NS. */
bool push_may_pull(struct runq *rq) REQUIRES(rq->lock);
void push_after_pick(struct runq *rq, const struct task *next, uint64_t now) REQUIRES(rq->lock);
/* Somebody waits behind a task that has no slice: look again in a while. Own CPU. */
void push_arm(struct runq *rq, uint64_t now) REQUIRES(rq->lock);

/* balance.c */
/* `next` runs, and tasks that may move wait. Own CPU. */
void balance_after_pick(struct runq *rq, const struct task *next) REQUIRES(rq->lock);
void balance_fair(struct runq *rq);      /* after a switch: no lock, interrupts disabled */
void balance_idle_core(struct runq *rq); /* idle, nothing to steal: a task on a crowded core may come here */

/* class_stop.c. stop_request(): ask the stopper; false if it has been asked already. Context: any, no lock held. */
void stop_init_cpu(struct runq *rq);
bool stop_request(struct runq *rq, struct stop_work *work);

/* monitor.c: both run-queue locks are held, or none. */
void monitor_init(void);
void monitor_stolen(struct runq *rq, const struct runq *from, const struct task *task);
void monitor_overlooked(struct runq *rq) EXCLUDES(rq->lock); /* tasks may wait, and a CPU may be idle */
