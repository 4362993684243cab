/* SPDX-License-Identifier: MIT */
/* core/mm/pagetable.c against an array with one entry per page, with every table allocation made to fail in turn; over
 * tables of 3, 4 and 5 levels. */
#include "mm_test.h"

#include <stdlib.h>

#include <k/errno.h>

#define WINDOW_BASE (5 * (vaddr_t)pt_level_bytes(HAL_PT_LEVELS - 1)) /* the sixth entry of the root */
#define WINDOW_PAGES ((size_t)3 << 18) /* 3 GiB */

struct model_page {
    uint64_t pa : 63; /* page number + 1, or 0 */
    uint64_t is_small : 1;
    unsigned prot;
};

static struct model_page *model;
static unsigned levels;
static paddr_t root;
static unsigned tables;   /* allocated and not freed */
static unsigned fail_nth; /* 1: the next one; 0: none */

static paddr_t table_alloc(void)
{
    paddr_t table;

    if (fail_nth > 0 && --fail_nth == 0)
        return 0;
    table = phys_alloc_zeroed(0);
    assert_true(table != 0);
    tables++;
    return table;
}

static void table_free(paddr_t table)
{
    /* A table that goes back without having been linked must be as it came. */
    tables--;
    phys_free(table, 0);
}

static const struct pt_alloc alloc = {.alloc = table_alloc, .free = table_free};

static int forget_leaf(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot)
{
    unsigned level = bytes == PAGE_BYTES ? 0 : bytes == pt_level_bytes(1) ? 1 : 2;

    (void)pa, (void)prot;
    *pt_slot(*(const paddr_t *)arg, va, level) = 0;
    return 0;
}

/* Tables are freed when no leaf is left in them. */
static void free_tables(paddr_t from)
{
    size_t half = pt_level_bytes(HAL_PT_LEVELS) / 2;

    (void)pt_walk(from, 0, half, forget_leaf, &from);
    (void)pt_walk(from, (vaddr_t)0 - half, half, forget_leaf, &from);
    pt_free_tables(from, 0, &alloc);
}

static int setup(void **state)
{
    (void)mm_test_begin(state);
    model = calloc(WINDOW_PAGES, sizeof(*model));
    root = phys_alloc_zeroed(0);
    fail_nth = 0;
    tables = 0;
    return model == NULL || root == 0 ? -1 : 0;
}

static int teardown(void **state)
{
    free_tables(root);
    for (size_t i = 0; i < PT_ENTRIES; i++)
        if (((uint64_t *)phys_to_virt(root))[i] != 0)
            return -1;
    phys_free(root, 0);
    free(model);
    return tables == 0 ? mm_test_end(state) : -1;
}

struct random_map {
    size_t page;
    size_t count;
    uint64_t pfn;
    unsigned prot;
};

static struct random_map random_request(struct unit_random *random)
{
    static const unsigned prots[] = {PROT_READ_ONLY, PROT_WRITE, PROT_EXEC, PROT_WRITE | PROT_GLOBAL,
                                     PROT_WRITE | PROT_USER, PROT_WRITE | PROT_DEVICE | PROT_GLOBAL};
    /* Multiples of 1 page, 2 MiB or 1 GiB, and the same for the physical side: leaves of all levels come up. */
    static const size_t grains[] = {1, 1, 512, 512, 512 * 512};
    size_t grain = grains[unit_random_below(random, ARRAY_COUNT(grains))];
    size_t pa_grain = grains[unit_random_below(random, ARRAY_COUNT(grains))];
    struct random_map request;

    request.page = ROUND_DOWN(unit_random_below(random, WINDOW_PAGES), grain);
    request.count = (1 + unit_random_below(random, 4)) * grain;
    request.count += unit_random_below(random, 2) * unit_random_below(random, 700);
    request.count = MIN(request.count, WINDOW_PAGES - request.page);
    request.pfn = ROUND_DOWN(unit_random_below(random, UINT64_C(1) << 24), pa_grain);
    request.prot = prots[unit_random_below(random, ARRAY_COUNT(prots))];
    return request;
}

static bool model_is_free(const struct random_map *request)
{
    for (size_t i = 0; i < request->count; i++)
        if (model[request->page + i].pa != 0)
            return false;
    return true;
}

/* Leaves are as large as both addresses and the length allow; the model knows because its tables are empty or new. */
static void model_map(const struct random_map *request)
{
    for (size_t i = 0; i < request->count; i++)
        model[request->page + i] = (struct model_page){request->pfn + i + 1, 0, request->prot};
}

