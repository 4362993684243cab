/* SPDX-License-Identifier: MIT */
/*
 * core/vm/region.c: random insertions and removals beside an array of what covers each cell, every answer and every
 * summary compared; the shapes of gaps; how many nodes a search looks at; and several CPUs on references.
 */
#include "region_model.h"
#include "steps.h"

#include "region_counted.h"

static struct region *make_region(struct region_tree *tree, const struct region_spec *spec)
{
    struct region *region;

    assert_int_equal(region_create(spec, &region), 0);
    assert_true(region_is_stale(region));
    region_insert(tree, region);
    assert_false(region_is_stale(region));
    return region;
}

static void drop_region(struct region_tree *tree, struct region *region)
{
    region_remove(tree, region);
    assert_true(region_is_stale(region));
    region_put(region);
}

static void drop_all(struct region_tree *tree)
{
    while (region_first(tree) != NULL)
        drop_region(tree, region_first(tree));
    assert_int_equal(region_tree_count(tree), 0);
    assert_true(region_tree_bytes(tree) == 0);
}

static void insert_or_remove(struct region_tree *tree, struct model *model, struct unit_random *random, bool is_growing)
{
    size_t cell = unit_random_below(random, CELLS), end = cell;
    struct region *region = region_find(tree, va_of(cell));

    if (region != NULL) {
        if (is_growing && unit_random_below(random, 4) != 0)
            return;
        model_cut(model, region->start, region->end);
        drop_region(tree, region);
        return;
    }
    if (!is_growing && unit_random_below(random, 4) != 0)
        return;
    while (end < CELLS && !model->cell[end].is_mapped && end - cell < 8 && unit_random_below(random, 4) != 0)
        end++;
    struct region_spec spec = {
        .start = va_of(cell),
        .end = va_of(MAX(end, cell + 1)),
        .rights = VM_READ,
        .flags = unit_random_below(random, 4) == 0 ? VM_GROWS_DOWN : 0,
    };

    (void)make_region(tree, &spec);
    model_map(model, &spec);
}

#define STEPS 25000 /* with each seed */

static void random_regions(uint64_t seed)
{
    struct model model = {0};
    struct unit_random random = {seed};
    struct region_tree tree;

    region_tree_init(&tree, MODEL_LOW, MODEL_HIGH);
    vary_room_limit(&tree, seed);
    for (unsigned step = 0; step < STEPS; step++) {
        insert_or_remove(&tree, &model, &random, step / 500 % 2 == 0);
        expect_finds(&tree, &model, &random);
        expect_gap(&tree, &model, &random);
        if (step % 16 == 0) {
            expect_sound(&tree);
            expect_same(&tree, &model);
        }
    }
    drop_all(&tree);
}

static void random_regions_agree_with_an_array_of_cells(void **state)
{
    (void)state;
    const unsigned seeds = (unsigned)(unit_steps(1600000, 400000) / STEPS);

    for (unsigned seed = 0; seed < seeds && !vm_test_is_late(__func__, seed, seeds); seed++)
        random_regions(seed);
}

static vaddr_t gap_or_none(const struct region_tree *tree, struct region_gap wanted)
{
    vaddr_t va = 1;

    if (wanted.align == 0)
        wanted.align = PAGE_BYTES;
    if (wanted.high == 0)
        wanted.high = UINTPTR_MAX;
    return region_find_gap(tree, &wanted, &va) == 0 ? va : 0;
}

static void gaps_are_found_at_every_border(void **state)
{
    const vaddr_t low = 0x100000, high = 0x900000, page = PAGE_BYTES;
    struct region_tree tree;

    (void)state;
    region_tree_init(&tree, low, high);
    /* Nothing there. */
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page}) == low);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .is_top_down = true}) == high - page);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = high - low}) == low);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = high - low + page}) == 0);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = ~(page - 1)}) == 0);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .align = (size_t)1 << 63}) == 0);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .low = high}) == 0);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .low = high - page}) == high - page);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .high = low + page, .is_top_down = true}) == low);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .low = low + 1, .high = low + 2 * page}) ==
                low + page);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .low = low + 1, .high = low + 8191}) == 0);
    /* One page free at each end and one in the middle. */
    (void)make_region(&tree, &(struct region_spec){.start = low + page, .end = 0x500000});
    (void)make_region(&tree, &(struct region_spec){.start = 0x500000 + page, .end = high - page});
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page}) == low);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .is_top_down = true}) == high - page);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .low = low + page}) == 0x500000);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .high = high - page, .is_top_down = true}) ==
                0x500000);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = 2 * page}) == 0);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = page, .align = 2 * page}) == 0);
    drop_all(&tree);
}

