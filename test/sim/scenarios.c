/* SPDX-License-Identifier: MIT */
/*
 * The list of all scenarios, what a run of one is told by its command line, and the parts that they share. The random
 * streams need no lock: each task touches its own word alone, and a number is used by one task at a time.
 */
#include "scenario.h"

#include <boot/options.h>
#include <boot/program.h>
#include <hal/point.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <smp/preempt.h>

extern const struct sim_scenario sim_scenarios_exit[], sim_scenarios_join[], sim_scenarios_wake[],
    sim_scenarios_handover[], sim_scenarios_move[], sim_scenarios_policy[], sim_scenarios_create[],
    sim_scenarios_lookup[], sim_scenarios_time[], sim_scenarios_cross[], sim_scenarios_random[], sim_scenarios_small[],
    sim_scenarios_tables[], sim_scenarios_space[], sim_scenarios_tlb[], sim_scenarios_user[], sim_scenarios_urgent[],
    sim_scenarios_pages[], sim_scenarios_memory[], sim_scenarios_copy[], sim_scenarios_objects[],
    sim_scenarios_balance[], sim_scenarios_inherit[], sim_scenarios_sync[], sim_scenarios_deadline[],
    sim_scenarios_hotplug[], sim_scenarios_files[], sim_scenarios_epoll[], sim_scenarios_fair[], sim_scenarios_stride[],
    sim_scenarios_futex[], sim_scenarios_process[], sim_scenarios_signal[], sim_scenarios_life[],
    sim_scenarios_members[], sim_scenarios_programs[];

const struct sim_scenario *const sim_scenarios[] = {
    sim_scenarios_exit,   sim_scenarios_join,   sim_scenarios_wake,   sim_scenarios_handover, sim_scenarios_move,
    sim_scenarios_policy, sim_scenarios_create, sim_scenarios_lookup, sim_scenarios_time,     sim_scenarios_cross,
    sim_scenarios_random, sim_scenarios_small,  sim_scenarios_tables, sim_scenarios_space,    sim_scenarios_tlb,
    sim_scenarios_user,   sim_scenarios_urgent, sim_scenarios_pages,  sim_scenarios_memory,   sim_scenarios_copy,
    sim_scenarios_objects, sim_scenarios_balance, sim_scenarios_inherit, sim_scenarios_sync,
    sim_scenarios_deadline, sim_scenarios_hotplug, sim_scenarios_files, sim_scenarios_epoll, sim_scenarios_futex,
    sim_scenarios_process, sim_scenarios_signal, sim_scenarios_life, sim_scenarios_members, sim_scenarios_fair,
    sim_scenarios_programs,
#if KERNEL_EXAMPLE_CLASS
    sim_scenarios_stride,
#endif
    NULL,
};

const struct sim_scenario *sim_scenario_find(const char *name)
{
    for (unsigned i = 0; sim_scenarios[i] != NULL; i++)
        for (const struct sim_scenario *scenario = sim_scenarios[i]; scenario->name != NULL; scenario++)
            if (strcmp(scenario->name, name) == 0)
                return scenario;
    return NULL;
}

/* The words after init=sim: are NAME, or NAME:ROUNDS. */
unsigned sim_rounds(void)
{
    const char *argument = boot_report.options->argument;
    const char *colon = strchr(argument, ':');
    unsigned rounds = 0;

    if (colon == NULL) {
        const struct sim_scenario *scenario = sim_scenario_find(argument);

        return scenario != NULL && scenario->rounds > 0 ? scenario->rounds : 1;
    }
    for (const char *digit = colon + 1; *digit >= '0' && *digit <= '9'; digit++)
        rounds = rounds * 10 + (unsigned)(*digit - '0');
    return rounds > 0 ? rounds : 1;
}

/*
 * SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): a counter with a good mixing
 * function, so that streams that start at different places have nothing in common. A stream belongs to a task id; not
 * an interleaving point, because asking for chance is nothing that the kernel does.
 */
static _Atomic(uint64_t) random_state[TID_MAX];

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t sim_random(void)
{
    uint64_t tid = (uint64_t)current_task()->tid;
    uint64_t state = atomic_load_explicit(&random_state[tid], memory_order_relaxed);

    if (state == 0)
        state = mix(mix(boot_report.options->seed + 1) + tid);
    state += UINT64_C(0x9e3779b97f4a7c15);
    atomic_store_explicit(&random_state[tid], state, memory_order_relaxed);
    return mix(state);
}

uint64_t sim_random_below(uint64_t bound)
{
    return bound <= 1 ? 0 : (uint64_t)((unsigned __int128)sim_random() * bound >> 64);
}

/* Short ones are the commoner: the length has a random number of bits. */
void sim_delay(void)
{
    unsigned bits = (unsigned)sim_random_below(9);

    for (uint64_t left = sim_random_below(UINT64_C(1) << bits); left > 0; left--)
        hal_point(NULL);
}

bool sim_chance(unsigned one_in)
{
    return sim_random_below(one_in) == 0;
}

cpu_id_t sim_some_cpu(void)
{
    return online_cpu((unsigned)sim_random_below(online_count()));
}

void sim_some_cpus(struct cpumask *out)
{
    cpumask_set_single(out, sim_some_cpu());
    if (sim_chance(2))
        return;
    for (unsigned more = (unsigned)sim_random_below(online_count()); more > 0; more--)
        cpumask_add(out, sim_some_cpu());
}

int sim_some_fair_priority(void)
{
    return PRIORITY_SYSTEM_HIGH + (int)sim_random_below(PRIORITY_USER_LOW - PRIORITY_SYSTEM_HIGH + 1);
}