static void assert_page(size_t page)
{
    paddr_t pa;
    unsigned prot;
    vaddr_t va = WINDOW_BASE + page * PAGE_BYTES + page % PAGE_BYTES;
    int error = pt_query(root, va, &pa, &prot);

    if (model[page].pa == 0) {
        assert_int_equal(error, -ENOENT);
        return;
    }
    assert_int_equal(error, 0);
    assert_true(pa == ((uint64_t)model[page].pa - 1) * PAGE_BYTES + page % PAGE_BYTES);
    assert_int_equal(prot, model[page].prot);
}

struct walk {
    vaddr_t next; /* nothing is mapped from here to the leaf */
    unsigned leaves[3];
};

static void assert_unmapped(vaddr_t from, vaddr_t to)
{
    for (vaddr_t va = from; va < to; va += PAGE_BYTES)
        assert_true(model[(va - WINDOW_BASE) / PAGE_BYTES].pa == 0);
}

static int visit(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot)
{
    struct walk *walk = arg;

    assert_true(va >= walk->next);
    assert_true(va % bytes == 0 && pa % bytes == 0);
    assert_unmapped(walk->next, va);
    for (size_t i = 0; i < bytes / PAGE_BYTES; i++) {
        struct model_page *page = &model[(va - WINDOW_BASE) / PAGE_BYTES + i];

        assert_true(((uint64_t)page->pa - 1) * PAGE_BYTES == pa + i * PAGE_BYTES && page->prot == prot);
        page->is_small = bytes == PAGE_BYTES;
    }
    walk->leaves[bytes == PAGE_BYTES ? 0 : bytes == pt_level_bytes(1) ? 1 : 2]++;
    walk->next = va + bytes;
    return 0;
}

static struct walk walk_all(void)
{
    struct walk walk = {.next = WINDOW_BASE};

    assert_int_equal(pt_walk(root, WINDOW_BASE, WINDOW_PAGES * PAGE_BYTES, visit, &walk), 0);
    assert_unmapped(walk.next, WINDOW_BASE + WINDOW_PAGES * PAGE_BYTES);
    return walk;
}

static int try_map(const struct random_map *request)
{
    return pt_map(root, WINDOW_BASE + request->page * PAGE_BYTES, request->pfn * PAGE_BYTES,
                  request->count * PAGE_BYTES, request->prot, &alloc);
}

/* Map with the first allocation failing, then the second ...: each time nothing may change, and at last it works. */
static void map_with_failures(const struct random_map *request)
{
    unsigned before = tables;
    int error = -ENOMEM;

    for (unsigned nth = 1; error == -ENOMEM; nth++) {
        fail_nth = nth;
        error = try_map(request);
        if (error == -ENOMEM) {
            assert_int_equal(tables, before);
            assert_page(request->page);
            assert_page(request->page + request->count - 1);
        }
    }
    fail_nth = 0;
    assert_int_equal(error, 0);
}

static void unmap_small(struct unit_random *random)
{
    size_t page = unit_random_below(random, WINDOW_PAGES);
    size_t count = 0;

    (void)walk_all(); /* finds out which leaves are small */
    while (page < WINDOW_PAGES && (model[page].pa == 0 || !model[page].is_small))
        page++;
    while (count < 600 && page + count < WINDOW_PAGES && model[page + count].pa != 0 && model[page + count].is_small)
        count++;
    if (count == 0)
        return;
    pt_unmap(root, WINDOW_BASE + page * PAGE_BYTES, count * PAGE_BYTES);
    memset(&model[page], 0, count * sizeof(*model));
}

static void random_mappings_equal_an_array(void **state)
{
    struct unit_random random = {5};
    struct walk sum = {.next = 0};
    unsigned refused = 0;

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned step = 0; step < 60; step++) {
            struct random_map request = random_request(&random);
            unsigned before = tables;

            if (step == 0) /* chance alone leaves no room for a GiB */
                request = (struct random_map){512 * 512 - round, 512 * 512 + 2 * round, 512 * 512 - round, PROT_WRITE};
            if (model_is_free(&request)) {
                map_with_failures(&request);
                model_map(&request);
            } else {
                assert_int_equal(try_map(&request), -EEXIST);
                assert_int_equal(tables, before);
                refused++;
            }
            if (step % 4 == 0)
                unmap_small(&random);
            for (unsigned i = 0; i < 200; i++)
                assert_page(unit_random_below(&random, WINDOW_PAGES));
        }

        struct walk walk = walk_all();

        for (unsigned i = 0; i < 3; i++)
            sum.leaves[i] += walk.leaves[i];
        free_tables(root);
        assert_int_equal(tables, 0);
        memset(model, 0, WINDOW_PAGES * sizeof(*model));
    }
    /* All leaf sizes and refusals came up, or the test says nothing. */
    assert_true(sum.leaves[0] > 100 && sum.leaves[1] > 10 && sum.leaves[2] > 0 && refused > 10);
}

