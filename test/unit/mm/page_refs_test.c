/* SPDX-License-Identifier: MIT */
/* core/mm/page_refs.c: the last reference frees, and nobody else; from anywhere in a block, and on several CPUs. */
#include "mm_test.h"

static void the_last_put_frees(void **state)
{
    paddr_t page = phys_alloc(0);
    uint64_t pages = mm_test_free_pages();

    (void)state;
    assert_int_equal(phys_refs(page), 1);
    for (unsigned i = 2; i < 100; i++) {
        phys_get(page);
        assert_int_equal(phys_refs(page), i);
    }
    for (unsigned i = 99; i > 1; i--) {
        phys_put(page);
        assert_int_equal(phys_refs(page), i - 1);
        assert_true(mm_test_free_pages() == pages);
    }
    phys_put(page);
    assert_true(mm_test_free_pages() == pages + 1);
}

static void any_byte_stands_for_its_block(void **state)
{
    (void)state;
    for (unsigned order = 0; order <= PHYS_ORDER_MAX; order++) {
        paddr_t block = phys_alloc(order);
        uint64_t pages = mm_test_free_pages();
        unsigned got = PHYS_ORDER_MAX + 1;

        for (size_t i = 0; i < (size_t)1 << order; i++) {
            assert_true(phys_block(block + i * PAGE_BYTES + 17, &got) == block);
            assert_int_equal(got, order);
            phys_get(block + i * PAGE_BYTES + 4095);
        }
        assert_int_equal(phys_refs(block), 1 + (1u << order));
        for (size_t i = 0; i < (size_t)1 << order; i++)
            phys_put(block + i * PAGE_BYTES);
        assert_true(mm_test_free_pages() == pages);
        phys_put(block + (PAGE_BYTES << order) - 1);
        assert_true(mm_test_free_pages() == pages + (1u << order));
    }
}

static void a_split_block_is_pages_that_go_one_by_one(void **state)
{
    unsigned order;

    (void)state;
    for (unsigned of = 0; of <= 9; of++) {
        paddr_t block = phys_alloc(of);
        uint64_t pages = mm_test_free_pages();

        phys_split(block, of);
        for (size_t i = 0; i < (size_t)1 << of; i++) {
            assert_true(phys_block(block + i * PAGE_BYTES, &order) == block + i * PAGE_BYTES);
            assert_int_equal(order, 0);
            assert_int_equal(phys_refs(block + i * PAGE_BYTES), 1);
            assert_int_equal(*phys_table_used(block + i * PAGE_BYTES), 0);
        }
        /* Every second one first, so that buddies have to wait for each other. */
        for (size_t i = 0; i < (size_t)1 << of; i += 2)
            phys_put(block + i * PAGE_BYTES);
        for (size_t i = 1; i < (size_t)1 << of; i += 2)
            phys_free(block + i * PAGE_BYTES, 0);
        assert_true(mm_test_free_pages() == pages + (1u << of));
    }
    phys_reclaim_caches();
    paddr_t whole = phys_alloc(PHYS_ORDER_MAX);

    assert_true(whole != 0);
    phys_free(whole, PHYS_ORDER_MAX);
}

static void a_table_counts_from_0_each_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        paddr_t table = phys_alloc(0);

        assert_int_equal(*phys_table_used(table), 0);
        *phys_table_used(table) = 512;
        assert_int_equal(*phys_table_used(table), 512);
        assert_int_equal(phys_refs(table), 1);
        phys_free(table, 0);
    }
}

/* ---- Misuse ---- */

static paddr_t subject;

static void do_get(void *arg)
{
    (void)arg;
    phys_get(subject);
}

static void do_put(void *arg)
{
    (void)arg;
    phys_put(subject);
}

static void do_put_twice(void *arg)
{
    do_put(arg);
    do_put(arg);
}

static void do_get_and_free(void *arg)
{
    (void)arg;
    phys_get(subject);
    phys_free(subject, 2);
}

static void do_split_shared(void *arg)
{
    (void)arg;
    phys_get(subject);
    phys_split(subject, 2);
}

static void do_get_too_often(void *arg)
{
    (void)arg;
    store_relaxed(&page_find(subject)->refs, UINT32_MAX);
    phys_get(subject);
}