int sim_some_priority(void)
{
    return sim_chance(2) ? sim_some_fair_priority() : (int)sim_random_below(PRIORITY_REALTIME_LOW + 1);
}

void sim_nap(uint64_t ns)
{
    (void)task_sleep_for(sim_random_below(ns + 1));
}

void sim_pause(void)
{
    (void)task_sleep_for((20 + sim_random_below(60)) * NS_PER_US);
}

void sim_stay_on(cpu_id_t cpu)
{
    struct cpumask mask;

    cpumask_set_single(&mask, cpu);
    CHECK(task_set_affinity(current_task(), &mask) == 0);
}

void sim_roam(void)
{
    struct cpumask mask;

    cpumask_set_all(&mask);
    CHECK(task_set_affinity(current_task(), &mask) == 0);
}

void sim_line_init(struct sim_line *line)
{
    waitq_init(&line->queue);
    waitq_init(&line->arrivals);
    store_relaxed(&line->waiting, 0);
    line->is_open = false;
}

void sim_line_wait(struct sim_line *line)
{
    (void)fetch_add_relaxed(&line->waiting, 1);
    (void)waitq_wake_all(&line->arrivals);
    CHECK(waitq_wait_until(&line->queue, line->is_open, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
}

void sim_line_open(struct sim_line *line, unsigned waiting)
{
    CHECK(waitq_wait_until(&line->arrivals, load_relaxed(&line->waiting) >= waiting, TIME_NEVER,
                           WAIT_UNINTERRUPTED) == 0);
    uintptr_t state = spin_lock_irqsave(&line->queue.lock);

    line->is_open = true;
    (void)waitq_wake_locked(&line->queue, UINT32_MAX);
    spin_unlock_irqrestore(&line->queue.lock, state);
    sched_check();
}

void sim_semaphore_init(struct sim_semaphore *semaphore, unsigned count)
{
    waitq_init(&semaphore->queue);
    semaphore->count = count;
}

static bool take(struct sim_semaphore *semaphore)
{
    if (semaphore->count == 0)
        return false;
    semaphore->count--;
    return true;
}

int sim_down(struct sim_semaphore *semaphore, uint64_t deadline_ns, enum wait_mode mode)
{
    return waitq_wait_until(&semaphore->queue, take(semaphore), deadline_ns, mode);
}

void sim_up(struct sim_semaphore *semaphore)
{
    uintptr_t state = spin_lock_irqsave(&semaphore->queue.lock);

    semaphore->count++;
    (void)waitq_wake_locked(&semaphore->queue, 1);
    spin_unlock_irqrestore(&semaphore->queue.lock, state);
    sched_check();
}

void sim_block_until(_Atomic(unsigned) *count, unsigned wanted)
{
    uintptr_t state = hal_irq_save();

    while (load_acquire(count) < wanted) /* PAIRS(sim_count) */
        sched_block(TASK_BLOCKED, WAIT_UNINTERRUPTED);
    sched_irq_restore(state);
}

struct task *sim_spawn_nth(const char *name, int (*entry)(void *), void *arg, unsigned nth)
{
    return spawn_on(name, entry, arg, PRIORITY_DEFAULT, online_cpu(nth));
}

unsigned sim_hoard(paddr_t *hoarded, uint64_t leave)
{
    struct phys_stats stats;
    unsigned count = 0;

    for (;;) {
        phys_stats_get(&stats);
        if (stats.free_pages <= leave)
            return count;
        unsigned order = 0;

        while (order < 6 && stats.free_pages - leave >= UINT64_C(4) << order)
            order++;
        paddr_t block = phys_alloc(order);

        while (block == 0 && order > 0)
            block = phys_alloc(--order);
        if (block == 0)
            return count;
        uint64_t *header = phys_to_virt(block);

        header[0] = *hoarded;
        header[1] = order;
        *hoarded = block;
        count++;
    }
}

void sim_give_back(paddr_t hoarded)
{
    while (hoarded != 0) {
        uint64_t *header = phys_to_virt(hoarded);
        paddr_t next = header[0];
        unsigned order = (unsigned)header[1];

        phys_free(hoarded, order);
        hoarded = next;
    }
}

int64_t sim_finish_all(struct task *const *tasks, unsigned count)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += finish(tasks[i]);
    return sum;
}

struct thread *sim_thread(struct process *process, int (*entry)(void *), void *arg, const struct cpumask *affinity)
{
    const struct thread_spec spec = {
        .name = "thread",
        .entry = entry,
        .arg = arg,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority_number = 65,
        .affinity = affinity,
    };
    struct thread *thread = NULL;

    if (!CHECK(thread_create(process, &spec, &thread) == 0))
        return NULL;
    CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    return thread;
}

pid_t sim_child(struct process *parent, int (*entry)(void *), void *arg)
{
    struct process *process = NULL;

    if (!CHECK(process_create(parent, "child", &process) == 0))
        return 0;
    pid_t pid = process->pid;
    struct thread *thread = sim_thread(process, entry, arg, NULL);

    if (thread != NULL)
        thread_put(thread);
    else
        CHECK(process_discard(process) == 0);
    process_put(process);
    return thread != NULL ? pid : 0;
}

int sim_end_with(void *code)
{
    sim_delay();
    return (int)(intptr_t)code;
}

int sim_sleep_until_killed(void *code)
{
    while (task_sleep_for(3600 * NS_PER_SEC) == 0)
        continue;
    CHECK(task_is_killed());
    CHECK(task_sleep_for(NS_PER_SEC) == -EINTR);
    return (int)(intptr_t)code;
}
