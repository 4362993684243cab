/* SPDX-License-Identifier: MIT */
/*
 * The showcase: the life of a task, told by a running kernel that checks itself. Ends with one line of KEY=VALUE words
 * that `./verdant run` makes its table of.
 */
#include <boot/options.h>
#include <boot/program.h>
#include <hal/boot.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/id.h>
#include <sched/waitq.h>
#include <time/clock.h>

#include "check.h"

#define SHORT_LIVES 10000
#define SLEEPERS 1000
#define SMALL_STACK ((size_t)8 << 10)

static _Atomic(bool) stop;

#define say(...) log_info("showcase: " __VA_ARGS__)

/* One task per priority level on each CPU. */
static int count_run(void *arg)
{
    (void)fetch_add_relaxed((_Atomic(unsigned) *)arg, 1);
    task_yield();
    return 0;
}

static void show_levels(void)
{
    static const int priorities[] = { 0, 10, 20, 30, 40, 50, 60, 70, 99 };
    static _Atomic(unsigned) runs;
    unsigned tasks = 0;

    for (unsigned n = 0; n < online_count(); n++) {
        struct task *task[ARRAY_COUNT(priorities)];

        for (unsigned i = 0; i < ARRAY_COUNT(priorities); i++)
            task[i] = spawn_on("level", count_run, (void *)&runs, priorities[i], online_cpu(n));
        for (unsigned i = 0; i < ARRAY_COUNT(priorities); i++)
            CHECK(finish(task[i]) == 0);
        tasks += ARRAY_COUNT(priorities);
    }
    CHECK(load_relaxed(&runs) == tasks);
    say("%u tasks: one per priority level on each of %u CPUs, all dispatched", tasks, online_count());
}

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static uint64_t ran(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.stats.run_ticks;
}

static unsigned share_of(struct task *a, struct task *b)
{
    uint64_t ran_a = ran(a);

    return (unsigned)(ran_a * 10000 / (ran_a + ran(b)));
}

/* Two equal hogs on one CPU: what each is charged, in hundredths of a percent. */
static void show_fairness(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);

    store_relaxed(&stop, false);
    struct task *a = spawn_on("hog a", hog, NULL, PRIORITY_DEFAULT, cpu);
    struct task *b = spawn_on("hog b", hog, NULL, PRIORITY_DEFAULT, cpu);

    if (a == NULL || b == NULL)
        return;
    uint64_t enough = clock_ns_to_ticks(NS_PER_SEC);
    unsigned share = 0;

    /* Slices are 4 ms of 1 s. A virtual CPU that the host holds up may lengthen one of them by any time, which is given
     * back to the other later: so it may take longer. Under -icount the share is within 50 % +- 0.5 % at once. */
    WAIT_FOR(ran(a) + ran(b) >= enough && (share = share_of(a, b)) >= 4000 && share <= 6000);
    store_relaxed(&stop, true);
    (void)finish(a);
    (void)finish(b);
    say("two CPU hogs on CPU %u shared it %u.%02u %% to %u.%02u %%", cpu, share / 100, share % 100,
        (10000 - share) / 100, (10000 - share) % 100);
}

static int wake_often(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        CHECK(task_sleep_for(500 * NS_PER_US) == 0);
    return 0;
}

static void show_preemption(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task_snapshot busy_snapshot, urgent_snapshot;

    store_relaxed(&stop, false);
    struct task *busy = spawn_on("hog", hog, NULL, PRIORITY_DEFAULT, cpu);
    struct task *urgent = spawn_on("urgent", wake_often, NULL, PRIORITY_REALTIME_NORMAL, cpu);

    if (busy == NULL || urgent == NULL)
        return;
    WAIT_FOR((task_get_snapshot(busy, &busy_snapshot), busy_snapshot.stats.involuntary >= 50));
    task_get_snapshot(urgent, &urgent_snapshot);
    store_relaxed(&stop, true);
    (void)finish(urgent);
    (void)finish(busy);
    say("a real-time task preempted a hog %llu times, worst wake-to-run %llu us",
        (unsigned long long)busy_snapshot.stats.involuntary,
        (unsigned long long)(clock_ticks_to_ns(urgent_snapshot.stats.wake_to_run_ticks_max) / NS_PER_US));
}

struct ball {
    struct waitq queue;
    unsigned turn; /* guarded by queue.lock */
    unsigned rounds;
};

static int pass_ball(struct ball *ball, unsigned self)
{
    for (unsigned i = 0; i < ball->rounds; i++) {
        CHECK(waitq_wait_until(&ball->queue, ball->turn == self, TIME_NEVER, WAIT_KILLABLE) == 0);
        uintptr_t state = spin_lock_irqsave(&ball->queue.lock);

        ball->turn = 1 - self;
        (void)waitq_wake_locked(&ball->queue, 1);
        spin_unlock_irqoff(&ball->queue.lock);
        sched_irq_restore(state);
    }
    return 0;
}

