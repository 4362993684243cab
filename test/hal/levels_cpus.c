/* SPDX-License-Identifier: MIT */
/*
 * Levels about several CPUs: pokes, migration, the end. What a poke must make visible is stored without any order of
 * its own, so that nothing but the poke can publish it. CPU 0 gives the orders.
 */
#include "levels.h"

#include "roam.h"

#define STORM_ROUNDS 1000u
#define STORM_CPUS_MAX 64u /* who storm and migrate with each other; the table is of that size squared */
#define QUIET_NS NS_PER_MS
#define COALESCE_POKES 10u
#define MIGRATE_ROUNDS 400u
#define PARK_LOOKS 100u

/* ---- poke ---- */

/* The letter of the last sender to a CPU. Its words count up from its number, so that one half read is recognised: a
 * poke about something else may come while it is written. */
struct letter {
    _Atomic(uint64_t) number;
    _Atomic(uint64_t) sent_ticks;
    _Atomic(uint64_t) words[6];
};

static struct letter letters[CPU_MAX];
static _Atomic(uint64_t) seen[CPU_MAX]; /* PAIRS(kit_seen): the number of the last letter that was read whole */

static void read_letter(struct kit_cpu *self)
{
    struct letter *letter = &letters[self->id];
    uint64_t number = load_relaxed(&letter->number);
    bool is_whole = true;

    for (unsigned i = 0; i < ARRAY_COUNT(letter->words); i++)
        is_whole = is_whole && load_relaxed(&letter->words[i]) == number + i;
    uint64_t sent_ticks = load_relaxed(&letter->sent_ticks);
    uint64_t now = hal_clock_ticks();

    CHECK(now >= sent_ticks, "CPU %u: the clock, %llu, is behind the sender's, %llu", self->id,
          (unsigned long long)now, (unsigned long long)sent_ticks);
    if (is_whole)
        store_release(&seen[self->id], number); /* PAIRS(kit_seen) */
}

static void send_letter(struct kit_cpu *self, void *arg)
{
    cpu_id_t to = *(const cpu_id_t *)arg;
    struct letter *letter = &letters[to];
    uint64_t number = load_relaxed(&letter->number) + 1;

    store_relaxed(&letter->sent_ticks, hal_clock_ticks());
    store_relaxed(&letter->number, number);
    for (unsigned i = 0; i < ARRAY_COUNT(letter->words); i++)
        store_relaxed(&letter->words[i], number + i);
    hal_cpu_poke(to);
    if (to != self->id)
        return;
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    while (load_relaxed(&seen[to]) != number) {
        CHECK_BEFORE(end, "CPU %u: a poke of itself is lost", to);
        kit_idle_until_ns(NS_PER_MS);
    }
}

/* Each to each. The receiver idles; only trap_ipi() writes `seen`. */
static void check_pairs(unsigned count)
{
    for (cpu_id_t id = 0; id < count; id++)
        store_release(&kit_cpus[id]->on_ipi, read_letter); /* PAIRS(kit_on_ipi) */
    for (cpu_id_t from = 0; from < count; from++)
        for (cpu_id_t to = 0; to < count; to++) {
            uint64_t wanted = load_relaxed(&letters[to].number) + 1;
            uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

            kit_cpus_run(from, send_letter, &to);
            while (load_acquire(&seen[to]) != wanted) { /* PAIRS(kit_seen) */
                CHECK_BEFORE(end, "the poke from CPU %u to CPU %u is lost", from, to);
                kit_idle_until_ns(NS_PER_MS);
            }
        }
    for (cpu_id_t id = 0; id < count; id++)
        store_release(&kit_cpus[id]->on_ipi, NULL); /* PAIRS(kit_on_ipi) */
}

static void wait_poked(struct kit_cpu *self, unsigned before)
{
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    while (self->ipis == before) {
        CHECK_BEFORE(end, "CPU %u: a poke that came while interrupts were disabled, or in trap_ipi(), is lost",
                     self->id);
        hal_cpu_relax();
    }
}

/* Take what is still pending. */
static void drain(void)
{
    hal_timer_arm(TIME_NEVER);
    hal_irq_enable();
    kit_wait_ns(QUIET_NS);
    hal_irq_disable();
}

/* One that comes while trap_ipi() runs is not pending any more, but a new one. */
static void poke_again(struct kit_cpu *self)
{
    store_release(&self->on_ipi, NULL); /* PAIRS(kit_on_ipi) */
    hal_cpu_poke(self->id);
}

