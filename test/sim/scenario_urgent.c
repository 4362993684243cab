/* SPDX-License-Identifier: MIT */
/* Tasks that keep their CPU for long: who they displace may run elsewhere, the urgent do not wait for others, and the
 * end of a long read section is waited for. */
#include "scenario.h"

#include <hal/point.h>
#include <smp/preempt.h>

#define CPUS_MAX 8u
#define HOLD_POINTS 3000u  /* far longer than a poke takes, so that an idle CPU that was not told is seen to sleep */
#define SWITCHES 40u
#define SIGNALS 12u

static struct {
    struct sim_semaphore semaphore[CPUS_MAX];
    _Atomic(unsigned) left;
} story;

static unsigned story_cpus(void)
{
    return MIN(online_count(), CPUS_MAX);
}

static void compute(unsigned points)
{
    for (; points > 0; points--)
        hal_point(NULL);
}

/* Urgent and pinned: sleeps, then keeps its CPU for long. */
static int displace(void *arg)
{
    (void)arg;
    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_nap(20 * NS_PER_US);
        compute(HOLD_POINTS);
    }
    (void)fetch_sub_relaxed(&story.left, 1);
    return 0;
}

/* Runs anywhere, and leaves CPUs idle for a while now and then. */
static int be_displaced(void *arg)
{
    (void)arg;
    while (load_relaxed(&story.left) != 0) {
        compute((unsigned)sim_random_below(HOLD_POINTS));
        sim_nap(sim_chance(2) ? 2 * NS_PER_US : 20 * NS_PER_US);
    }
    return 0;
}

/* Hazard 13: a task is displaced while another CPU is about to sleep, or wakes for something else. */
static void urgent_displaces(void)
{
    unsigned cpus = story_cpus();
    unsigned urgent = MAX(cpus - 1, 1u);
    struct task *task[2 * CPUS_MAX];

    store_relaxed(&story.left, urgent);
    for (unsigned i = 0; i < urgent; i++)
        task[i] = spawn_on("urgent", displace, NULL, PRIORITY_REALTIME_LOW, online_cpu(i));
    for (unsigned i = urgent; i < urgent + cpus; i++)
        task[i] = spawn("displaced", be_displaced, NULL, PRIORITY_DEFAULT, NULL);
    CHECK(sim_finish_all(task, urgent + cpus) == 0);
}

/* The three of the next story: one that is displaced, one that falls asleep just then, and who displaces. */
enum role { ROLE_DISPLACED, ROLE_SLEEPER, ROLE_URGENT, ROLES };