static void the_guard_below_a_growing_region_is_given_to_nobody(void **state)
{
    const vaddr_t low = 0x10000000, high = 0x20000000, stack = 0x1f000000, guard = VM_STACK_GUARD_BYTES;
    struct region_tree tree;
    struct region *region, *under;

    (void)state;
    region_tree_init(&tree, low, high);
    region = make_region(&tree, &(struct region_spec){.start = stack, .end = high, .flags = VM_GROWS_DOWN | VM_STACK});
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = PAGE_BYTES, .is_top_down = true}) ==
                stack - guard - PAGE_BYTES);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = stack - guard - low}) == low);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = stack - guard - low + PAGE_BYTES}) == 0);
    assert_true(region_growth_floor(region) == low + guard);
    /* A second stack keeps its guard clear, too. */
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = PAGE_BYTES, .is_growing_down = true}) == low + guard);
    /* A request for a place of its own may stand in the guard; then the region cannot grow, nor shrink its floor. */
    under = make_region(&tree, &(struct region_spec){.start = stack - 2 * PAGE_BYTES, .end = stack - PAGE_BYTES});
    assert_true(region_growth_floor(region) == stack);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = PAGE_BYTES, .is_top_down = true}) ==
                stack - 3 * PAGE_BYTES);
    drop_region(&tree, under);
    assert_true(region_growth_floor(region) == low + guard);
    expect_sound(&tree);
    drop_all(&tree);
    /* The lowest addresses: a guard that reaches below zero. */
    region_tree_init(&tree, PAGE_BYTES, high);
    region = make_region(&tree, &(struct region_spec){.start = 4 * PAGE_BYTES, .end = high, .flags = VM_GROWS_DOWN});
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = PAGE_BYTES}) == 0);
    assert_true(gap_or_none(&tree, (struct region_gap){.bytes = PAGE_BYTES, .is_top_down = true}) == 0);
    assert_true(region_growth_floor(region) == 4 * PAGE_BYTES);
    drop_all(&tree);
}

/* ---- How many nodes a search looks at ---- */

static unsigned log2_of(unsigned n)
{
    unsigned log = 0;

    while (n >> (log + 1) != 0)
        log++;
    return log;
}

struct visits {
    unsigned sum, max;
};

static void count_visits(struct visits *visits, unsigned before)
{
    unsigned now = region_counted_visits() - before;

    visits->sum += now;
    visits->max = MAX(visits->max, now);
}

#define SEARCHES 1000

/* Gaps of one page everywhere, of two here and there: every search but the first has to look for a place. */
static void searches_look_at_a_number_of_nodes_that_grows_as_the_logarithm(void **state)
{
    (void)state;
    for (unsigned count = 10; count <= 10000; count *= 10) {
        struct visits find = {0}, above = {0}, gap = {0};
        unsigned bound = 2 * (log2_of(count) + 1); /* of a path: a red-black tree is no deeper */
        const vaddr_t low = 0x1000000, high = low + (vaddr_t)(4 * count + 1) * PAGE_BYTES;
        struct unit_random random = {count};
        struct region_tree tree;

        region_tree_init(&tree, low, high + ((vaddr_t)1 << 40)); /* as in a space, the regions are a small part */
        for (unsigned i = 0; i < count; i++) {
            vaddr_t at = low + (i * 4 + 1 + i % 7 / 6) * PAGE_BYTES;

            (void)make_region(&tree, &(struct region_spec){.start = at, .end = low + (i * 4 + 4) * PAGE_BYTES});
        }
        for (unsigned i = 0; i < SEARCHES; i++) {
            vaddr_t va = low + unit_random_below(&random, high - low), found = 0, expected = 0;
            struct region_gap wanted = {
                .bytes = (1 + i % 2) * PAGE_BYTES, .align = PAGE_BYTES, .low = low, .high = high, .is_top_down = i % 3,
            };
            unsigned before = region_counted_visits();

            if (i % 3 != 0)
                wanted.high = MAX(va & ~(PAGE_BYTES - 1), low + 8 * PAGE_BYTES);
            else
                wanted.low = MIN(va & ~(PAGE_BYTES - 1), high - 8 * PAGE_BYTES);
            assert_ptr_equal(counted_region_find(&tree, va), region_find(&tree, va));
            count_visits(&find, before);
            before = region_counted_visits();
            assert_ptr_equal(counted_region_find_at_or_above(&tree, va), region_find_at_or_above(&tree, va));
            count_visits(&above, before);
            before = region_counted_visits();
            int error = counted_region_find_gap(&tree, &wanted, &found);

            count_visits(&gap, before);
            assert_int_equal(region_find_gap(&tree, &wanted, &expected), error);
            assert_true(found == expected);
        }
        print_message("%5u regions: find %u.%u (at most %u), at or above %u.%u (%u), gap %u.%u (%u) nodes\n", count,
                      find.sum / SEARCHES, find.sum * 10 / SEARCHES % 10, find.max, above.sum / SEARCHES,
                      above.sum * 10 / SEARCHES % 10, above.max, gap.sum / SEARCHES, gap.sum * 10 / SEARCHES % 10,
                      gap.max);
        assert_in_range(find.max, 1, bound);
        assert_in_range(above.max, 1, bound);
        /* Down one path and one more, each time a node and one of its children. */
        assert_in_range(gap.max, 1, 4 * bound + 4);
        drop_all(&tree);
    }
}