static void the_largest_leaves_are_used(void **state)
{
    struct walk walk;
    struct random_map request = {.page = 511, .count = 1 + 512 * 511 + 512 * 512 + 512 + 1, .pfn = 511};

    (void)state;
    assert_int_equal(try_map(&request), 0);
    model_map(&request);
    walk = walk_all();
    assert_int_equal(walk.leaves[0], 2);
    assert_int_equal(walk.leaves[1], 512);
    assert_int_equal(walk.leaves[2], 1);
    /* One table each for levels 1 and 0 at the start and behind the large leaf, and those between them and the root. */
    assert_int_equal(tables, 4 + HAL_PT_LEVELS - 3);
}

static void bad_requests_are_refused(void **state)
{
    const vaddr_t half = pt_level_bytes(HAL_PT_LEVELS) / 2;
    const struct {
        vaddr_t va;
        paddr_t pa;
        size_t bytes;
        unsigned prot;
    } bad[] = {
        {0x1001, 0, PAGE_BYTES, 0},
        {0x1000, 1, PAGE_BYTES, 0},
        {0x1000, 0, PAGE_BYTES + 1, 0},
        {0x1000, 0, 0, 0},
        {0x1000, 0, PAGE_BYTES, PROT_WRITE | PROT_EXEC},
        {~(vaddr_t)0 - PAGE_BYTES + 1, 0, 2 * PAGE_BYTES, 0},    /* wraps */
        {0x1000, ~(paddr_t)0 - PAGE_BYTES + 1, 2 * PAGE_BYTES, 0},
        {half - PAGE_BYTES, 0, 2 * PAGE_BYTES, 0}, /* into the hole */
        {half, 0, PAGE_BYTES, 0},                  /* in the hole */
        {(vaddr_t)0 - half - PAGE_BYTES, 0, PAGE_BYTES, 0},
        {(vaddr_t)0 - half - PAGE_BYTES, 0, 2 * PAGE_BYTES, 0}, /* out of it */
        {0x1000, 0, ~(size_t)0 & ~(PAGE_BYTES - 1), 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(pt_map(root, bad[i].va, bad[i].pa, bad[i].bytes, bad[i].prot, &alloc), -EINVAL);
    assert_int_equal(tables, 0);
}

static void both_ends_of_the_address_space_can_be_mapped(void **state)
{
    vaddr_t last = ~(vaddr_t)0 - PAGE_BYTES + 1;
    paddr_t pa;
    unsigned prot;

    (void)state;
    assert_int_equal(pt_map(root, 0, 0x5000, PAGE_BYTES, PROT_WRITE, &alloc), 0);
    assert_int_equal(pt_map(root, last, 0x6000, PAGE_BYTES, PROT_EXEC, &alloc), 0);
    assert_int_equal(pt_query(root, 0xfff, &pa, &prot), 0);
    assert_true(pa == 0x5fff && prot == PROT_WRITE);
    assert_int_equal(pt_query(root, ~(vaddr_t)0, &pa, &prot), 0);
    assert_true(pa == 0x6fff && prot == PROT_EXEC);
    assert_int_equal(pt_query(root, pt_level_bytes(HAL_PT_LEVELS), &pa, &prot), -ENOENT);
}

static int stop_at_second(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot)
{
    unsigned *seen = arg;

    (void)va, (void)bytes, (void)pa, (void)prot;
    return ++*seen == 2 ? 77 : 0;
}

static void a_walk_stops_when_told(void **state)
{
    struct random_map request = {.page = 3, .count = 5, .pfn = 9};
    unsigned seen = 0;

    (void)state;
    assert_int_equal(try_map(&request), 0);
    assert_int_equal(pt_walk(root, WINDOW_BASE, WINDOW_PAGES * PAGE_BYTES, stop_at_second, &seen), 77);
    assert_int_equal(seen, 2);
}

static void prepared_tables_make_mapping_need_none(void **state)
{
    struct random_map request = {.page = 500, .count = 1000, .pfn = 1};
    vaddr_t va = WINDOW_BASE + request.page * PAGE_BYTES;

    (void)state;
    /* Three tables of the last level and what is above them: all or none. */
    for (unsigned nth = 1; nth <= HAL_PT_LEVELS + 1; nth++) {
        fail_nth = nth;
        assert_int_equal(pt_prepare(root, va, request.count * PAGE_BYTES, 0, &alloc), -ENOMEM);
        assert_int_equal(tables, 0);
    }
    fail_nth = 0;
    assert_int_equal(pt_prepare(root, va, request.count * PAGE_BYTES, 0, &alloc), 0);
    assert_int_equal(tables, HAL_PT_LEVELS + 1);
    fail_nth = 1;
    assert_int_equal(pt_prepare(root, va, request.count * PAGE_BYTES, 0, &alloc), 0);
    assert_int_equal(try_map(&request), 0);
    assert_int_equal(fail_nth, 1);
    pt_unmap(root, va, request.count * PAGE_BYTES);
    for (unsigned i = 0; i < 3; i++) {
        paddr_t table = pt_detach_table(root, WINDOW_BASE + i * pt_level_bytes(1));

        assert_true(table != 0);
        table_free(table);
        assert_true(pt_detach_table(root, WINDOW_BASE + i * pt_level_bytes(1)) == 0);
    }
}

static void prepare_does_not_split_a_leaf(void **state)
{
    struct random_map request = {.page = 0, .count = 512 * 512, .pfn = 0};

    (void)state;
    assert_int_equal(try_map(&request), 0);
    assert_int_equal(pt_prepare(root, WINDOW_BASE, PAGE_BYTES, 0, &alloc), -EEXIST);
}

static void protect_changes_rights_alone(void **state)
{
    struct random_map request = {.page = 0, .count = 512 + 3, .pfn = 512, .prot = PROT_WRITE};

    (void)state;
    assert_int_equal(try_map(&request), 0);
    pt_protect(root, WINDOW_BASE, 513 * PAGE_BYTES, PROT_READ_ONLY);
    model_map(&request);
    for (size_t i = 0; i < 513; i++)
        model[i].prot = PROT_READ_ONLY;
    (void)walk_all();
}

static void unmap_a_hole(void *arg)
{
    (void)arg;
    pt_unmap(root, WINDOW_BASE, PAGE_BYTES);
}

static void unmap_part_of_a_leaf(void *arg)
{
    struct random_map request = {.page = 0, .count = 512, .pfn = 512};

    (void)arg;
    assert_int_equal(try_map(&request), 0);
    pt_unmap(root, WINDOW_BASE, PAGE_BYTES);
}

static void unmapping_what_is_not_a_small_leaf_panics(void **state)
{
    (void)state;
    assert_panics(unmap_a_hole, NULL, "assert");
    assert_panics(unmap_part_of_a_leaf, NULL, "level == 0");
}

static void shared_entries_survive_the_freeing_of_a_root(void **state)
{
    struct random_map request = {.page = 0, .count = 3, .pfn = 7};
    paddr_t user = phys_alloc_zeroed(0);
    unsigned before;
    paddr_t pa;
    unsigned prot;

    (void)state;
    assert_int_equal(try_map(&request), 0);
    before = tables;
    memcpy(phys_to_virt(user), phys_to_virt(root), PAGE_BYTES);
    assert_int_equal(pt_map(user, 0x1000, 0, 3 * PAGE_BYTES, PROT_USER, &alloc), 0);
    assert_int_equal(tables, before + HAL_PT_LEVELS - 1);
    pt_unmap(user, 0x1000, 3 * PAGE_BYTES);
    pt_free_tables(user, root, &alloc);
    assert_int_equal(tables, before);
    assert_int_equal(pt_query(root, WINDOW_BASE, &pa, &prot), 0);
    phys_free(user, 0);
}

static int enter(void **state)
{
    (void)mm_test_boot(state);
    host_pt_levels_set(levels);
    return 0;
}

#define pt_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest all[] = {
        pt_test(random_mappings_equal_an_array),
        pt_test(the_largest_leaves_are_used),
        pt_test(bad_requests_are_refused),
        pt_test(both_ends_of_the_address_space_can_be_mapped),
        pt_test(a_walk_stops_when_told),
        pt_test(prepared_tables_make_mapping_need_none),
        pt_test(prepare_does_not_split_a_leaf),
        pt_test(protect_changes_rights_alone),
        pt_test(unmapping_what_is_not_a_small_leaf_panics),
        pt_test(shared_entries_survive_the_freeing_of_a_root),
    };

    int failed = 0;

    for (levels = 3; levels <= PT_LEVELS_MAX; levels++)
        failed += cmocka_run_group_tests(all, enter, mm_test_shutdown);
    return failed;
}