static int go_on_elsewhere(void *arg)
{
    (void)arg;
    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_stay_on(online_cpu(0));
        sim_roam();
        sim_up(&story.semaphore[ROLE_SLEEPER]);
        compute(HOLD_POINTS);
        CHECK(sim_down(&story.semaphore[ROLE_DISPLACED], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    }
    return 0;
}

static int signal_and_sleep(void *arg)
{
    (void)arg;
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(sim_down(&story.semaphore[ROLE_SLEEPER], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        compute((unsigned)sim_random_below(200));
        sim_up(&story.semaphore[ROLE_URGENT]);
        compute((unsigned)sim_random_below(100));
    }
    return 0;
}

static int displace_on_signal(void *arg)
{
    (void)arg;
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(sim_down(&story.semaphore[ROLE_URGENT], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        compute(HOLD_POINTS);
        sim_up(&story.semaphore[ROLE_DISPLACED]);
    }
    return 0;
}

/* Hazard 13: the same, and who falls asleep is who caused it, so that both come at one time. */
static void urgent_asleep(void)
{
    struct task *task[ROLES];

    for (unsigned i = 0; i < ROLES; i++)
        sim_semaphore_init(&story.semaphore[i], 0);
    task[ROLE_DISPLACED] = spawn("displaced", go_on_elsewhere, NULL, PRIORITY_DEFAULT, NULL);
    task[ROLE_SLEEPER] = sim_spawn_nth("sleeper", signal_and_sleep, NULL, 1);
    task[ROLE_URGENT] = spawn_on("urgent", displace_on_signal, NULL, PRIORITY_REALTIME_LOW, online_cpu(0));
    CHECK(sim_finish_all(task, ROLES) == 0);
}

/* Two of these on a CPU switch to and fro. */
static int switch_often(void *arg)
{
    (void)arg;
    for (unsigned left = SWITCHES * sim_rounds(); left > 0; left--) {
        compute((unsigned)sim_random_below(60));
        task_yield();
    }
    return 0;
}

static int wait_urgently(void *semaphore)
{
    for (unsigned left = SIGNALS * sim_rounds(); left > 0; left--)
        CHECK(sim_down(semaphore, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    return 0;
}

static int signal_away(void *semaphore)
{
    for (unsigned left = SIGNALS * sim_rounds(); left > 0; left--) {
        compute((unsigned)sim_random_below(300));
        sim_up(semaphore);
    }
    return 0;
}

/* Hazards 10 and 18: an urgent task is woken from afar just when its CPU switches. */
static void urgent_wakes(void)
{
    unsigned cpus = story_cpus();
    struct task *task[4 * CPUS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < cpus; i++) {
        sim_semaphore_init(&story.semaphore[i], 0);
        task[count++] = sim_spawn_nth("switching", switch_often, NULL, i);
        task[count++] = sim_spawn_nth("switching", switch_often, NULL, i);
        task[count++] = spawn_on("urgent", wait_urgently, &story.semaphore[i], PRIORITY_REALTIME_LOW, online_cpu(i));
        task[count++] = sim_spawn_nth("signaller", signal_away, &story.semaphore[i], i + 1);
    }
    CHECK(sim_finish_all(task, count) == 0);
}

/* Longer than the reaper's patience with a grace period, 1 ms: a step takes 20 ns at least. */
#define SECTION_POINTS 60000u

static int read_for_long(void *line)
{
    sim_line_wait(line);
    preempt_disable();
    compute(SECTION_POINTS);
    preempt_enable();
    return 0;
}

/* A reader is poked for a quiescent state in the middle of its section. */
static void section_poked(void)
{
    static struct sim_line line;

    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_line_init(&line);
        struct task *reader = sim_spawn_nth("reader", read_for_long, &line, 1);

        sim_line_open(&line, 1);
        sim_delay();
        CHECK(finish(sim_spawn_nth("brief", sim_end_with, NULL, 0)) == 0);
        reaper_wait_pass();
        CHECK(finish(reader) == 0);
    }
}

/* As the story's options say. At the weight of the least urgent, a tenth of a slice is seven slices of virtual time. */
#define SLICE_NS (1 * NS_PER_MS)
#define PRIORITY_FAIR_LOWEST (PRIORITY_IDLE - 1)

static _Atomic(bool) has_moved;

static int stay_and_compute(void *arg)
{
    (void)arg;
    while (!load_relaxed(&has_moved))
        compute(100);
    return 0;
}

/* The queue that it leaves is far ahead of the one that it joins: that must not count. */
static int move_to_busy(void *arg)
{
    uint64_t begin_ns = clock_ns();

    (void)arg;
    while (clock_ns() - begin_ns < SLICE_NS / 10)
        compute(100);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    begin_ns = clock_ns();
    sim_stay_on(online_cpu(1));
    CHECK(clock_ns() - begin_ns < 3 * SLICE_NS);
    store_relaxed(&has_moved, true);
    return 0;
}

/* Hazard 18: a task that moves waits for as long as its old CPU's virtual time is ahead of its new one's. */
static void fair_moves(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *task[2];

        store_relaxed(&has_moved, false);
        task[0] = sim_spawn_nth("busy", stay_and_compute, NULL, 1);
        task[1] = spawn_on("mover", move_to_busy, NULL, PRIORITY_FAIR_LOWEST, online_cpu(0));
        CHECK(sim_finish_all(task, 2) == 0);
    }
}

#define LAST_REFERENCES 24u /* more than the reaper lets wait before it begins */

/* The least urgent of all drops what makes work for the reaper, and goes on without a call into the kernel. */
static int drop_and_compute(void *tasks)
{
    struct task *const *dead = tasks;

    for (unsigned i = 0; i < LAST_REFERENCES; i++)
        task_put(dead[i]);
    compute(HOLD_POINTS);
    return 0;
}

/* Hazard 13: a wake-up in the middle of a call asks this CPU to switch, and the call ends without. */
static void urgent_reaper(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *dead[LAST_REFERENCES];

        for (unsigned i = 0; i < LAST_REFERENCES; i++) {
            dead[i] = sim_spawn_nth("brief", sim_end_with, NULL, i);
            CHECK(task_join(dead[i], NULL, TIME_NEVER) == 0);
        }
        CHECK(finish(spawn_on("dropper", drop_and_compute, dead, PRIORITY_IDLE, online_cpu(round))) == 0);
    }
}

#define CROWD 40u /* half of them are more than are looked at in one go when idle CPUs are sought for those who wait */

static int crowd(void *arg)
{
    (void)arg;
    while (load_relaxed(&story.left) != 0)
        compute(100);
    return 0;
}

static int displace_once(void *arg)
{
    (void)arg;
    sim_nap(20 * NS_PER_US);
    compute(HOLD_POINTS);
    return 0;
}

/* The last to come of many who wait is the only one that suits the CPU that sleeps. */
static int suit_another(void *arg)
{
    struct cpumask mask;

    (void)arg;
    cpumask_set_single(&mask, online_cpu(0));
    cpumask_add(&mask, online_cpu(2));
    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_stay_on(online_cpu(0));
        CHECK(task_set_affinity(current_task(), &mask) == 0);
        struct task *urgent = spawn_on("urgent", displace_once, NULL, PRIORITY_REALTIME_HIGH, online_cpu(0));

        compute(2 * HOLD_POINTS);
        CHECK(finish(urgent) == 0);
    }
    store_relaxed(&story.left, 0);
    return 0;
}

/* Hazard 13: a displaced task stands behind many that no idle CPU may run. */
static void urgent_crowd(void)
{
    struct task *task[CROWD + 1];
    struct cpumask mask;

    if (online_count() < 3)
        return;
    cpumask_set_single(&mask, online_cpu(0));
    cpumask_add(&mask, online_cpu(1));
    store_relaxed(&story.left, 1);
    for (unsigned i = 0; i < CROWD; i++)
        task[i] = spawn("crowd", crowd, NULL, PRIORITY_DEFAULT, &mask);
    task[CROWD] = spawn("displaced", suit_another, NULL, PRIORITY_REALTIME_LOW, NULL);
    CHECK(sim_finish_all(task, CROWD + 1) == 0);
}

extern const struct sim_scenario sim_scenarios_urgent[];
const struct sim_scenario sim_scenarios_urgent[] = {
    { .name = "urgent-displaces", .aim = "a displaced task waits while another CPU falls asleep beside it",
      .cpus = 3, .cpus_min = 2, .rounds = 3, .run = urgent_displaces },
    { .name = "urgent-asleep", .aim = "a task is displaced just when the only other CPU falls asleep",
      .cpus = 2, .cpus_min = 2, .rounds = 10, .run = urgent_asleep },
    { .name = "urgent-wakes", .aim = "an urgent task waits for a CPU that has just switched",
      .cpus = 2, .cpus_min = 2, .rounds = 3, .run = urgent_wakes },
    { .name = "urgent-reaper", .aim = "the reaper is woken by the least urgent task, which goes on instead",
      .cpus = 1, .cpus_min = 1, .rounds = 2, .run = urgent_reaper },
    { .name = "urgent-crowd", .aim = "a displaced task waits behind many who may not run on the CPU that sleeps",
      .cpus = 3, .cpus_min = 3, .rounds = 3, .run = urgent_crowd },
    { .name = "fair-moves", .aim = "a fair task that moves is behind or ahead by what its old CPU has run",
      .cpus = 2, .cpus_min = 2, .rounds = 1, .options = "slice=1", .run = fair_moves },
    { .name = "section-poked", .aim = "a reader that is asked for a quiescent state reports one inside of its section",
      .cpus = 2, .cpus_min = 2, .rounds = 1, .run = section_poked },
    { .name = NULL },
};
