/* SPDX-License-Identifier: MIT */
/*
 * Grace periods. The collector numbers them; each CPU reports each number once, itself or, while it idles, through the
 * collector; the last report ends the period. Lock-free: one compare-and-swap per CPU and period, one counter.
 *
 * Why it is right: a reader that started before the object was unpublished runs with preemption disabled, so its CPU
 * cannot switch, cannot idle, and an interrupt there does not report. Its report therefore comes after
 * its section, with release order, and the collector frees after it has acquired the last report.
 */
#include <smp/quiesce.h>

#include <k/assert.h>
#include <k/trace.h>
#include <smp/preempt.h>

_Atomic(uint64_t) quiesce_started;

static struct {
    void (*work)(void);
    void (*over)(void);
    _Atomic(struct quiesce_head *) waiting; /* PAIRS(quiesce_list): a pushed head's fields are stored before it */
    _Atomic(uint32_t) outstanding;          /* PAIRS(quiesce_done): reports still missing */
    struct quiesce_head *batch;             /* owned by the collector */
} quiesce;

void quiesce_init(void (*work)(void), void (*over)(void))
{
    ASSERT(quiesce.work == NULL && work != NULL && over != NULL);
    quiesce.work = work;
    quiesce.over = over;
}

void quiesce_call(struct quiesce_head *head, void (*free)(struct quiesce_head *head))
{
    struct quiesce_head *first = load_relaxed(&quiesce.waiting);

    trace(TRACE_QUIESCE_CALL, head, 0);
    head->free = free;
    do {
        head->next = first;
    } while (!cas_release(&quiesce.waiting, &first, head)); /* PAIRS(quiesce_list) */
    if (quiesce.work != NULL)
        quiesce.work();
}

/* Count `cpu` as passed for `period`, once, whoever of the CPU and the collector says so; an idle CPU may come late
 * with an old number, so `seen` moves forward only. Returns true if this was the report that ended the period. */
static bool report_for(struct cpu *cpu, uint64_t period)
{
    uint64_t seen = load_relaxed(&cpu->quiesce_seen);

    while (seen < period)
        if (cas_acq_rel(&cpu->quiesce_seen, &seen, period)) /* PAIRS(quiesce) */
            /* PAIRS(quiesce_done): the sections that this CPU has left are ordered before the collector's frees. */
            return fetch_sub_acq_rel(&quiesce.outstanding, 1) == 1;
    return false;
}

void quiesce_report(struct cpu *cpu)
{
    uint64_t period = load_acquire(&quiesce_started); /* PAIRS(quiesce): outstanding was set before */

    if (report_for(cpu, period))
        quiesce.over();
}

void quiesce_idle_enter(struct cpu *cpu)
{
    for (;;) {
        store_seq_cst(&cpu->idle_quiescent, true); /* PAIRS(quiesce_idle): before the look at quiesce_started */
        fence_seq_cst();
        if (LIKELY(load_relaxed(&cpu->quiesce_seen) == load_relaxed(&quiesce_started)))
            return;
        /* Whose report is the last one wakes the collector, and a waker is in a read section. */
        quiesce_idle_exit(cpu);
        quiesce_report(cpu);
    }
}

void quiesce_idle_exit(struct cpu *cpu)
{
    /* PAIRS(quiesce_idle): sections that start now are after the collector's look, or it sees false and waits. */
    store_relaxed(&cpu->idle_quiescent, false);
    fence_seq_cst();
}

void quiesce_cpu_online(struct cpu *cpu)
{
    store_relaxed(&cpu->quiesce_seen, load_acquire(&quiesce_started)); /* PAIRS(quiesce) */
}

bool quiesce_has_work(void)
{
    return load_relaxed(&quiesce.waiting) != NULL;
}

bool quiesce_start(void)
{
    ASSERT(quiesce.batch == NULL && quiesce_is_over());
    /* PAIRS(quiesce_list) */
    quiesce.batch = xchg_acquire(&quiesce.waiting, NULL);
    if (quiesce.batch == NULL)
        return false;

    uint64_t period = load_relaxed(&quiesce_started) + 1;

    preempt_disable(); /* "this CPU" below */
    /* One that is off stays in the idle loop, so to speak: the same CPUs take part in all periods. PAIRS(cpu_online) */
    store_relaxed(&quiesce.outstanding, load_acquire(&cpu_started_count));
    store_seq_cst(&quiesce_started, period); /* PAIRS(quiesce): publishes outstanding; before the looks at idle */
    fence_seq_cst();
    for_each_started_cpu(id) {
        struct cpu *cpu = cpu_table[id];

        /* An idle CPU is in no section; nor is this one: sections are not preempted, and this task is in none. */
        if (cpu == this_cpu() || load_seq_cst(&cpu->idle_quiescent)) /* PAIRS(quiesce_idle) */
            (void)report_for(cpu, period); /* the caller looks at quiesce_is_over() itself */
    }
    preempt_enable();
    return true;
}

bool quiesce_is_over(void)
{
    return load_acquire(&quiesce.outstanding) == 0; /* PAIRS(quiesce_done) */
}

void quiesce_poke_laggards(void)
{
    uint64_t period = load_relaxed(&quiesce_started);

    for_each_started_cpu(id) /* one that is off has passed */
        if (load_relaxed(&cpu_table[id]->quiesce_seen) != period)
            cpu_request(cpu_table[id], IPI_QUIESCE);
}

unsigned quiesce_finish(void)
{
    struct quiesce_head *head = quiesce.batch;
    unsigned count = 0;

    ASSERT(quiesce_is_over());
    quiesce.batch = NULL;
    while (head != NULL) {
        struct quiesce_head *next = head->next;

        trace(TRACE_QUIESCE_FREE, head, 0);
        head->free(head);
        head = next;
        count++;
    }
    return count;
}