static void misuse_panics(void **state)
{
    const struct boot_info *boot = host_boot_info();
    paddr_t block = phys_alloc(2);

    (void)state;
    subject = block;
    assert_panics(do_put_twice, NULL, "in no allocated block");
    assert_panics(do_get_and_free, NULL, "that others still refer to");
    assert_panics(do_split_shared, NULL, "== 1");
    assert_panics(do_get_too_often, NULL, "before < UINT32_MAX");
    phys_free(block, 2);
    for (unsigned i = 0; i < 4; i++) {
        subject = block + i * PAGE_BYTES; /* free, or inside a free block */
        assert_panics(do_get, NULL, "in no allocated block");
        assert_panics(do_put, NULL, "in no allocated block");
    }
    subject = phys_alloc(0);
    phys_free(subject, 0); /* it is in the CPU's cache now */
    assert_panics(do_get, NULL, "in no allocated block");
    subject = boot->reserved[0].base;
    assert_panics(do_get, NULL, "in no allocated block");
    subject = UINT64_MAX;
    assert_panics(do_put, NULL, "in no allocated block");
}

/* ---- Several CPUs ---- */

#define SHARED 3
#define TURNS 30

/* What stands in a shared page. Each CPU has a word of its own, which it writes while it has a reference. */
struct shared_page {
    uint64_t list_words[8];
    uint64_t word[MM_TEST_CPUS];
    uint64_t mark;
};

static struct {
    _Atomic(paddr_t) page[SHARED]; /* each a reference of its own */
} shelf;

static void shelf_prepare(void)
{
    for (unsigned i = 0; i < SHARED; i++)
        store_relaxed(&shelf.page[i], 0);
}

static struct shared_page *contents(paddr_t page)
{
    return phys_to_virt(page);
}

/* Take the reference that lies there, if there is one; the store of who put it there is the release. */
static paddr_t shelf_take(unsigned slot)
{
    return xchg_acq_rel(&shelf.page[slot], 0);
}

static void shelf_put(unsigned slot, paddr_t page)
{
    paddr_t there = xchg_acq_rel(&shelf.page[slot], page);

    if (there != 0)
        phys_put(there);
}

static void share_at_random(cpu_id_t cpu, struct unit_random *random)
{
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned slot = (unsigned)unit_random_below(random, SHARED);
        paddr_t page = shelf_take(slot);

        if (page == 0) {
            page = phys_alloc(unit_random_below(random, 4) == 0 ? 1 : 0);
            ASSERT(page != 0);
            memset(contents(page), 0, sizeof(struct shared_page));
            contents(page)->mark = page;
        }
        ASSERT(contents(page)->mark == page && phys_refs(page) >= 1);
        contents(page)->word[cpu]++;
        /* Alone: what the others wrote before they let go may be read and written without any lock. */
        if (phys_refs(page) == 1)
            for (unsigned i = 0; i < MM_TEST_CPUS; i++)
                contents(page)->word[i]++;
        for (unsigned i = 0; i < SHARED; i++)
            if (unit_random_below(random, 3) == 0) {
                phys_get(page);
                shelf_put(i, page);
            }
        /* Somebody may have freed the other references meanwhile; ours keeps it. */
        ASSERT(contents(page)->mark == page);
        contents(page)->word[cpu]++;
        phys_put(page);
    }
    for (unsigned i = 0; i < SHARED; i++) {
        paddr_t page = shelf_take(i);

        if (page != 0)
            phys_put(page);
    }
}

static void the_last_of_several_cpus_frees(void **state)
{
    (void)state;
    mm_test_run_team(shelf_prepare, share_at_random, 60);
}

int main(void)
{
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(the_last_of_several_cpus_frees),
    };
    const struct CMUnitTest tests[] = {
        mm_test(the_last_put_frees),
        mm_test(any_byte_stands_for_its_block),
        mm_test(a_split_block_is_pages_that_go_one_by_one),
        mm_test(a_table_counts_from_0_each_time),
        mm_test(misuse_panics),
    };
    int failed = cmocka_run_group_tests(teams, NULL, NULL);

    return failed + cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