static int ping(void *arg)
{
    return pass_ball(arg, 0);
}

static int pong(void *arg)
{
    return pass_ball(arg, 1);
}

static void show_ping_pong(cpu_id_t first, cpu_id_t second)
{
    struct ball ball = { .turn = 0, .rounds = 2000 };
    uint64_t start = clock_ns();

    waitq_init(&ball.queue);
    struct task *a = spawn_on("ping", ping, &ball, PRIORITY_DEFAULT, first);
    struct task *b = spawn_on("pong", pong, &ball, PRIORITY_DEFAULT, second);

    CHECK(finish(a) == 0);
    CHECK(finish(b) == 0);
    say("ping-pong between CPU %u and CPU %u: %u rounds, %llu ns each", first, second, ball.rounds,
        (unsigned long long)((clock_ns() - start) / ball.rounds));
}

static int return_number(void *arg)
{
    return (int)(intptr_t)arg;
}

static _Atomic(tid_t) newest_tid;
static _Atomic(uint64_t) found_count;

static int create_lives(void *arg)
{
    unsigned count = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < count; i++) {
        const struct task_spec spec = {
            .name = "short", .entry = return_number, .arg = (void *)(intptr_t)i, .stack_bytes = STACK_BYTES_DEFAULT,
            .priority = PRIORITY_DEFAULT,
        };
        struct task *task = NULL;
        tid_t tid = task_create(&spec, i % 4 == 0 ? &task : NULL);

        if (!CHECK(tid > 0))
            return 1;
        store_relaxed(&newest_tid, tid);
        if (task != NULL)
            CHECK(finish(task) == (int)i);
    }
    return 0;
}

static int look_up(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg + 1;

    while (!load_relaxed(&stop)) {
        tid_t newest = load_relaxed(&newest_tid);
        tid_t tid = newest - (tid_t)(random_next(&seed) % 32);
        struct task *task = task_lookup(tid);

        if (task != NULL) {
            CHECK(task->tid == tid);
            task_put(task);
            (void)fetch_add_relaxed(&found_count, 1);
        }
        if (random_next(&seed) % 64 == 0)
            task_yield();
    }
    return 0;
}

static void show_short_lives(void)
{
    unsigned creators = MIN(online_count(), 16u);
    uint64_t tasks = count_tasks();
    struct task *creator[16];
    struct task *reader[2];
    uint64_t start = clock_ns();

    store_relaxed(&stop, false);
    for (unsigned i = 0; i < ARRAY_COUNT(reader); i++)
        reader[i] = spawn("reader", look_up, (void *)(uintptr_t)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < creators; i++)
        creator[i] = spawn("creator", create_lives, (void *)(uintptr_t)((SHORT_LIVES + creators - 1) / creators),
                           PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < creators; i++)
        CHECK(finish(creator[i]) == 0);
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < ARRAY_COUNT(reader); i++)
        CHECK(finish(reader[i]) == 0);
    wait_for_tasks(tasks);
    say("%u tasks created and ended by %u creators in %llu ms; others found %llu of them by tid", SHORT_LIVES, creators,
        (unsigned long long)((clock_ns() - start) / NS_PER_MS), (unsigned long long)load_relaxed(&found_count));
}

static int busy_until_stopped(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop)) {
        for (unsigned i = 0; i < 500; i++)
            hal_cpu_relax();
        task_yield();
    }
    return 0;
}

static void show_changes_under_load(void)
{
    static const int priorities[] = { 10, 20, 30, 50, 60, 70, 99 };
    struct task *task[16];
    uint64_t seed = boot_report.options->seed * 2 + 1;
    unsigned moves = 0;
    unsigned changes = 0;

    store_relaxed(&stop, false);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0); /* we must get to run among them */
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("busy", busy_until_stopped, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < 500; i++) {
        struct task *victim = task[random_next(&seed) % ARRAY_COUNT(task)];
        struct task_snapshot snapshot;
        struct cpumask mask;

        if (victim == NULL)
            continue;
        if (i % 2 == 0) {
            CHECK(task_set_priority(victim, priorities[random_next(&seed) % ARRAY_COUNT(priorities)]) == 0);
            changes++;
        } else {
            cpumask_set_single(&mask, online_cpu((unsigned)random_next(&seed)));
            CHECK(task_set_affinity(victim, &mask) == 0);
            task_get_snapshot(victim, &snapshot);
            CHECK(cpumask_contains(&mask, snapshot.cpu));
            moves++;
        }
    }
    store_relaxed(&stop, true); /* before this task steps back: some of them are real-time now */
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    say("%u affinities and %u priorities changed under load, each in force when the call returned", moves, changes);
}

static struct waitq morning = WAITQ_INIT(morning);
static bool is_morning; /* guarded by morning.lock */
static unsigned asleep; /* guarded by morning.lock */
static _Atomic(unsigned) risen;

