/* SPDX-License-Identifier: MIT */
/* core/vm/slots.c: tables come and go with their slots, blocks are split where they must be, all is flushed. */
#include "space_test.h"

#include <mm/stats.h>

#define SPAN (512 * PAGE_BYTES)
#define BASE ((vaddr_t)0x40000000)

static uint64_t tables(void)
{
    struct mm_stats stats;

    mm_stats_get(&stats);
    return stats.pages[MM_TABLES];
}

static struct space_stats stats_of(struct space *space)
{
    struct space_stats stats;

    space_stats_get(space, &stats);
    return stats;
}

static void tables_go_with_their_last_slot(void **state)
{
    struct space *space = space_test_new_space();
    uint64_t before;

    (void)state;
    (void)space_test_map(space, BASE, 40 * 512, RW, 0);
    assert_true(space_test_store(BASE, 1)); /* the tables above */
    before = tables();
    for (unsigned i = 1; i < 40; i++)
        assert_true(space_test_store(BASE + i * SPAN, i) && space_test_store(BASE + i * SPAN + SPAN - 8, i));
    assert_true(tables() == before + 39);
    assert_int_equal(space_unmap(space, BASE + SPAN, PAGE_BYTES), 0);
    assert_true(tables() == before + 39);
    assert_int_equal(space_unmap(space, BASE + 2 * SPAN - PAGE_BYTES, PAGE_BYTES), 0);
    assert_true(tables() == before + 38); /* both were unmapped, one after the other */
    assert_int_equal(space_advise(space, BASE + 2 * SPAN, SPAN, SPACE_DONTNEED), 0);
    assert_true(tables() == before + 37 && space_test_value(BASE + 2 * SPAN) == 0);
    assert_int_equal(space_unmap(space, BASE + SPAN, 39 * SPAN), 0);
    assert_true(tables() == before && space_test_value(BASE) == 1);
    assert_true(stats_of(space).resident_pages == 1);
    space_test_drop_space(space);
}

/* More than a gather holds, and more than a batch. */
static void long_ranges_are_cleared_in_parts(void **state)
{
    struct space *space = space_test_new_space();

    (void)state;
    (void)space_test_map(space, BASE + 100 * PAGE_BYTES, 1500, RW, SPACE_POPULATE);
    for (unsigned i = 0; i < 1500; i += 3)
        assert_int_equal(space_protect(space, BASE + (100 + i) * PAGE_BYTES, PAGE_BYTES, VM_READ), 0);
    for (unsigned i = 0; i < 1500; i++)
        assert_true(space_test_store(BASE + (100 + i) * PAGE_BYTES, i) == (i % 3 != 0));
    assert_int_equal(space_protect(space, BASE + 100 * PAGE_BYTES, 1500 * PAGE_BYTES, 0), 0);
    assert_true(stats_of(space).resident_pages == 1500);
    assert_int_equal(space_unmap(space, BASE, 1599 * PAGE_BYTES), 0);
    assert_true(stats_of(space).resident_pages == 1);
    assert_int_equal(space_unmap(space, 0, ROUND_DOWN(HAL_USER_END, PAGE_BYTES)), 0);
    assert_true(stats_of(space).resident_pages == 0);
    space_test_drop_space(space);
}

static struct space *space_with_blocks(unsigned spans)
{
    space_set_huge(true);
    struct space *space = space_test_new_space();

    (void)space_test_map(space, BASE, spans * 512, RW, 0);
    for (unsigned i = 0; i < spans; i++)
        assert_true(space_test_store(BASE + i * SPAN + 5 * PAGE_BYTES, i + 1));
    return space;
}