static void check_repeated(struct kit_cpu *self)
{
    drain();
    unsigned before = self->ipis;

    store_release(&self->on_ipi, poke_again); /* PAIRS(kit_on_ipi) */
    hal_cpu_poke(self->id);
    hal_irq_enable();
    wait_poked(self, before);
    wait_poked(self, before + 1);
    hal_irq_disable();
    CHECK(self->ipis == before + 2, "CPU %u: 2 pokes make %u calls of trap_ipi()", self->id, self->ipis - before);
}

/* Interrupts disabled: pokes of oneself stay pending, then come, as one or as several, and no more come after them. */
static void check_pending(struct kit_cpu *self, void *unused)
{
    (void)unused;
    drain();
    unsigned before = self->ipis;

    for (unsigned i = 0; i < COALESCE_POKES; i++)
        hal_cpu_poke(self->id);
    kit_wait_ns(QUIET_NS);
    CHECK(self->ipis == before, "CPU %u: trap_ipi() is called while interrupts are disabled", self->id);
    hal_irq_enable();
    wait_poked(self, before);
    kit_wait_ns(QUIET_NS);
    hal_irq_disable();
    unsigned calls = self->ipis - before;

    CHECK(calls >= 1 && calls <= COALESCE_POKES, "CPU %u: %u pokes make %u calls of trap_ipi()", self->id,
          COALESCE_POKES, calls);
    hal_irq_enable();
    kit_wait_ns(QUIET_NS);
    hal_irq_disable();
    CHECK(self->ipis - before == calls, "CPU %u: a poke comes twice", self->id);
    before = self->ipis;
    hal_cpu_poke(self->id); /* pending before the wait: it must end it */
    while (self->ipis == before)
        hal_cpu_idle();
    check_repeated(self);
}

/* The same with another CPU as the sender: handshake by flags, no interrupt needed. */
static struct {
    _Atomic(bool) is_ready, is_poked; /* PAIRS(kit_hand) */
} hand;

static void receive_disabled(struct kit_cpu *self, void *unused)
{
    (void)unused;
    drain();
    unsigned before = self->ipis;

    store_release(&hand.is_ready, true); /* PAIRS(kit_hand) */
    while (!load_acquire(&hand.is_poked)) /* PAIRS(kit_hand) */
        hal_cpu_relax();
    kit_wait_ns(QUIET_NS);
    CHECK(self->ipis == before, "CPU %u: trap_ipi() is called while interrupts are disabled", self->id);
    hal_irq_enable();
    wait_poked(self, before);
    hal_irq_disable();
}

static void check_pending_from_other(cpu_id_t to)
{
    struct kit_job job = { receive_disabled, NULL };

    store_release(&hand.is_ready, false); /* PAIRS(kit_hand) */
    store_release(&hand.is_poked, false); /* PAIRS(kit_hand) */
    kit_cpus_begin(to, &job);
    while (!load_acquire(&hand.is_ready)) /* PAIRS(kit_hand) */
        hal_cpu_relax();
    hal_cpu_poke(to);
    store_release(&hand.is_poked, true); /* PAIRS(kit_hand) */
    kit_cpus_wait(to);
}

/* ---- The storm: all at once. Row: target; column: source; each word has one writer. ---- */

static struct {
    unsigned count;
    _Atomic(uint32_t) *sent, *got; /* [target * count + source] */
    struct kit_job job;
} storm;

static void storm_ipi(struct kit_cpu *self)
{
    for (unsigned source = 0; source < storm.count; source++) {
        size_t at = self->id * storm.count + source;

        store_relaxed(&storm.got[at], load_relaxed(&storm.sent[at]));
    }
}

static void storm_run(struct kit_cpu *self, void *unused)
{
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15) * (self->id + 1);

    (void)unused;
    hal_irq_enable();
    for (uint32_t round = 1; round <= STORM_ROUNDS; round++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        cpu_id_t to = (cpu_id_t)(random >> 8) % storm.count;

        store_relaxed(&storm.sent[to * storm.count + self->id], round);
        hal_cpu_poke(to);
        if (random % 8 == 0) {
            hal_irq_disable();
            kit_wait_ns(random >> 32 & 0xfff);
            hal_irq_enable();
        }
    }
    hal_irq_disable();
}

