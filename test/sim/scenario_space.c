/* SPDX-License-Identifier: MIT */
/*
 * Spaces and CPUs that come and go: ids that run out, CPUs that hold translations of a space that they do not use, and
 * shoot-downs that meet switches and each other. A page's first word says whose it is and the how-manieth there.
 */
#include "scenario.h"

#include <lib/string.h>
#include <smp/tlb.h>
#include <vm/space.h>

#define USER_VA ((vaddr_t)0x10000000)
#define PAGES 3
#define STAMP(owner, turn) ((uint64_t)(owner) << 32 | (turn))

/* A process with a few pages that others come in the place of. */
struct home {
    struct process *process;
    unsigned owner;
    struct mutex lock; /* who changes it */
    paddr_t page[PAGES];
    uint32_t turn[PAGES];
    _Atomic(uint32_t) oldest[PAGES]; /* PAIRS(sim_oldest): what came before it is out of reach for everybody */
};

static vaddr_t va_of(unsigned page)
{
    return USER_VA + page * PAGE_BYTES;
}

static bool home_fill(struct home *home, unsigned page)
{
    home->page[page] = phys_alloc_zeroed(0);
    if (!CHECK(home->page[page] != 0))
        return false;
    *(uint64_t *)phys_to_virt(home->page[page]) = STAMP(home->owner, home->turn[page]);
    return sim_user_map(home->process, va_of(page), home->page[page], SIM_USER_RW);
}

static bool home_make(struct home *home, unsigned owner)
{
    mutex_init(&home->lock);
    home->owner = owner;
    if (!CHECK(process_create(&process_kernel, "home", &home->process) == 0))
        return false;
    for (unsigned page = 0; page < PAGES; page++) {
        home->turn[page] = 0;
        store_relaxed(&home->oldest[page], 0);
        if (!home_fill(home, page))
            return false;
    }
    return true;
}

/* Nobody uses it, or will: nothing needs to be shot down. */
static void home_unmake(struct home *home)
{
    for (unsigned page = 0; page < PAGES; page++) {
        sim_user_unmap(home->process, va_of(page));
        phys_free(home->page[page], 0);
    }
    process_put(home->process);
}

/* Another page comes in the place of one. */
static void home_change(struct home *home, unsigned page)
{
    mutex_lock(&home->lock);
    sim_user_unmap(home->process, va_of(page));
    sim_user_shoot_down(home->process, va_of(page));
    home->turn[page]++;
    store_release(&home->oldest[page], home->turn[page]); /* PAIRS(sim_oldest) */
    phys_free(home->page[page], 0);
    (void)home_fill(home, page);
    mutex_unlock(&home->lock);
}

/* By a program of that home. */
static bool home_look(struct home *home, unsigned page)
{
    uint32_t oldest = load_acquire(&home->oldest[page]); /* PAIRS(sim_oldest) */
    uint64_t stamp = 0;

    if (!host_user_load(va_of(page), &stamp))
        return true; /* between two pages */
    return CHECK(stamp >> 32 == home->owner) && CHECK((uint32_t)stamp >= oldest);
}

static bool home_look_at_all(struct home *home)
{
    bool ok = true;

    for (unsigned page = 0; page < PAGES && ok; page++)
        ok = home_look(home, page);
    return ok;
}

/*
 * space-ids: there are more spaces than ids, and they come and go. Some stay in use on a CPU meanwhile, some sleep for
 * a long time and find their id gone.
 */
#define RESIDENTS 3
#define GUESTS 4

static struct {
    struct home resident[RESIDENTS], guest[GUESTS];
    _Atomic(bool) is_over;
} ids;

static int resident_program(void *arg)
{
    struct home *home = arg;

    while (!load_relaxed(&ids.is_over)) {
        if (!home_look_at_all(home))
            return 1;
        if (sim_chance(3))
            home_change(home, (unsigned)sim_random_below(PAGES));
        sim_delay();
        if (sim_chance(2))
            sim_nap(20 * NS_PER_US);
    }
    return 0;
}

