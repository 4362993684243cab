/* SPDX-License-Identifier: MIT */
/* core/mm/phys.c against an array with an owner per page. */
#include "mm_test.h"

#define BLOCKS_MAX 2000

struct block {
    paddr_t at;
    unsigned order;
    uint64_t mark;
};

static struct block blocks[BLOCKS_MAX];
static unsigned block_count;

static bool is_ram_of_nobody(paddr_t page)
{
    const struct boot_info *boot = host_boot_info();

    for (unsigned i = 0; i < boot->reserved_count; i++)
        if (page + PAGE_BYTES > boot->reserved[i].base && page < boot->reserved[i].base + boot->reserved[i].bytes)
            return false;
    for (unsigned i = 0; i < boot->memory_count; i++)
        if (page >= boot->memory[i].base && page + PAGE_BYTES <= boot->memory[i].base + boot->memory[i].bytes)
            return true;
    return false;
}

/* One mark in each page: a page with two owners loses the first one's. */
static void mark_block(struct block *block)
{
    for (paddr_t page = block->at; page < block->at + (PAGE_BYTES << block->order); page += PAGE_BYTES) {
        assert_true(is_ram_of_nobody(page));
        *(uint64_t *)phys_to_virt(page) = block->mark ^ page;
    }
}

static void release_block(unsigned i)
{
    struct block block = blocks[i];

    for (paddr_t page = block.at; page < block.at + (PAGE_BYTES << block.order); page += PAGE_BYTES)
        assert_true(*(uint64_t *)phys_to_virt(page) == (block.mark ^ page));
    blocks[i] = blocks[--block_count];
    phys_free(block.at, block.order);
}

/* How many blocks of each order can be had at once, largest first: the shape of the free lists. */
static void measure(unsigned counts[PHYS_ORDER_MAX + 1])
{
    static struct block taken[BLOCKS_MAX];
    unsigned count = 0;

    for (unsigned order = PHYS_ORDER_MAX + 1; order-- > 0;) {
        counts[order] = 0;
        for (paddr_t at; (at = phys_alloc(order)) != 0; counts[order]++) {
            assert_true(count < BLOCKS_MAX);
            taken[count++] = (struct block){at, order, 0};
        }
    }
    assert_true(mm_test_free_pages() == 0);
    while (count-- > 0)
        phys_free(taken[count].at, taken[count].order);
}

static void random_blocks_never_overlap_and_coalesce_fully(void **state)
{
    struct unit_random random = {3};
    unsigned before[PHYS_ORDER_MAX + 1];
    unsigned after[PHYS_ORDER_MAX + 1];
    uint64_t pages = mm_test_free_pages();

    (void)state;
    measure(before);
    for (unsigned step = 0; step < 20000; step++) {
        /* Bursts up and down, so that memory runs out at times. */
        bool grow = unit_random_below(&random, 100) < (step / 1000 % 2 == 0 ? 75 : 25);

        if (grow && block_count < BLOCKS_MAX) {
            unsigned order = (unsigned)unit_random_below(&random, 1 + unit_random_below(&random, PHYS_ORDER_MAX + 1));
            paddr_t at = phys_alloc(order);

            if (at == 0)
                continue;
            assert_true(at % (PAGE_BYTES << order) == 0);
            pages -= (uint64_t)1 << order;
            blocks[block_count] = (struct block){at, order, unit_random_next(&random)};
            mark_block(&blocks[block_count++]);
        } else if (block_count > 0) {
            unsigned victim = (unsigned)unit_random_below(&random, block_count);

            pages += (uint64_t)1 << blocks[victim].order;
            release_block(victim);
        }
        assert_true(mm_test_free_pages() == pages);
    }
    while (block_count > 0)
        release_block(block_count - 1);
    measure(after);
    assert_memory_equal(before, after, sizeof(before));
}

static void every_page_is_handed_out_once_and_then_none(void **state)
{
    uint64_t count = 0;
    paddr_t chain = 0;
    paddr_t page;

    (void)state;
    while ((page = phys_alloc(0)) != 0) {
        assert_true(is_ram_of_nobody(page));
        *(paddr_t *)phys_to_virt(page) = chain;
        chain = page;
        count++;
    }
    assert_true(count == mm_test_pages_before);
    for (unsigned order = 0; order <= PHYS_ORDER_MAX; order++)
        assert_true(phys_alloc(order) == 0);
    while (chain != 0) {
        page = chain;
        chain = *(paddr_t *)phys_to_virt(page);
        phys_free(page, 0);
    }
}

