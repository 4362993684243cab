/* SPDX-License-Identifier: MIT */
/* Objects and memory without a type: handed from CPU to CPU while others take the magazines away. */
#include <mm/kmalloc.h>
#include <mm/slab.h>

#include "check.h"

#define TURNS 2000u

struct parcel {
    uint64_t number;
    uint64_t check; /* its complement */
    uint64_t rest[6];
};

static struct slab_cache parcels;

static struct {
    _Atomic(struct parcel *) shelf[16];
    _Atomic(unsigned char *) pieces[16];
    _Atomic(unsigned) traders; /* that are not done yet */
} market;

static void put_down(struct parcel *parcel)
{
    CHECK(parcel->check == ~parcel->number);
    slab_free(&parcels, parcel);
}

static void put_piece(unsigned char *piece)
{
    CHECK(piece[piece[0] * 40u] == piece[0]);
    kfree(piece);
}

static void trade_parcel(uint64_t number)
{
    struct parcel *parcel = slab_alloc(&parcels);

    if (!CHECK(parcel != NULL))
        return;
    parcel->number = number;
    parcel->check = ~number;
    parcel = xchg_acq_rel(&market.shelf[number % ARRAY_COUNT(market.shelf)], parcel); /* PAIRS(objects_shelf) */
    if (parcel != NULL)
        put_down(parcel);
}

static void trade_piece(uint64_t number)
{
    unsigned char mark = (unsigned char)(number >> 8);
    unsigned char *piece = kmalloc(mark * 40u + 1);

    if (!CHECK(piece != NULL))
        return;
    piece[0] = piece[mark * 40u] = mark;
    piece = xchg_acq_rel(&market.pieces[number % ARRAY_COUNT(market.pieces)], piece); /* PAIRS(objects_shelf) */
    if (piece != NULL)
        put_piece(piece);
}

static int trader(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;

    for (unsigned turn = 0; turn < TURNS; turn++) {
        trade_parcel(random_next(&random));
        trade_piece(random_next(&random));
        if (turn % 64 == 0)
            task_yield();
    }
    (void)fetch_sub_relaxed(&market.traders, 1);
    return 0;
}

static int reclaimer(void *arg)
{
    (void)arg;
    while (load_relaxed(&market.traders) != 0) {
        slab_reclaim_all();
        (void)task_sleep_for(100 * NS_PER_US);
    }
    return 0;
}

static void clear_market(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(market.shelf); i++) {
        struct parcel *parcel = xchg_acq_rel(&market.shelf[i], NULL); /* PAIRS(objects_shelf) */
        unsigned char *piece = xchg_acq_rel(&market.pieces[i], NULL); /* PAIRS(objects_shelf) */

        if (parcel != NULL)
            put_down(parcel);
        if (piece != NULL)
            put_piece(piece);
    }
}

static void objects_are_freed_elsewhere_while_magazines_go(void)
{
    struct task *tasks[2 * 8];
    unsigned cpus = MIN(online_count(), 8u);

    if (parcels.name == NULL)
        slab_cache_init(&parcels, "parcel", sizeof(struct parcel), alignof(struct parcel));
    store_relaxed(&market.traders, cpus);
    for (unsigned i = 0; i < cpus; i++)
        tasks[i] = spawn_on("trader", trader, (void *)(uintptr_t)(i + 1), PRIORITY_DEFAULT, online_cpu(i));
    for (unsigned i = 0; i < 2; i++)
        tasks[cpus + i] = spawn("reclaimer", reclaimer, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < cpus + 2; i++)
        (void)finish(tasks[i]);
    clear_market();
    CHECK(slab_used(&parcels) == 0);
    CHECK(slab_leaks_log(&parcels, 10) == 0);
}

const struct kernel_test tests_objects[] = {
    { "objects_are_freed_elsewhere_while_magazines_go", objects_are_freed_elsewhere_while_magazines_go },
    { NULL, NULL },
};