static void a_block_is_one_fault_and_a_part_of_it_is_a_page(void **state)
{
    struct space *space = space_with_blocks(3);
    uint64_t pages;

    (void)state;
    assert_true(stats_of(space).blocks == 3 && stats_of(space).faults == 3);
    assert_true(stats_of(space).resident_pages == 3 * 512);
    assert_true(space_test_value(BASE + 7 * PAGE_BYTES) == 0 && space_test_value(BASE + SPAN + 5 * PAGE_BYTES) == 2);
    pages = space_test_free_pages();
    assert_int_equal(space_unmap(space, BASE + 5 * PAGE_BYTES, PAGE_BYTES), 0);
    assert_true(stats_of(space).splits == 1 && stats_of(space).resident_pages == 3 * 512 - 1);
    assert_true(space_test_free_pages() == pages); /* a page came back, and a table went */
    assert_false(space_test_store(BASE + 5 * PAGE_BYTES, 1));
    assert_true(space_test_store(BASE + 4 * PAGE_BYTES, 1) && space_test_store(BASE + 6 * PAGE_BYTES, 1));
    assert_int_equal(space_protect(space, BASE + SPAN, 6 * PAGE_BYTES, VM_READ), 0);
    assert_true(stats_of(space).splits == 2 && !space_test_store(BASE + SPAN + 5 * PAGE_BYTES, 1));
    assert_true(space_test_value(BASE + SPAN + 5 * PAGE_BYTES) == 2);
    assert_true(space_test_store(BASE + SPAN + 6 * PAGE_BYTES, 1));
    assert_int_equal(space_advise(space, BASE + 2 * SPAN + 5 * PAGE_BYTES, SPAN - 5 * PAGE_BYTES, SPACE_FREE), 0);
    assert_true(stats_of(space).splits == 3 && space_test_value(BASE + 2 * SPAN + 5 * PAGE_BYTES) == 0);
    assert_int_equal(space_unmap(space, BASE, 3 * SPAN), 0);
    assert_true(stats_of(space).resident_pages == 0 && stats_of(space).splits == 3);
    space_test_drop_space(space);
}

static void whole_blocks_are_changed_as_such(void **state)
{
    struct space *space = space_with_blocks(2);

    (void)state;
    assert_int_equal(space_protect(space, BASE, 2 * SPAN, VM_READ), 0);
    assert_false(space_test_store(BASE, 1));
    assert_int_equal(space_protect(space, BASE, 2 * SPAN, 0), 0);
    assert_false(space_test_load(BASE, &(uint64_t){ 0 }));
    assert_int_equal(space_protect(space, BASE, SPAN, RW), 0);
    assert_true(space_test_value(BASE + 5 * PAGE_BYTES) == 1 && space_test_store(BASE, 1));
    assert_int_equal(space_advise(space, BASE + SPAN, SPAN, SPACE_DONTNEED), 0);
    assert_true(stats_of(space).splits == 0 && stats_of(space).resident_pages == 512);
    space_test_drop_space(space);
}

/* Rights that came are in no slot yet: a block must not give them to its other part. */
static void rights_of_a_part_are_not_the_blocks(void **state)
{
    struct space *space = space_with_blocks(1);

    (void)state;
    assert_int_equal(space_protect(space, BASE, SPAN, VM_READ), 0);
    assert_int_equal(space_protect(space, BASE, 4 * PAGE_BYTES, RW), 0);
    assert_true(space_test_store(BASE, 1) && !space_test_store(BASE + 5 * PAGE_BYTES, 1));
    assert_true(stats_of(space).splits == 1 && space_test_value(BASE + 5 * PAGE_BYTES) == 1);
    space_test_drop_space(space);
}

/* It is given back whole: nothing is left to split it with. space_test() looks that all pages are back. */
static void a_block_in_two_regions_ends_with_the_space(void **state)
{
    struct space *space = space_with_blocks(2);

    (void)state;
    assert_true(space_test_store(BASE, 1) && space_test_store(BASE + SPAN, 2));
    assert_int_equal(space_protect(space, BASE + SPAN / 2, SPAN, RW | VM_EXEC), 0);
    assert_true(stats_of(space).splits == 0 && stats_of(space).regions > 1 && stats_of(space).blocks == 2);
    space_test_drop_space(space);
}

