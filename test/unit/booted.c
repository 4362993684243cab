/* SPDX-License-Identifier: MIT */
/*
 * Booting the kernel for a test, and the watch on its invariants. Owns the state of one run; no lock, one host thread.
 */
#include "booted.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <boot/options.h>
#include <boot/program.h>
#include <host/machine.h>

#include "sched_priv.h"

/* Work conservation: a poke is on its way for up to 2 us of virtual time and the idle loop is a few hundred steps; a
 * task that waits this long beside a CPU that idles was forgotten. */
#define IDLE_PATIENCE_NS 300000

static struct {
    uint64_t waits_since_ns[CPU_MAX]; /* a task waits that this idle CPU could run; 0: none */
    uint64_t looks;
} watch;

static void watch_fail(const char *what, cpu_id_t cpu)
{
    (void)fprintf(stderr, "watch: %s (CPU %u, step %llu)\n", what, cpu, (unsigned long long)host_trace_steps());
    hal_machine_exit(90);
}

static bool is_any_locked(void)
{
    for (cpu_id_t id = 0; id < CPU_MAX && cpu_table[id] != NULL; id++)
        if (atomic_load_explicit(&runq_by_id(id)->lock.word, memory_order_relaxed) != 0)
            return true;
    return false;
}

static void watch_census(void)
{
    uint64_t started = 0;
    uint64_t known = 0;
    int64_t blocked = 0;

    for (cpu_id_t id = 0; id < CPU_MAX && cpu_table[id] != NULL; id++) {
        const struct runq *rq = runq_by_id(id);

        started += rq->started;
        known += rq->died + load_relaxed(&runq_by_id(id)->queued) + !is_idle_task(rq, rq->running);
        blocked += rq->blocked;
    }
    if (blocked < 0 || started != known + (uint64_t)blocked)
        watch_fail("started != died + queued + running + blocked", 0);
}

static void watch_running(const struct runq *rq)
{
    struct task *task = rq->running;

    if (task->state != TASK_RUNNING || load_relaxed(&task->base.cpu) != &rq->cpu)
        watch_fail("what a CPU runs is not RUNNING there", rq->cpu.id);
    if (is_idle_task(rq, task))
        return;
    for (cpu_id_t id = rq->cpu.id + 1; id < CPU_MAX && cpu_table[id] != NULL; id++)
        if (runq_by_id(id)->running == task)
            watch_fail("two CPUs run one task", id);
}

static void watch_queued(const struct task *task, const struct runq *rq)
{
    if (task->state != TASK_READY || load_relaxed(&((struct task *)(uintptr_t)task)->base.cpu) != &rq->cpu)
        watch_fail("a queued task is not READY there", rq->cpu.id);
    if (task->is_misplaced == cpumask_contains(&task->affinity, rq->cpu.id))
        watch_fail("a queued task is misplaced, or wrongly thought so", rq->cpu.id);
}

static uint32_t watch_list(const struct list_node *head, const struct runq *rq)
{
    uint32_t count = 0;

    list_for_each(node, head) {
        watch_queued(list_entry(node, struct task, queue_link), rq);
        count++;
    }
    return count;
}

static void watch_queues(const struct runq *rq)
{
    uint32_t count = watch_list(&rq->idle_tasks, rq) + watch_list(&rq->misplaced, rq);
    uint32_t movable = 0;

    for (unsigned i = 0; i < RT_LEVELS; i++)
        count += watch_list(&rq->rt.level[i], rq);
    for (const struct rb_node *node = rb_first(&rq->fair.tree); node != NULL; node = rb_next(node)) {
        watch_queued(container_of(node, struct task, fair_node), rq);
        count++;
    }
    if (count != load_relaxed(&((struct runq *)(uintptr_t)rq)->queued))
        watch_fail("the count of queued tasks is wrong", rq->cpu.id);
    list_for_each(node, &rq->movable) {
        if (list_entry(node, struct task, movable_link)->is_pinned)
            watch_fail("a pinned task is movable", rq->cpu.id);
        movable++;
    }
    if (movable != load_relaxed(&((struct runq *)(uintptr_t)rq)->movable_count))
        watch_fail("the count of movable tasks is wrong", rq->cpu.id);
}

static bool is_work_for(cpu_id_t cpu)
{
    if (load_relaxed(&runq_by_id(cpu)->queued) != 0)
        return true;
    for (cpu_id_t id = 0; id < CPU_MAX && cpu_table[id] != NULL; id++)
        list_for_each(node, &runq_by_id(id)->movable)
            if (cpumask_contains(&list_entry(node, struct task, movable_link)->affinity, cpu))
                return true;
    return false;
}