/* ---- One region ---- */

static void only_neighbours_of_one_kind_merge(void **state)
{
    struct vm_object *object = (struct vm_object *)0x1000, *other = (struct vm_object *)0x2000;
    const struct region_spec a = {.start = 0x1000, .end = 0x3000, .rights = VM_READ, .flags = VM_HEAP};
    const struct region_spec c = {.start = 0x1000, .end = 0x3000, .rights = 1, .object = object, .offset = 0x5000};
    struct region_spec b = {.start = 0x3000, .end = 0x4000, .rights = VM_READ, .flags = VM_HEAP};
    struct region_spec d = {.start = 0x3000, .end = 0x4000, .rights = 1, .object = object, .offset = 0x7000};

    (void)state;
    assert_true(region_can_merge(&a, &b) && region_can_merge(&c, &d));
    assert_false(region_can_merge(&b, &a) || region_can_merge(&a, &d) || region_can_merge(&c, &b));
    b.start = 0x3001;
    assert_false(region_can_merge(&a, &b));
    b.start = 0x3000;
    b.rights = VM_READ | VM_WRITE;
    assert_false(region_can_merge(&a, &b));
    b.rights = VM_READ;
    b.flags = VM_HEAP | VM_HUGE;
    assert_false(region_can_merge(&a, &b));
    d.offset = 0x6000;
    assert_false(region_can_merge(&c, &d));
    d.offset = 0x7000;
    d.object = other;
    assert_false(region_can_merge(&c, &d));
}

static void facts_outlive_the_tree_until_the_last_reference(void **state)
{
    struct region_spec spec = {.start = MODEL_LOW, .end = MODEL_HIGH, .rights = VM_READ | VM_EXEC, .flags = VM_HUGE};
    struct region_tree tree;
    struct region *region;

    (void)state;
    region_tree_init(&tree, MODEL_LOW, MODEL_HIGH);
    region = make_region(&tree, &spec);
    region_get(region);
    drop_region(&tree, region);
    assert_null(region_find(&tree, MODEL_LOW));
    assert_true(region_is_stale(region) && region->end == MODEL_HIGH && region->rights == (VM_READ | VM_EXEC));
    region_put(region);
}

static void a_region_keeps_its_object_and_stands_in_its_list(void **state)
{
    struct region_spec spec = {.start = MODEL_LOW, .end = MODEL_HIGH, .flags = VM_SHARED, .offset = 3 * PAGE_BYTES};
    struct region *first, *second;

    (void)state;
    assert_int_equal(vm_object_create(PAGE_BYTES, &spec.object), 0);
    assert_int_equal(region_create(&spec, &first), 0);
    assert_int_equal(region_create(&spec, &second), 0);
    assert_true(load_relaxed(&spec.object->refs) == 3);
    assert_ptr_equal(spec.object->mappings.next, &first->mapping_link);
    assert_ptr_equal(spec.object->mappings.prev, &second->mapping_link);
    assert_true(region_page_index(first, MODEL_LOW + 5 * PAGE_BYTES + 7) == 8);
    region_put(first);
    assert_ptr_equal(spec.object->mappings.next, &second->mapping_link);
    vm_object_put(spec.object);
    region_put(second); /* the last reference to the object */
}

static void no_memory_leaves_nothing(void **state)
{
    struct region_spec spec = {.start = MODEL_LOW, .end = MODEL_HIGH};
    struct region *region = NULL;

    (void)state;
    for (uint32_t nth = 1; nth <= 2; nth++) {
        mm_fail_at(nth); /* the object, its slab */
        assert_int_equal(region_create(&spec, &region), -ENOMEM);
        assert_true(mm_fail_fired() && region == NULL);
        assert_true(mm_test_free_pages() == mm_test_pages_before);
    }
}

/* ---- What is refused ---- */

static struct region_tree bad_tree;

static void overlap_below(void *arg)
{
    (void)arg;
    (void)make_region(&bad_tree, &(struct region_spec){.start = va_of(3), .end = va_of(6)});
}

static void overlap_above(void *arg)
{
    (void)arg;
    (void)make_region(&bad_tree, &(struct region_spec){.start = va_of(5), .end = va_of(7)});
}