static void check_storm(unsigned count)
{
    size_t words = (size_t)count * count;
    uint64_t end;

    storm.count = count;
    storm.sent = kit_pages_alloc(words * sizeof *storm.sent);
    storm.got = kit_pages_alloc(words * sizeof *storm.got);
    storm.job = (struct kit_job){ storm_run, NULL };
    for (cpu_id_t id = 0; id < count; id++)
        store_release(&kit_cpus[id]->on_ipi, storm_ipi); /* PAIRS(kit_on_ipi) */
    for (cpu_id_t id = 1; id < count; id++)
        kit_cpus_begin(id, &storm.job);
    storm_run(kit_cpus[0], NULL);
    for (cpu_id_t id = 1; id < count; id++)
        kit_cpus_wait(id);
    end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);
    for (size_t at = 0; at < words; at++)
        while (load_relaxed(&storm.got[at]) != load_relaxed(&storm.sent[at])) {
            CHECK_BEFORE(end, "in the storm a poke from CPU %u to CPU %u was lost: %u of %u",
                  (unsigned)(at % count), (unsigned)(at / count), load_relaxed(&storm.got[at]),
                  load_relaxed(&storm.sent[at]));
            kit_idle_until_ns(NS_PER_MS);
        }
    for (cpu_id_t id = 0; id < count; id++)
        store_release(&kit_cpus[id]->on_ipi, NULL); /* PAIRS(kit_on_ipi) */
}

const char *level_poke(void)
{
    unsigned count = kit_boot->cpu_count;

    for (cpu_id_t id = 0; id < count; id++)
        kit_cpus_run(id, check_pending, NULL);
    check_pairs(count);
    for (cpu_id_t id = 1; id < count; id++)
        check_pending_from_other(id);
    check_storm(MIN(count, STORM_CPUS_MAX));
    return NULL;
}

/* ---- migrate ---- */

static void check_own(struct kit_cpu *self, void *unused)
{
    (void)unused;
    kit_check_cpu_faults(self);
    (void)kit_timer_once(NS_PER_MS);
}

const char *level_migrate(void)
{
    unsigned count = MIN(kit_boot->cpu_count, STORM_CPUS_MAX);
    unsigned before = roam_rounds();

    if (count == 1)
        return "one CPU";
    for (unsigned i = 0; i < MIGRATE_ROUNDS; i++)
        kit_cpus_run((cpu_id_t)(kit_random() % count), roam_on, NULL);
    CHECK(roam_rounds() > before, "the migrated task never got on");
    /* What is the CPU's own must not have come along with the task. */
    for (cpu_id_t id = 0; id < count; id++)
        kit_cpus_run(id, check_own, NULL);
    return NULL;
}

/* ---- park ---- */

static _Atomic(bool) is_parking; /* PAIRS(kit_park) */
static unsigned parked_ipis[CPU_MAX];

static void park(struct kit_cpu *self, void *unused)
{
    (void)self;
    (void)unused;
    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(QUIET_NS)); /* must not bring it back */
    store_release(&is_parking, true); /* PAIRS(kit_park) */
    hal_cpu_park();
}

static void check_park(cpu_id_t id)
{
    static struct kit_job job = { park, NULL };
    unsigned ipis, timers;

    store_release(&is_parking, false); /* PAIRS(kit_park) */
    kit_cpus_begin(id, &job);
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    while (!load_acquire(&is_parking)) { /* PAIRS(kit_park) */
        CHECK_BEFORE(end, "CPU %u does not answer", id);
        kit_idle_until_ns(NS_PER_MS);
    }
    ipis = parked_ipis[id] = kit_cpus[id]->ipis;
    timers = kit_cpus[id]->timers;
    for (unsigned i = 0; i < COALESCE_POKES; i++)
        hal_cpu_poke(id);
    kit_wait_ns(3 * QUIET_NS);
    CHECK(kit_cpus[id]->ipis == ipis && kit_cpus[id]->timers == timers, "parked CPU %u takes interrupts", id);
    CHECK(load_acquire(&kit_cpus[id]->job) == &job, "parked CPU %u runs", id); /* PAIRS(kit_job) */
}

const char *level_park(void)
{
    hal_timer_arm(TIME_NEVER);
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++)
        check_park(id);
    for (unsigned i = 0; i < PARK_LOOKS; i++)
        kit_idle_until_ns(NS_PER_MS); /* host time for those who should not want it */
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++)
        CHECK(kit_cpus[id]->ipis == parked_ipis[id], "parked CPU %u takes interrupts", id);
    return kit_boot->cpu_count == 1 ? "one CPU; this one is the one that speaks" : NULL;
}

/* ---- restart ---- */

static void note_id(struct kit_cpu *self, void *arg)
{
    *(cpu_id_t *)arg = self->id;
}

/* The park level has left them all parked. */
const char *level_restart(void)
{
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++) {
        for (unsigned round = 0; round < 2; round++) {
            cpu_id_t who = CPU_NONE;

            if (round > 0)
                check_park(id);
            kit_cpus_restart(id);
            kit_cpus_run(id, note_id, &who);
            CHECK(who == id, "CPU %u answers for CPU %u", who, id);
        }
    }
    return kit_boot->cpu_count == 1 ? "one CPU" : NULL;
}