static int guest_program(void *arg)
{
    struct home *home = arg;

    for (unsigned look = 0; look < 3; look++) {
        if (!home_look_at_all(home))
            return 1;
        if (sim_chance(2))
            task_yield();
    }
    return 0;
}

static void space_ids(void)
{
    struct thread *resident[RESIDENTS], *guest[GUESTS];

    store_relaxed(&ids.is_over, false);
    for (unsigned i = 0; i < RESIDENTS; i++) {
        if (!home_make(&ids.resident[i], 1 + i))
            return;
        resident[i] = sim_thread(ids.resident[i].process, resident_program, &ids.resident[i], NULL);
    }
    for (unsigned round = 2 * sim_rounds(); round > 0; round--) {
        for (unsigned i = 0; i < GUESTS; i++) {
            if (!home_make(&ids.guest[i], 100 * round + i))
                return;
            guest[i] = sim_thread(ids.guest[i].process, guest_program, &ids.guest[i], NULL);
        }
        for (unsigned i = 0; i < GUESTS; i++) {
            sim_programs_finish(ids.guest[i].process, &guest[i], 1);
            home_unmake(&ids.guest[i]);
        }
    }
    store_relaxed(&ids.is_over, true);
    for (unsigned i = 0; i < RESIDENTS; i++) {
        sim_programs_finish(ids.resident[i].process, &resident[i], 1);
        home_unmake(&ids.resident[i]);
    }
}

/*
 * space-asleep: every CPU has known the pages of a process that sleeps. Nobody is disturbed when they change, and
 * whoever wakes sees the new ones.
 */
static struct {
    struct home home;
    struct sim_semaphore go, done;
    _Atomic(bool) is_over;
} asleep;

static int asleep_program(void *arg)
{
    (void)arg;
    for (;;) {
        (void)sim_down(&asleep.go, TIME_NEVER, WAIT_UNINTERRUPTED);
        if (load_relaxed(&asleep.is_over))
            return 0;
        bool ok = home_look_at_all(&asleep.home);

        sim_up(&asleep.done);
        if (!ok)
            return 1;
    }
}

/* All others are off their CPUs, and nobody will wake them. */
static void wait_alone(void)
{
    struct sched_census census;

    for (;;) {
        sched_census_get(&census);
        if (census.queued == 0 && census.running == 1)
            return;
        sim_pause();
    }
}

static void space_asleep(void)
{
    struct thread *thread[SIM_PROGRAMS_MAX];
    struct tlb_stats before, after;

    sim_semaphore_init(&asleep.go, 0);
    sim_semaphore_init(&asleep.done, 0);
    store_relaxed(&asleep.is_over, false);
    if (!home_make(&asleep.home, 7))
        return;
    unsigned count = sim_programs_start(asleep.home.process, asleep_program, thread);

    for (unsigned round = 2 * sim_rounds(); round > 0; round--) {
        for (unsigned i = 0; i < count; i++)
            sim_up(&asleep.go);
        for (unsigned i = 0; i < count; i++)
            (void)sim_down(&asleep.done, TIME_NEVER, WAIT_UNINTERRUPTED);
        wait_alone();
        tlb_stats_get(&before);
        home_change(&asleep.home, (unsigned)sim_random_below(PAGES));
        tlb_stats_get(&after);
        CHECK(after.disturbed == before.disturbed && after.shootdowns == before.shootdowns);
        CHECK(after.ids == 0 ? after.deferred == before.deferred : after.deferred > before.deferred);
    }
    store_relaxed(&asleep.is_over, true);
    for (unsigned i = 0; i < count; i++)
        sim_up(&asleep.go);
    sim_programs_finish(asleep.home.process, thread, count);
    home_unmake(&asleep.home);
}

/* space-duel: programs of two processes change the pages of the other one, and look at their own. */
static struct {
    struct sim_line line;
    struct home home[2];
} duel;

static int duel_program(void *arg)
{
    unsigned side = (unsigned)(uintptr_t)arg % 2;

    sim_line_wait(&duel.line);
    for (unsigned round = 2 * sim_rounds(); round > 0; round--) {
        if (!home_look_at_all(&duel.home[side]))
            return 1;
        home_change(&duel.home[1 - side], (unsigned)sim_random_below(PAGES));
        sim_delay();
    }
    return 0;
}

