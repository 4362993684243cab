/* SPDX-License-Identifier: MIT */
/*
 * core/mm/pagetable_slots.c on several CPUs: they make, fill, empty and take the tables of one root, each span under a
 * lock of its own. No entry may get lost, and every table comes back.
 */
#include "mm_test.h"

#include <smp/spinlock.h>

#define TEAM_SPANS 3u
#define TEAM_ROUNDS 100u

static struct {
    paddr_t root;
    struct spinlock lock[TEAM_SPANS];
    unsigned used[TEAM_SPANS]; /* guarded by the span's lock */
    _Atomic(bool) is_ready;   /* the root is there */
    _Atomic(unsigned) alive;   /* tables that were allocated and not freed */
    _Atomic(unsigned) left;
} team;

static paddr_t team_table_alloc(void)
{
    (void)fetch_add_relaxed(&team.alive, 1);
    return phys_alloc_zeroed(0);
}

static void team_table_free(paddr_t table)
{
    (void)fetch_sub_relaxed(&team.alive, 1);
    phys_free(table, 0);
}

static const struct pt_alloc team_alloc = {.alloc = team_table_alloc, .free = team_table_free};

static vaddr_t user_end(void)
{
    return (vaddr_t)1 << (pt_level_shift(HAL_PT_LEVELS) - (HAL_PT_SHARED_ROOT ? 1 : 0));
}

static vaddr_t team_va(unsigned span)
{
    return 3 * pt_level_bytes(2) - pt_level_bytes(1) + span * pt_level_bytes(1);
}

static void team_prepare(void)
{
    memset(&team, 0, sizeof(team));
    for (unsigned i = 0; i < TEAM_SPANS; i++)
        spin_init(&team.lock[i], LOCK_TABLES);
    store_relaxed(&team.left, MM_TEST_CPUS);
}

/* One slot per CPU and span: nobody else changes it, whatever happens to the table around it. */
static uint64_t team_entry(cpu_id_t cpu, unsigned round)
{
    return round % 2 == 0 ? pt_park(((paddr_t)round << 32) + cpu * PAGE_BYTES, 0)
                          : hal_pte_leaf((paddr_t)(round * MM_TEST_CPUS + cpu) * PAGE_BYTES, PROT_USER, 0);
}

static void team_fill(cpu_id_t cpu, unsigned span, uint64_t value)
{
    vaddr_t va = team_va(span) + cpu * PAGE_BYTES;
    uint64_t *slot;

    /* The table may be taken between the two: as often as the others have rounds. */
    for (unsigned tries = 0;; tries++) {
        int error = pt_make_tables(team.root, va, 0, &team_alloc);

        ASSERT(error == 0 && tries <= TEAM_ROUNDS * MM_TEST_CPUS);
        spin_lock(&team.lock[span]);
        slot = pt_slot(team.root, va, 0);
        if (slot != NULL)
            break;
        spin_unlock(&team.lock[span]);
    }
    pt_slot_install(slot, value);
    team.used[span]++;
    spin_unlock(&team.lock[span]);
}

static void team_empty(cpu_id_t cpu, unsigned span, uint64_t value)
{
    vaddr_t va = team_va(span) + cpu * PAGE_BYTES;
    paddr_t table;
    uint64_t *slot;

    spin_lock(&team.lock[span]);
    slot = pt_slot(team.root, va, 0);
    ASSERT(slot != NULL);
    ASSERT(pt_slot_clear(slot) == value);
    team.used[span]--;
    table = pt_take_table(team.root, va);
    ASSERT((table != 0) == (team.used[span] == 0));
    spin_unlock(&team.lock[span]);
    /* The address spaces of this test are in no TLB. */
    if (table != 0)
        team_table_free(table);
}

static void team_body(cpu_id_t cpu, struct unit_random *random)
{
    if (cpu == 0) {
        team.root = phys_alloc_zeroed(0);
        store_release(&team.is_ready, true);
    }
    while (!load_acquire(&team.is_ready))
        hal_cpu_relax();
    for (unsigned round = 0; round < TEAM_ROUNDS; round++) {
        unsigned span = (unsigned)unit_random_below(random, TEAM_SPANS);

        team_fill(cpu, span, team_entry(cpu, round));
        ASSERT(pt_next_span(team.root, 0, user_end()) <= team_va(span));
        team_empty(cpu, span, team_entry(cpu, round));
    }
    (void)fetch_sub_acq_rel(&team.left, 1);
    if (cpu != 0)
        return;
    while (load_acquire(&team.left) != 0)
        hal_cpu_relax();
    pt_free_tables(team.root, 0, &team_alloc);
    phys_free(team.root, 0);
    ASSERT(load_relaxed(&team.alive) == 0);
}

static void tables_come_and_go_under_several_cpus(void **state)
{
    (void)state;
    mm_test_run_team(team_prepare, team_body, 30);
}

int main(void)
{
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(tables_come_and_go_under_several_cpus),
    };

    return cmocka_run_group_tests(teams, NULL, NULL);
}
