/* SPDX-License-Identifier: MIT */
/*
 * Objects of caches: allocated on one CPU, freed on another, while a third takes all magazines away. What is in an
 * object says whether two have it.
 */
#include "scenario.h"

#include <hal/cpu.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/slab.h>
#include <smp/preempt.h>

#define TRADERS_MAX 8
#define SHELVES 4
#define OWN_MAX 12

/* A magazine holds few of them, a slab two or three: both come and go. */
struct parcel {
    struct list_node list; /* constructed: of nothing */
    uint64_t number;
    uint64_t rest[140];
    uint64_t check; /* the complement of number */
};

static struct slab_cache parcels;

static struct {
    struct sim_line line;
    _Atomic(struct parcel *) shelf[SHELVES];
    _Atomic(unsigned) traders; /* that are not done yet */
} market;

static void parcel_construct(void *object)
{
    struct parcel *parcel = object;

    (void)memset(parcel, 0, sizeof *parcel);
    list_init(&parcel->list);
}

static void market_init(void)
{
    if (parcels.name == NULL)
        slab_cache_init_with(&parcels, "parcel", sizeof(struct parcel), alignof(struct parcel), parcel_construct);
    sim_line_init(&market.line);
}

static struct parcel *pack(void)
{
    struct parcel *parcel = slab_alloc(&parcels);

    if (!CHECK(parcel != NULL))
        return NULL;
    CHECK(list_is_empty(&parcel->list) && parcel->number == 0 && parcel->check == 0);
    parcel->number = sim_random();
    parcel->check = ~parcel->number;
    return parcel;
}

static void unpack(struct parcel *parcel)
{
    CHECK(list_is_empty(&parcel->list) && parcel->check == ~parcel->number);
    parcel->number = parcel->check = 0;
    slab_free(&parcels, parcel);
}

/* Whoever finds something on a shelf has it. */
static struct parcel *exchange(struct parcel *parcel)
{
    return xchg_acq_rel(&market.shelf[sim_random_below(SHELVES)], parcel); /* PAIRS(sim_shelf) */
}

static void trade(struct parcel **mine)
{
    if (*mine == NULL) {
        *mine = pack();
    } else if (sim_chance(2)) {
        *mine = exchange(*mine);
    } else {
        unpack(*mine);
        *mine = NULL;
    }
}

static int trader(void *arg)
{
    struct parcel *own[OWN_MAX] = { NULL };

    (void)arg;
    sim_line_wait(&market.line);
    for (unsigned round = 8 * sim_rounds(); round > 0; round--) {
        trade(&own[sim_random_below(OWN_MAX)]);
        if (sim_chance(6))
            sim_delay();
        if (sim_chance(16))
            sim_nap(2 * NS_PER_US); /* and leave a CPU idle */
        if (sim_chance(24))
            kfree(kmalloc(sim_random_below(3000)));
    }
    for (unsigned i = 0; i < OWN_MAX; i++)
        if (own[i] != NULL)
            unpack(own[i]);
    (void)fetch_sub_relaxed(&market.traders, 1);
    return 0;
}

static int reclaimer(void *arg)
{
    (void)arg;
    sim_line_wait(&market.line);
    while (load_relaxed(&market.traders) != 0) {
        slab_reclaim_all();
        sim_nap(3 * NS_PER_US);
    }
    return 0;
}

static void clear_market(void)
{
    for (unsigned i = 0; i < SHELVES; i++) {
        struct parcel *parcel = xchg_acq_rel(&market.shelf[i], NULL); /* PAIRS(sim_shelf) */

        if (parcel != NULL)
            unpack(parcel);
    }
    CHECK(slab_used(&parcels) == 0);
}

static void object_market(void)
{
    struct task *task[TRADERS_MAX + 2];
    unsigned traders = MIN(online_count(), (unsigned)TRADERS_MAX);

    market_init();
    store_relaxed(&market.traders, traders);
    for (unsigned i = 0; i < traders; i++)
        task[i] = spawn("trader", trader, NULL, PRIORITY_DEFAULT, NULL);
    /* They may run nowhere else, and so preempt a trader wherever that stands, who goes on on an idle CPU. */
    for (unsigned i = 0; i < 2; i++)
        task[traders + i] = spawn_on("reclaimer", reclaimer, NULL, PRIORITY_REALTIME_NORMAL, online_cpu(i));
    sim_line_open(&market.line, traders + 2);
    CHECK(sim_finish_all(task, traders + 2) == 0);
    clear_market();
}