static void out_of_bounds(void *arg)
{
    (void)arg;
    (void)make_region(&bad_tree, &(struct region_spec){.start = va_of(CELLS - 1), .end = va_of(CELLS + 1)});
}

static void empty_region(void *arg)
{
    (void)arg;
    (void)make_region(&bad_tree, &(struct region_spec){.start = va_of(9), .end = va_of(9)});
}

static void put_twice(void *region)
{
    struct region copy = *(struct region *)region;

    store_relaxed(&copy.refs, 0);
    region_put(&copy);
}

static void wrong_regions_panic(void **state)
{
    struct region *region;

    (void)state;
    region_tree_init(&bad_tree, MODEL_LOW, MODEL_HIGH);
    region = make_region(&bad_tree, &(struct region_spec){.start = va_of(4), .end = va_of(6)});
    assert_panics(overlap_below, NULL, "region->end <=");
    assert_panics(overlap_above, NULL, "region->start >= floor");
    assert_panics(out_of_bounds, NULL, "region->end <=");
    assert_panics(empty_region, NULL, "region->start < region->end");
    assert_panics(put_twice, region, "before > 0");
    drop_all(&bad_tree);
}

/* ---- Several CPUs ---- */

static struct {
    struct spinlock lock;
    struct region_tree tree GUARDED_BY(lock);
    struct spinlock tables;
    _Atomic(vaddr_t) mapped_rights; /* what the page table says, guarded by tables */
} crowd;

static void prepare_crowd(void)
{
    region_cache_init();
    spin_init(&crowd.lock, LOCK_SPACE);
    spin_init(&crowd.tables, LOCK_TABLES);
    region_tree_init(&crowd.tree, MODEL_LOW, MODEL_HIGH);
}

/* As the space does: find under one lock, act under another if the region is still what it was. */
static void fault_once(struct unit_random *random)
{
    struct region *region;

    spin_lock(&crowd.lock);
    region = region_find(&crowd.tree, va_of(unit_random_below(random, 2)));
    if (region != NULL)
        region_get(region);
    spin_unlock(&crowd.lock);
    if (region == NULL)
        return;
    spin_lock(&crowd.tables);
    if (!region_is_stale(region))
        store_relaxed(&crowd.mapped_rights, region->rights);
    spin_unlock(&crowd.tables);
    region_put(region);
}

static void replace_once(unsigned round)
{
    struct region_spec spec = {.start = MODEL_LOW, .end = va_of(2), .rights = 1 + round % 7};
    struct region *old, *region;

    ASSERT(region_create(&spec, &region) == 0);
    spin_lock(&crowd.lock);
    old = region_first(&crowd.tree);
    if (old != NULL)
        region_remove(&crowd.tree, old);
    spin_unlock(&crowd.lock);
    spin_lock(&crowd.tables);
    store_relaxed(&crowd.mapped_rights, 0);
    spin_unlock(&crowd.tables);
    /* Nobody maps through the old one from here on. */
    for (unsigned i = 0; i < 20; i++)
        ASSERT(load_relaxed(&crowd.mapped_rights) == 0);
    if (old != NULL)
        region_put(old);
    spin_lock(&crowd.lock);
    region_insert(&crowd.tree, region);
    spin_unlock(&crowd.lock);
}

static void crowd_body(cpu_id_t cpu, struct unit_random *random)
{
    for (unsigned round = 0; round < 40; round++) {
        if (cpu != 0)
            fault_once(random);
        else
            replace_once(round);
    }
    if (cpu == 0) {
        spin_lock(&crowd.lock);
        struct region *last = region_first(&crowd.tree);

        region_remove(&crowd.tree, last);
        spin_unlock(&crowd.lock);
        region_put(last);
    }
}

static void a_stale_region_maps_nothing(void **state)
{
    (void)state;
    mm_test_run_team(prepare_crowd, crowd_body, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(only_neighbours_of_one_kind_merge),
        vm_test(facts_outlive_the_tree_until_the_last_reference),
        vm_test(a_region_keeps_its_object_and_stands_in_its_list),
        vm_test(no_memory_leaves_nothing),
        vm_test(gaps_are_found_at_every_border),
        vm_test(the_guard_below_a_growing_region_is_given_to_nobody),
        vm_test(random_regions_agree_with_an_array_of_cells),
        vm_test(searches_look_at_a_number_of_nodes_that_grows_as_the_logarithm),
        vm_test(wrong_regions_panic),
    };
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(a_stale_region_maps_nothing),
    };

    return cmocka_run_group_tests(teams, NULL, NULL) + cmocka_run_group_tests(tests, vm_test_boot, mm_test_shutdown);
}