static void the_sums_agree(void **state)
{
    struct phys_stats stats;

    (void)state;
    phys_stats_get(&stats);
    assert_true(stats.total_pages == stats.free_pages);
    assert_true((stats.total_pages + stats.reserved_pages) * PAGE_BYTES == bootmem_ram_bytes());
    /* 8 bytes of descriptor per page, page tables, the kmap window's bits, and what the firmware reserves. */
    assert_true(stats.reserved_pages < 64);
}

static void zeroed_pages_are_zero(void **state)
{
    paddr_t block = phys_alloc(3);

    (void)state;
    memset(phys_to_virt(block), 0xff, PAGE_BYTES << 3);
    phys_free(block, 3);
    block = phys_alloc_zeroed(3);
    for (size_t i = 0; i < (PAGE_BYTES << 3) / sizeof(uint64_t); i++)
        assert_true(((uint64_t *)phys_to_virt(block))[i] == 0);
    phys_free(block, 3);
}

struct bad_free {
    paddr_t block;
    unsigned order;
};

static void do_bad_free(void *arg)
{
    const struct bad_free *bad = arg;

    phys_free(bad->block, bad->order);
}

static void do_double_free(void *arg)
{
    do_bad_free(arg);
    do_bad_free(arg);
}

static void a_wrong_free_panics(void **state)
{
    const struct boot_info *boot = host_boot_info();
    paddr_t block = phys_alloc(2);
    struct bad_free bad = {block, 2};

    (void)state;
    assert_panics(do_double_free, &bad, "free or inside a block");
    bad = (struct bad_free){block, 1};
    assert_panics(do_bad_free, &bad, "another order");
    bad = (struct bad_free){block + PAGE_BYTES, 0};
    assert_panics(do_bad_free, &bad, "free or inside a block");
    bad = (struct bad_free){block + 8, 2};
    assert_panics(do_bad_free, &bad, "no RAM of ours");
    bad = (struct bad_free){0, 0};
    assert_panics(do_bad_free, &bad, "no RAM of ours");
    bad = (struct bad_free){UINT64_MAX & ~(paddr_t)(PAGE_BYTES - 1), 0};
    assert_panics(do_bad_free, &bad, "no RAM of ours");
    bad = (struct bad_free){boot->reserved[0].base, 0};
    assert_panics(do_bad_free, &bad, "reserved");
    /* The hole between the two ranges is small enough to be described. */
    bad = (struct bad_free){boot->memory[1].base + boot->memory[1].bytes, 0};
    assert_panics(do_bad_free, &bad, "reserved");
    bad = (struct bad_free){block, PHYS_ORDER_MAX + 1};
    assert_panics(do_bad_free, &bad, "order <= PHYS_ORDER_MAX");
    phys_free(block, 2);
}

static void write_after_free(void *arg)
{
    paddr_t page = phys_alloc(0);

    (void)arg;
    phys_free(page, 0);
    *(uint64_t *)((char *)phys_to_virt(page) + 1024) = 1;
    (void)phys_alloc(0);
}

static void a_write_after_free_is_found_in_debug_builds(void **state)
{
    (void)state;
    if (!KERNEL_DEBUG)
        skip();
    assert_panics(write_after_free, NULL, "was written to");
}

static void allocate_in_interrupt(void *arg)
{
    (void)arg;
    mm_test_cpu.irq_depth = 1;
    (void)phys_alloc(0);
}

static void an_allocation_in_an_interrupt_is_found_in_debug_builds(void **state)
{
    (void)state;
    if (!KERNEL_DEBUG)
        skip();
    assert_panics(allocate_in_interrupt, NULL, "irq_depth == 0");
}

static void leave_the_direct_map(void *arg)
{
    (void)arg;
    (void)phys_to_virt(HAL_DIRECT_MAP_BYTES);
}

static void the_direct_map_goes_both_ways_and_ends(void **state)
{
    (void)state;
    assert_true(virt_to_phys(phys_to_virt(0x12345)) == 0x12345);
    assert_panics(leave_the_direct_map, NULL, "pa < HAL_DIRECT_MAP_BYTES");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(the_sums_agree),
        mm_test(random_blocks_never_overlap_and_coalesce_fully),
        mm_test(every_page_is_handed_out_once_and_then_none),
        mm_test(zeroed_pages_are_zero),
        mm_test(a_wrong_free_panics),
        mm_test(a_write_after_free_is_found_in_debug_builds),
        mm_test(an_allocation_in_an_interrupt_is_found_in_debug_builds),
        mm_test(the_direct_map_goes_both_ways_and_ends),
    };

    return cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