static void space_duel(void)
{
    struct thread *thread[4];

    sim_line_init(&duel.line);
    for (unsigned side = 0; side < 2; side++)
        if (!home_make(&duel.home[side], 1 + side))
            return;
    for (unsigned i = 0; i < ARRAY_COUNT(thread); i++)
        thread[i] = sim_thread(duel.home[i % 2].process, duel_program, (void *)(uintptr_t)i, NULL);
    sim_line_open(&duel.line, ARRAY_COUNT(thread));
    for (unsigned side = 0; side < 2; side++) {
        struct thread *own[2] = { thread[side], thread[side + 2] };

        sim_programs_finish(duel.home[side].process, own, 2);
    }
    for (unsigned side = 0; side < 2; side++)
        home_unmake(&duel.home[side]);
}

/* space-switch: on each CPU a program and a kernel task, or a program of another process, take turns as fast as they
 * can, while the pages change. */
static struct {
    struct sim_line line;
    struct home home, other;
    _Atomic(bool) is_over;
} fast;

static int fast_program(void *arg)
{
    struct home *home = arg;

    sim_line_wait(&fast.line);
    while (!load_relaxed(&fast.is_over)) {
        if (!home_look_at_all(home))
            return 1;
        task_yield();
    }
    return 0;
}

static int fast_task(void *arg)
{
    (void)arg;
    sim_line_wait(&fast.line);
    while (!load_relaxed(&fast.is_over)) {
        sim_delay();
        task_yield();
    }
    return 0;
}

static void space_switch(void)
{
    struct thread *program[SIM_PROGRAMS_MAX], *other[SIM_PROGRAMS_MAX];
    struct task *task[SIM_PROGRAMS_MAX];
    unsigned cpus = MIN(online_count(), 4u);
    unsigned tasks = 0, others = 0;

    sim_line_init(&fast.line);
    store_relaxed(&fast.is_over, false);
    if (!home_make(&fast.home, 1) || !home_make(&fast.other, 2))
        return;
    for (unsigned i = 0; i < cpus; i++) {
        struct cpumask here;

        cpumask_set_single(&here, online_cpu(i));
        program[i] = sim_thread(fast.home.process, fast_program, &fast.home, &here);
        if (i % 2 == 0)
            other[others++] = sim_thread(fast.other.process, fast_program, &fast.other, &here);
        else
            task[tasks++] = spawn_on("beside", fast_task, NULL, 65, online_cpu(i));
    }
    sim_line_open(&fast.line, 2 * cpus);
    for (unsigned round = 8 * sim_rounds(); round > 0; round--) {
        home_change(&fast.home, (unsigned)sim_random_below(PAGES));
        sim_delay();
        if (sim_chance(2))
            sim_nap(5 * NS_PER_US);
    }
    store_relaxed(&fast.is_over, true);
    sim_programs_finish(fast.home.process, program, cpus);
    sim_programs_finish(fast.other.process, other, others);
    CHECK(sim_finish_all(task, tasks) == 0);
    home_unmake(&fast.home);
    home_unmake(&fast.other);
}

extern const struct sim_scenario sim_scenarios_space[];
const struct sim_scenario sim_scenarios_space[] = {
    { .name = "space-ids", .aim = "ids of spaces run out, and are given out again while CPUs use them or sleep on them",
      .cpus = 4, .cpus_min = 1, .rounds = 5, .options = "asids=17", .run = space_ids },
    { .name = "space-asleep", .aim = "pages change that only CPUs know that do not use the space, and then do again",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = space_asleep },
    { .name = "space-duel", .aim = "two CPUs shoot down each other's space while they use it",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = space_duel },
    { .name = "space-switch", .aim = "a shoot-down meets a CPU that is about to use the space, or to leave it",
      .cpus = 3, .cpus_min = 2, .rounds = 4, .run = space_switch },
    { .name = NULL },
};