/* One packs, the next CPU unpacks: a magazine that only fills, and one that only empties. */

static struct sim_semaphore packed, room;
static struct parcel *belt[SHELVES];

static int packer(void *arg)
{
    (void)arg;
    sim_line_wait(&market.line);
    for (unsigned i = 0; i < 8 * sim_rounds(); i++) {
        CHECK(sim_down(&room, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        belt[i % SHELVES] = pack();
        sim_up(&packed);
    }
    return 0;
}

static int unpacker(void *arg)
{
    (void)arg;
    sim_line_wait(&market.line);
    for (unsigned i = 0; i < 8 * sim_rounds(); i++) {
        CHECK(sim_down(&packed, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        struct parcel *parcel = belt[i % SHELVES];

        sim_up(&room);
        if (parcel != NULL)
            unpack(parcel);
    }
    store_relaxed(&market.traders, 0);
    return 0;
}

static void object_belt(void)
{
    struct task *task[3];

    market_init();
    sim_semaphore_init(&packed, 0);
    sim_semaphore_init(&room, SHELVES);
    store_relaxed(&market.traders, 1);
    task[0] = sim_spawn_nth("packer", packer, NULL, 0);
    task[1] = sim_spawn_nth("unpacker", unpacker, NULL, 1);
    task[2] = sim_spawn_nth("reclaimer", reclaimer, NULL, 2);
    sim_line_open(&market.line, 3);
    CHECK(sim_finish_all(task, 3) == 0);
    CHECK(slab_used(&parcels) == 0);
}

/*
 * Nothing but objects of a cache that is emptied as one of the first, so that little time passes from the moment at
 * which a CPU is told until its magazine is taken: it may be in the middle of a use then.
 */
#define WORDS 8

static int hoarder(void *arg)
{
    uint64_t *own[OWN_MAX] = { NULL };
    uint64_t mark = (uint64_t)(uintptr_t)arg << 32;

    sim_line_wait(&market.line);
    for (unsigned round = 24 * sim_rounds(); round > 0; round--) {
        unsigned i = (unsigned)sim_random_below(OWN_MAX);

        if (own[i] == NULL) {
            own[i] = kmalloc(WORDS * sizeof(uint64_t));
            if (!CHECK(own[i] != NULL))
                break;
            own[i][1] = own[i][WORDS - 1] = mark | i;
        } else {
            CHECK(own[i][1] == (mark | i) && own[i][WORDS - 1] == (mark | i));
            kfree(own[i]);
            own[i] = NULL;
        }
    }
    for (unsigned i = 0; i < OWN_MAX; i++)
        kfree(own[i]);
    (void)fetch_sub_relaxed(&market.traders, 1);
    return 0;
}

static int taker(void *arg)
{
    (void)arg;
    sim_line_wait(&market.line);
    while (load_relaxed(&market.traders) != 0) {
        slab_reclaim_all();
        hal_cpu_relax();
    }
    return 0;
}

static void object_hoard(void)
{
    struct task *task[TRADERS_MAX + 1];
    unsigned count = MIN(online_count(), (unsigned)TRADERS_MAX);

    market_init();
    store_relaxed(&market.traders, count - 1);
    for (unsigned i = 1; i < count; i++)
        task[i] = sim_spawn_nth("hoarder", hoarder, (void *)(uintptr_t)i, i);
    task[0] = sim_spawn_nth("taker", taker, NULL, 0);
    sim_line_open(&market.line, count);
    CHECK(sim_finish_all(task, count) == 0);
}

extern const struct sim_scenario sim_scenarios_objects[];
const struct sim_scenario sim_scenarios_objects[] = {
    { .name = "object-market", .aim = "objects are freed on other CPUs while all magazines are taken away",
      .cpus = 4, .cpus_min = 2, .rounds = 8, .run = object_market },
    { .name = "object-belt", .aim = "one CPU only allocates, another only frees, a third reclaims",
      .cpus = 3, .cpus_min = 2, .rounds = 8, .run = object_belt },
    { .name = "object-hoard", .aim = "a magazine is taken away in the middle of its CPU's use of it",
      .cpus = 3, .cpus_min = 2, .rounds = 8, .run = object_hoard },
    { .name = NULL },
};
