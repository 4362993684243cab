/* SPDX-License-Identifier: MIT */
/*
 * What is left of a CPU: while somebody of a class behind the real-time one waits there, deadline tasks have no more
 * than they were promised, and real-time tasks no more than their limit. So the rest has at least 1 - U of the CPU, U
 * being the sum of both.
 *
 * An interval begins at a switch at which somebody of the rest is ready or runs, and ends at one at which nobody is. In
 * it are summed up what each kind ran, and what deadline tasks may: their share of each stretch, by the books, and for
 * each of them twice its runtime, because a period may have been unused before the interval and one may end after it;
 * once more when the books change. What a task runs with a deadline of somebody else, and stretches in which priorities
 * changed, count for nobody. The bound for what the kernel itself takes is that of check_deadline.c. Real-time tasks
 * may have their share of each window of a second; a window that began before the interval counts as a whole.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

#include <lib/string.h>
#include <time/clock.h>

#define WINDOW_NS NS_PER_SEC

enum kind { KIND_NOBODY, KIND_DEADLINE, KIND_RT, KIND_REST, KINDS };

struct interval {
    bool is_open;
    uint64_t begin_ns, window_ns; /* window_ns: of the real-time limit, at the beginning */
    uint64_t since_ns;            /* the stretch that runs */
    uint64_t changes;             /* when it began */
    enum kind kind;
    const struct task *task;
    uint64_t ran_ns[KINDS];
    long double allowed_ns; /* to deadline tasks */
    long double share;      /* promised during the stretch that runs */
    uint64_t books;         /* a mark of what was promised to whom */
    unsigned most;          /* deadline tasks */
};

static struct {
    struct interval of[CPU_MAX];
    uint64_t changes; /* of parameters and of who waits for whom */
} share;

static void share_reset(const struct host_config *config)
{
    (void)config;
    memset(&share, 0, sizeof share);
}

static enum kind kind_of(const struct task *task, bool is_idle_task)
{
    if (is_idle_task || task->is_inherited)
        return KIND_NOBODY;
    if (task->class == &class_deadline)
        return task->is_admitted ? KIND_DEADLINE : KIND_NOBODY;
    if (task->class == &class_rt)
        return KIND_RT;
    return task->rank >= RANK_FAIR ? KIND_REST : KIND_NOBODY;
}

/* What is promised on the CPU from now on. False: somebody writes the books. */
static bool books_read(const struct runq *rq, struct interval *of)
{
    uint64_t mark = 0, twice_ns = 0;
    unsigned count = 0;

    if (sim_peek(&admit_books.word) != 0)
        return false;
    of->share = 0;
    list_for_each(node, &rq->admission.tasks) {
        const struct task *task = list_entry(node, struct task, deadline.home_link);

        of->share += (long double)task->params.runtime_ns / (long double)task->params.deadline_ns;
        twice_ns += 2 * task->params.runtime_ns;
        mark = mark * 31 + (uintptr_t)task + task->params.runtime_ns * 7 + task->params.deadline_ns;
        count++;
    }
    if (mark != of->books)
        of->allowed_ns += (long double)twice_ns;
    of->books = mark;
    of->most = MAX(of->most, count);
    sim_cost(count);
    return true;
}

static void look(cpu_id_t cpu, const struct interval *of)
{
    uint64_t slack_ns = (of->most + 2) * (sim_closed_ns_max() + sim_ipi_delay_ns());
    uint64_t length_ns = sim_now.ns - of->begin_ns, windows_ns = sim_now.ns - of->window_ns;
    uint64_t limit_ns = WINDOW_NS / 100 * sched_tunables.rt_percent;
    uint64_t rt_ns = windows_ns / WINDOW_NS * (limit_ns + slack_ns) + MIN(windows_ns % WINDOW_NS, limit_ns) + slack_ns;

    if (UNLIKELY((long double)of->ran_ns[KIND_DEADLINE] > of->allowed_ns + (long double)slack_ns))
        sim_broken(PROMISE_SHARE,
                   "in %llu ns on CPU %u, deadline tasks ran for %llu, where %llu were promised, and the rest for %llu",
                   (unsigned long long)length_ns, cpu, (unsigned long long)of->ran_ns[KIND_DEADLINE],
                   (unsigned long long)(of->allowed_ns + (long double)slack_ns),
                   (unsigned long long)of->ran_ns[KIND_REST]);
    if (UNLIKELY(sched_tunables.rt_percent != 100 && of->ran_ns[KIND_RT] > rt_ns))
        sim_broken(PROMISE_SHARE,
                   "in %llu ns on CPU %u, real-time tasks ran for %llu, and may for %llu, and the rest for %llu",
                   (unsigned long long)length_ns, cpu, (unsigned long long)of->ran_ns[KIND_RT],
                   (unsigned long long)rt_ns, (unsigned long long)of->ran_ns[KIND_REST]);
}

static void end_stretch(struct interval *of)
{
    uint64_t ran_ns = sim_now.ns - of->since_ns;
    bool is_mixed = of->changes != share.changes ||
                    (of->kind != KIND_NOBODY && kind_of(of->task, false) != of->kind);

    of->ran_ns[is_mixed ? KIND_NOBODY : of->kind] += ran_ns;
    of->allowed_ns += of->share * (long double)ran_ns;
}

static void begin_interval(const struct runq *rq, struct interval *of)
{
    *of = (struct interval){ .is_open = true, .begin_ns = sim_now.ns, .window_ns = sim_now.ns };
    if (rq->rt_limit.is_watching)
        of->window_ns = MIN(rq->rt_limit.window_ns, sim_now.ns);
}

static bool is_wanted(const struct runq *rq, enum kind next)
{
    return next == KIND_REST || (rq->ready_classes & ~((2u << CLASS_RT) - 1)) != 0;
}

static void share_event(enum trace_event event, const void *object, uint64_t value)
{
    const struct task *task = object;
    const struct runq *rq = sim_now.rq;

    share.changes += event == TRACE_PI_CHANGE;
    if (event != TRACE_TASK_RUN || rq == NULL)
        return;
    struct interval *of = &share.of[sim_now.cpu];
    enum kind next = kind_of(task, value != 0);

    if (of->is_open) {
        end_stretch(of);
        look(sim_now.cpu, of);
    }
    if (!is_wanted(rq, next)) {
        of->is_open = false;
        return;
    }
    if (!of->is_open)
        begin_interval(rq, of);
    of->is_open = books_read(rq, of);
    of->kind = next;
    of->task = task;
    of->since_ns = sim_now.ns;
    of->changes = share.changes;
}

const struct sim_checker checker_share = {
    .promise = PROMISE_SHARE,
    .name = "what is left",
    .reset = share_reset,
    .event = share_event,
};