static void blocks_are_shared_by_a_fork_and_split_by_a_store(void **state)
{
    struct space *parent = space_with_blocks(2);
    uint64_t pages = space_test_free_pages();
    struct space *child = NULL;

    (void)state;
    assert_int_equal(space_fork(parent, &child), 0);
    assert_true(pages - space_test_free_pages() < 10);
    assert_true(stats_of(child).resident_pages == 1024);
    assert_true(space_test_store(BASE + 9 * PAGE_BYTES, 9)); /* the parent's */
    assert_true(stats_of(parent).splits == 1 && stats_of(parent).copied == 1);
    assert_true(space_test_value(BASE + 5 * PAGE_BYTES) == 1);
    space_test_enter_space(child);
    assert_true(space_test_value(BASE + 9 * PAGE_BYTES) == 0 && space_test_value(BASE + 5 * PAGE_BYTES) == 1);
    assert_true(space_test_store(BASE + SPAN, 4));
    space_put(parent);
    assert_true(space_test_store(BASE + 5 * PAGE_BYTES, 8)); /* the last reference to a block is taken over whole */
    assert_true(stats_of(child).splits == 1 && space_test_value(BASE + SPAN + 5 * PAGE_BYTES) == 2);
    space_test_drop_space(child);
}

static void blocks_stand_only_where_they_fit(void **state)
{
    space_set_huge(true);
    struct space *space = space_test_new_space();
    struct space_request request = { .bytes = 3 * SPAN, .rights = RW, .flags = SPACE_PRIVATE };
    vaddr_t va = 0;

    (void)state;
    (void)space_test_map(space, BASE + PAGE_BYTES, 1023, RW, 0);
    assert_true(space_test_store(BASE + PAGE_BYTES, 1)); /* the region begins inside the span */
    assert_true(stats_of(space).blocks == 0 && space_test_store(BASE + SPAN, 1) && stats_of(space).blocks == 1);
    (void)space_test_map(space, BASE + 4 * SPAN, 512, RW, SPACE_NO_HUGE);
    (void)space_test_map(space, BASE + 5 * SPAN, 512, RW, SPACE_SHARED);
    (void)space_test_map(space, BASE + 8 * SPAN, 512, RW, SPACE_GROWS_DOWN);
    assert_true(space_test_store(BASE + 4 * SPAN, 1) && space_test_store(BASE + 5 * SPAN, 1));
    assert_true(space_test_store(BASE + 8 * SPAN, 1) && stats_of(space).blocks == 1);
    assert_int_equal(space_map(space, &request, &va), 0); /* where blocks begin */
    assert_true(IS_ALIGNED(va, SPAN));
    space_test_drop_space(space);
}

/* A split that cannot have its table is an error before anything changes; a block that cannot be had is no error. */
static void failures_with_blocks(void **state)
{
    struct space *space = space_with_blocks(1);
    struct space *child = NULL;

    (void)state;
    slab_reclaim_all();
    for (uint32_t nth = 1;; nth++) {
        mm_fail_at(nth);
        int result = space_unmap(space, BASE + 5 * PAGE_BYTES, 2 * PAGE_BYTES);

        if (!mm_fail_fired()) {
            assert_true(result == 0 && nth > 3);
            break;
        }
        assert_int_equal(result, -ENOMEM);
        assert_true(space_test_value(BASE + 5 * PAGE_BYTES) == 1 && stats_of(space).splits == 0);
    }
    (void)space_test_map(space, BASE, 1024, RW, 0);
    mm_fail_at(1);
    assert_int_equal(space_fault(space, BASE + SPAN, VM_WRITE), 0);
    assert_true(mm_fail_fired() && stats_of(space).blocks == 1);
    assert_int_equal(space_fault(space, BASE, VM_WRITE), 0);
    assert_true(stats_of(space).blocks == 2 && space_test_store(BASE, 6));
    assert_int_equal(space_fork(space, &child), 0);
    for (uint32_t nth = 1; nth <= 2; nth++) {
        mm_fail_at(nth);
        assert_int_equal(space_fault(space, BASE, VM_WRITE), -ENOMEM);
        assert_true(mm_fail_fired() && space_test_value(BASE) == 6);
    }
    assert_true(space_test_store(BASE, 7));
    space_put(child);
    space_test_drop_space(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(tables_go_with_their_last_slot),
        space_test(long_ranges_are_cleared_in_parts),
        space_test(a_block_is_one_fault_and_a_part_of_it_is_a_page),
        space_test(whole_blocks_are_changed_as_such),
        space_test(rights_of_a_part_are_not_the_blocks),
        space_test(a_block_in_two_regions_ends_with_the_space),
        space_test(blocks_are_shared_by_a_fork_and_split_by_a_store),
        space_test(blocks_stand_only_where_they_fit),
        space_test(failures_with_blocks),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