static void watch_conservation(const struct runq *rq)
{
    uint64_t *since = &watch.waits_since_ns[rq->cpu.id];

    if (!is_idle_task(rq, rq->running) || !cpumask_contains(&cpu_online_mask, rq->cpu.id) || !is_work_for(rq->cpu.id))
        *since = 0;
    else if (*since == 0)
        *since = host_virtual_ns();
    else if (host_virtual_ns() - *since > IDLE_PATIENCE_NS)
        watch_fail("a task waits while this CPU, which may run it, idles", rq->cpu.id);
}

/* After every step of the machine. The lists are walked at some only. */
static void watch_step(void *unused)
{
    (void)unused;
    if (cpu_table[0] == NULL || is_any_locked())
        return;
    watch_census();
    if (watch.looks++ % 32 != 0)
        return;
    for (cpu_id_t id = 0; id < CPU_MAX && cpu_table[id] != NULL; id++) {
        watch_running(runq_by_id(id));
        watch_queues(runq_by_id(id));
        watch_conservation(runq_by_id(id));
    }
}

/* Inside the kernel. */

uint64_t booted_seed(void)
{
    return boot_report.options->seed;
}

static int booted_main(const char *argument)
{
    struct check_counts before, after;
    const struct kernel_test *test = booted_tests;

    while (test->name != NULL && strcmp(test->name, argument) != 0)
        test++;
    if (!CHECK(test->name != NULL))
        return 2;
    check_counts_get(&before);
    test->run();
    check_counts_get(&after);
    CHECK(check_counts_compare(&before, &after) == 0);
    CHECK(check_census());
    return check_failures() == 0 ? 0 : 1;
}

const struct boot_program boot_programs[] = {
    { "test", "one of booted_tests", booted_main },
    { NULL, NULL, NULL },
};

/* Outside. */

static struct host_result result;

/* A quiet machine boots a kernel in well under this time; where it takes longer (a sanitizer, a busy machine) there are
 * fewer seeds, down to one for each number of CPUs, so that no test takes minutes. */
#define BOOT_SHARE_MS 20
#define SEEDS_MIN 8

static double now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Is it time to leave the rest of the seeds out? */
static bool is_late(const char *name, double start_ms, unsigned seed, unsigned seeds)
{
    if (seed < SEEDS_MIN || now_ms() - start_ms < (double)seeds * BOOT_SHARE_MS)
        return false;
    print_message("%s: slow machine, %u of %u seeds\n", name, seed, seeds);
    return true;
}

static int boot(unsigned cpus, const char *name, const char *more, uint64_t seed)
{
    char cmdline[256];
    struct host_config config = {
        .cpus = cpus,
        .seed = seed,
        .memory_bytes = 16 << 20,
        .cmdline = cmdline,
        .after_step = BOOTED_WATCH ? watch_step : NULL,
    };

    (void)snprintf(cmdline, sizeof cmdline, "init=test:%s seed=%llu loglevel=1 %s", name,
                   (unsigned long long)seed, more);
    return host_machine_run_forked(&config, &result);
}

void booted_run_on(unsigned cpus, const char *name, const char *more, unsigned seeds)
{
    double start_ms = now_ms();

    for (unsigned seed = 0; seed < seeds && !is_late(name, start_ms, seed, seeds); seed++) {
        int code = boot(cpus, name, more, seed);

        if (code != 0)
            fail_msg("%s, %u CPUs, seed %u: code %d\n%s\n%s", name, cpus, seed, code, result.report, result.console);
    }
}

void booted_run(const char *name, unsigned seeds)
{
    static const unsigned cpus[SEEDS_MIN] = { 2, 4, 1, 3, 2, 8, 4, 5 };
    double start_ms = now_ms();

    for (unsigned seed = 0; seed < seeds && !is_late(name, start_ms, seed, seeds); seed++) {
        unsigned count = cpus[seed % ARRAY_COUNT(cpus)];
        int code = boot(count, name, "", seed);

        if (code != 0)
            fail_msg("%s, %u CPUs, seed %u: code %d\n%s\n%s", name, count, seed, code, result.report, result.console);
    }
}

void booted_panics_with_seed(unsigned cpus, const char *name, const char *words, uint64_t seed)
{
    int code = boot(cpus, name, "", seed);

    if (result.end != HOST_END_EXIT || code != 1 || strstr(result.console, words) == NULL)
        fail_msg("%s, %u CPUs, seed %llu: no panic with \"%s\", code %d\n%s\n%s", name, cpus, (unsigned long long)seed,
                 words, code, result.report, result.console);
}

void booted_panics(unsigned cpus, const char *name, const char *words, unsigned seeds)
{
    for (unsigned seed = 0; seed < seeds; seed++)
        booted_panics_with_seed(cpus, name, words, seed);
}

const char *booted_console(void)
{
    return result.console;
}