/* Counted under the lock, as part of the condition: a task that has been counted is in the queue or never sleeps. */
static bool look_out(bool *counted)
{
    asleep += !*counted;
    *counted = true;
    return is_morning;
}

static int sleep_till_morning(void *arg)
{
    bool counted = false;

    (void)arg;
    CHECK(waitq_wait_until(&morning, look_out(&counted), TIME_NEVER, WAIT_KILLABLE) == 0);
    (void)fetch_add_relaxed(&risen, 1);
    return 0;
}

static unsigned count_asleep(void)
{
    uintptr_t state = spin_lock_irqsave(&morning.lock);
    unsigned count = asleep;

    spin_unlock_irqrestore(&morning.lock, state);
    return count;
}

static struct task *sleeper[SLEEPERS];

static void show_herd(void)
{
    unsigned created = 0;

    for (; created < SLEEPERS; created++) {
        const struct task_spec spec = {
            .name = "sleeper", .entry = sleep_till_morning, .stack_bytes = SMALL_STACK, .priority = PRIORITY_DEFAULT,
        };

        tid_t tid = task_create(&spec, &sleeper[created]);

        if (tid == -ENOMEM)
            break; /* a small machine: as many as fit */
        CHECK(tid > 0);
    }
    WAIT_FOR(count_asleep() == created);
    uint64_t start = clock_ns();
    uintptr_t state = spin_lock_irqsave(&morning.lock);

    is_morning = true;
    spin_unlock_irqrestore(&morning.lock, state);
    unsigned woken = waitq_wake_all(&morning);

    for (unsigned i = 0; i < created; i++)
        CHECK(finish(sleeper[i]) == 0);
    CHECK(woken <= created && load_relaxed(&risen) == created);
    CHECK(created >= SLEEPERS || boot_report.ram_bytes < UINT64_C(64) << 20);
    say("%u sleepers woken at once, all up and gone in %llu us", created,
        (unsigned long long)((clock_ns() - start) / NS_PER_US));
}

static void copy_without_blanks(char *to, const char *from, size_t room)
{
    (void)str_copy(to, from, room);
    for (; *to != '\0'; to++)
        if (*to == ' ')
            *to = '_';
}

static void print_result(unsigned leaks)
{
    struct proc_stats tasks;
    uint64_t switches = 0;
    uint64_t migrations = 0;
    char firmware[sizeof boot_report.info->firmware];

    proc_stats_get(&tasks);
    for (unsigned n = 0; n < online_count(); n++) {
        struct sched_cpu_stats stats;

        sched_cpu_stats_get(online_cpu(n), &stats);
        switches += stats.switches;
        migrations += stats.migrations_in;
        log_debug("CPU %u: %llu switches, %llu preemptions, %llu steals", online_cpu(n),
                  (unsigned long long)stats.switches, (unsigned long long)stats.preemptions,
                  (unsigned long long)stats.steals);
    }
    copy_without_blanks(firmware, boot_report.info->firmware, sizeof firmware);
    log_info("showcase: result isa=%s firmware=%s cpus=%u cpus_listed=%u memory_mib=%llu boot_us=%llu created=%llu "
             "reclaimed=%llu switches=%llu migrations=%llu leaks=%u verdict=%s",
             VERDANT_ARCH_NAME, firmware, boot_report.cpus_online, boot_report.info->cpu_listed,
             (unsigned long long)(boot_report.ram_bytes >> 20),
             (unsigned long long)(clock_ticks_to_ns(boot_report.ready_ticks - boot_report.entry_ticks) / NS_PER_US),
             (unsigned long long)tasks.tasks_created, (unsigned long long)tasks.tasks_reclaimed,
             (unsigned long long)switches, (unsigned long long)migrations, leaks,
             check_failures() == 0 && leaks == 0 ? "ok" : "fail");
}

int showcase_main(const char *argument)
{
    struct check_counts before, after;
    struct phys_stats pages;

    (void)argument;
    phys_stats_get(&pages);
    say("%u CPUs online, %llu KiB of memory in use of %llu MiB", online_count(),
        (unsigned long long)((boot_report.ram_bytes >> 10) - pages.free_pages * (PAGE_BYTES >> 10)),
        (unsigned long long)(boot_report.ram_bytes >> 20));
    check_counts_get(&before);
    show_levels();
    show_fairness();
    show_preemption();
    show_ping_pong(online_cpu(0), online_cpu(0));
    if (online_count() > 1)
        show_ping_pong(online_cpu(0), online_cpu(1));
    show_short_lives();
    show_changes_under_load();
    show_herd();
    CHECK(check_census());
    check_counts_get(&after);
    unsigned leaks = check_counts_compare(&before, &after);

    say("pages, tasks, stacks, ids and processes %s", leaks == 0 ? "as at the start" : "DIFFER from the start");
    print_result(leaks);
    return check_failures() == 0 && leaks == 0 ? 0 : 1;
}
