/* SPDX-License-Identifier: MIT */
/*
 * core/vm/object.c: random reads, writes and sizes beside plain arrays, at indices of all heights of the tree; each
 * allocation made to fail; several CPUs that ask for the same pages; and faults beside cuts, changes of regions and
 * sizes, with a page table of a few slots.
 */
#include "booted.h"
#include "vm_test.h"

#include <mm/stats.h>
#include <proc/task.h>
#include <sched/mutex.h>

/* ---- Plain arrays ---- */

/* A few pages around every border of the tree's levels. */
static const uint64_t cluster_base[] = {
    0, 62, 4094, (UINT64_C(1) << 18) - 2, (UINT64_C(1) << 30) - 2, (UINT64_C(1) << 42) - 1, (UINT64_C(1) << 51) - 5,
};
#define CLUSTERS ARRAY_COUNT(cluster_base)
#define CLUSTER_PAGES 4
#define CLUSTER_BYTES (CLUSTER_PAGES * PAGE_BYTES)

static struct {
    unsigned char bytes[CLUSTERS][CLUSTER_BYTES];
    bool has_page[CLUSTERS][CLUSTER_PAGES];
    uint64_t size;
} model;

static uint64_t object_pages(void)
{
    struct mm_stats stats;

    mm_stats_get(&stats);
    return stats.pages[MM_OBJECT];
}

static uint64_t base_of(size_t cluster)
{
    return cluster_base[cluster] * PAGE_BYTES;
}

/* How much of a range of a cluster lies below the end. */
static size_t model_clip(size_t cluster, size_t from, size_t bytes)
{
    uint64_t start = base_of(cluster) + from;

    return model.size <= start ? 0 : (size_t)MIN((uint64_t)bytes, model.size - start);
}

static void model_resize(uint64_t size)
{
    for (size_t cluster = 0; cluster < CLUSTERS; cluster++)
        for (size_t i = 0; i < CLUSTER_BYTES; i++) {
            if (base_of(cluster) + i >= size)
                model.bytes[cluster][i] = 0;
            if (base_of(cluster) + i / PAGE_BYTES * PAGE_BYTES >= size)
                model.has_page[cluster][i / PAGE_BYTES] = false;
        }
    model.size = size;
}

static uint64_t model_pages(void)
{
    uint64_t pages = 0;

    for (size_t cluster = 0; cluster < CLUSTERS; cluster++)
        for (size_t i = 0; i < CLUSTER_PAGES; i++)
            pages += model.has_page[cluster][i];
    return pages;
}

static void random_write(struct vm_object *object, size_t cluster, struct unit_random *random)
{
    static unsigned char buffer[CLUSTER_BYTES];
    size_t from = unit_random_below(random, CLUSTER_BYTES);
    size_t bytes = unit_random_below(random, MIN(CLUSTER_BYTES - from, (size_t)6000)) + 1;
    size_t done = model_clip(cluster, from, bytes);

    for (size_t i = 0; i < bytes; i++)
        buffer[i] = (unsigned char)unit_random_next(random);
    assert_true(vm_object_write(object, base_of(cluster) + from, buffer, bytes) == (int64_t)done);
    memcpy(&model.bytes[cluster][from], buffer, done);
    for (size_t i = from; i < from + done; i++)
        model.has_page[cluster][i / PAGE_BYTES] = true;
}

static void random_read(struct vm_object *object, size_t cluster, struct unit_random *random)
{
    static unsigned char buffer[CLUSTER_BYTES];
    size_t from = unit_random_below(random, CLUSTER_BYTES);
    size_t bytes = unit_random_below(random, CLUSTER_BYTES - from) + 1;
    size_t done = model_clip(cluster, from, bytes);

    memset(buffer, 0xa5, sizeof(buffer));
    assert_int_equal(vm_object_read(object, base_of(cluster) + from, buffer, bytes), done);
    assert_memory_equal(buffer, &model.bytes[cluster][from], done);
    assert_true(done == bytes || buffer[done] == 0xa5);
}

/* As a fault does. A program's stores beyond the end, in the last page, are to be forgotten. */
static void random_page(struct vm_object *object, size_t cluster, struct unit_random *random)
{
    size_t page = unit_random_below(random, CLUSTER_PAGES);
    uint64_t index = cluster_base[cluster] + page;
    bool is_inside = index * PAGE_BYTES < model.size, is_peek = unit_random_below(random, 2) == 0;
    size_t valid = model_clip(cluster, page * PAGE_BYTES, PAGE_BYTES);
    paddr_t pa = 0;
    int error = is_peek ? vm_object_peek(object, index, &pa) : vm_object_page(object, index, &pa);

    if (!is_inside || (is_peek && !model.has_page[cluster][page])) {
        assert_int_equal(error, is_inside ? -ENOENT : -ENXIO);
        return;
    }
    assert_int_equal(error, 0);
    assert_int_equal(phys_refs(pa), 2);
    assert_memory_equal(phys_to_virt(pa), &model.bytes[cluster][page * PAGE_BYTES], valid);
    memset((char *)phys_to_virt(pa) + valid, 0x77, PAGE_BYTES - valid);
    model.has_page[cluster][page] = true;
    phys_put(pa);
}

static void random_resize(struct vm_object *object, size_t cluster, struct unit_random *random)
{
    uint64_t size = base_of(cluster) + unit_random_below(random, CLUSTER_BYTES);

    if (unit_random_below(random, 4) == 0)
        size = size / PAGE_BYTES * PAGE_BYTES;
    if (unit_random_below(random, 3) == 0)
        size = VM_OBJECT_BYTES_MAX;
    bool is_smaller = size < model.size;
    paddr_t pa;

    assert_int_equal(vm_object_resize(object, size), 0);
    model_resize(size);
    /* What was cut off the last page is gone at once, for those who map it. */
    if (is_smaller && size % PAGE_BYTES != 0 && vm_object_peek(object, size / PAGE_BYTES, &pa) == 0) {
        const char *page = phys_to_virt(pa);

        for (size_t i = size % PAGE_BYTES; i < PAGE_BYTES; i++)
            assert_int_equal(page[i], 0);
        phys_put(pa);
    }
}

static void random_accesses_agree_with_plain_arrays(void **state)
{
    struct unit_random random = {91};
    uint64_t pages = object_pages();
    struct vm_object *object;

    (void)state;
    memset(&model, 0, sizeof(model));
    assert_int_equal(vm_object_create(0, &object), 0);
    for (unsigned step = 0; step < 20000; step++) {
        size_t cluster = unit_random_below(&random, CLUSTERS);
        size_t what = unit_random_below(&random, 40);

        if (what == 0)
            random_resize(object, cluster, &random);
        else if (what < 12)
            random_write(object, cluster, &random);
        else if (what < 24)
            random_read(object, cluster, &random);
        else
            random_page(object, cluster, &random);
        assert_true(vm_object_bytes(object) == model.size);
        if (step % 16 == 0) {
            assert_true(vm_object_page_count(object) == model_pages());
            assert_true(object_pages() - pages == model_pages());
        }
    }
    vm_object_put(object);
    assert_true(object_pages() == pages);
}

/* More pages in one node, and more than one batch at a time. */
static void many_pages_come_and_go(void **state)
{
    struct vm_object *object;
    paddr_t pa;

    (void)state;
    assert_int_equal(vm_object_create(1000 * PAGE_BYTES, &object), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(vm_object_page(object, i * 619 % 1000, &pa), 0);
        *(uint64_t *)phys_to_virt(pa) = i * 619 % 1000;
        phys_put(pa);
    }
    assert_int_equal(vm_object_resize(object, 333 * PAGE_BYTES), 0);
    assert_int_equal(vm_object_page_count(object), 333);
    for (uint64_t i = 0; i < 333; i++) {
        assert_int_equal(vm_object_peek(object, i, &pa), 0);
        assert_true(*(uint64_t *)phys_to_virt(pa) == i);
        phys_put(pa);
    }
    assert_int_equal(vm_object_resize(object, 0), 0);
    slab_reclaim_all();
    assert_true(mm_test_pages_before - mm_test_free_pages() <= 1); /* the object itself */
    vm_object_put(object);
}

static void a_page_outlives_its_object_by_its_references(void **state)
{
    struct vm_object *object;
    paddr_t first, second, again;

    (void)state;
    assert_int_equal(vm_object_create(2 * PAGE_BYTES, &object), 0);
    assert_int_equal(vm_object_page(object, 0, &first), 0);
    assert_int_equal(vm_object_page(object, 1, &second), 0);
    assert_int_equal(vm_object_page(object, 1, &again), 0);
    assert_true(second == again && phys_refs(second) == 3);
    phys_put(again);
    assert_int_equal(vm_object_resize(object, PAGE_BYTES), 0);
    assert_int_equal(phys_refs(second), 1);
    vm_object_get(object);
    vm_object_put(object);
    vm_object_put(object);
    assert_int_equal(phys_refs(first), 1);
    phys_put(first);
    phys_put(second);
}

static void every_failed_allocation_leaves_nothing(void **state)
{
    struct vm_object *object = NULL;
    char buffer[2 * PAGE_BYTES] = {1};
    unsigned failures = 0;
    paddr_t pa = 0;

    (void)state;
    for (uint32_t nth = 1; nth <= 2; nth++) {
        mm_fail_at(nth); /* the object, its slab */
        assert_int_equal(vm_object_create(0, &object), -ENOMEM);
        assert_true(mm_fail_fired() && object == NULL);
    }
    assert_int_equal(vm_object_create(VM_OBJECT_BYTES_MAX + 1, &object), -EINVAL);
    for (size_t cluster = 0; cluster < CLUSTERS; cluster++) {
        assert_int_equal(vm_object_create(VM_OBJECT_BYTES_MAX, &object), 0);
        assert_int_equal(vm_object_page(object, cluster % 2, &pa), 0); /* the others grow over it, or do not */
        phys_put(pa);
        slab_reclaim_all();
        uint64_t before = mm_test_free_pages();

        for (uint32_t nth = 1;; nth++) {
            mm_fail_at(nth);
            int error = vm_object_page(object, cluster_base[cluster] + 3, &pa);

            assert_int_equal(error, mm_fail_fired() ? -ENOMEM : 0);
            if (error == 0)
                break;
            failures++;
            slab_reclaim_all();
            assert_true(mm_test_free_pages() == before && vm_object_page_count(object) == 1);
        }
        phys_put(pa);
        vm_object_put(object);
    }
    assert_true(failures > 40);
    /* What was written before the memory ended counts. */
    assert_int_equal(vm_object_create(2 * PAGE_BYTES, &object), 0);
    mm_fail_at(1);
    assert_true(vm_object_write(object, 0, buffer, sizeof(buffer)) == -ENOMEM);
    assert_true(vm_object_write(object, 0, buffer, 1) == 1);
    mm_fail_at(1);
    assert_true(vm_object_write(object, 0, buffer, sizeof(buffer)) == PAGE_BYTES);
    assert_true(mm_fail_fired());
    assert_int_equal(vm_object_page_count(object), 1);
    vm_object_put(object);
}

/* ---- Who is asked to let go ---- */

static struct {
    struct vm_object *object;
    unsigned calls;
    struct region *region[8];
    uint64_t first[8], count[8];
} cut;

static void note_cut(struct region *region, uint64_t first, uint64_t count)
{
    assert_true(mutex_is_held(&cut.object->change));
    /* Nobody can get such a page any longer, and none is gone yet. */
    assert_true(vm_object_bytes(cut.object) <= first * PAGE_BYTES && vm_object_page_count(cut.object) == 9);
    cut.region[cut.calls] = region;
    cut.first[cut.calls] = first;
    cut.count[cut.calls++] = count;
}

static void mappings_are_cut_in_the_order_of_their_creation(void **state)
{
    struct region_spec spec = {.start = 0x10000000, .end = 0x10010000, .flags = VM_SHARED};
    struct region *region[3];
    paddr_t pa;

    (void)state;
    memset(&cut, 0, sizeof(cut));
    assert_int_equal(vm_object_create(9 * PAGE_BYTES, &cut.object), 0);
    for (uint64_t i = 0; i < 9; i++) {
        assert_int_equal(vm_object_page(cut.object, i, &pa), 0);
        phys_put(pa);
    }
    spec.object = cut.object;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(region_create(&spec, &region[i]), 0);
    vm_object_set_unmap(note_cut);
    assert_int_equal(vm_object_resize(cut.object, 8 * PAGE_BYTES + 1), 0);
    assert_int_equal(vm_object_resize(cut.object, 9 * PAGE_BYTES), 0);
    assert_int_equal(cut.calls, 0); /* no page lost */
    assert_true(vm_object_cuts(cut.object) == 0);
    assert_int_equal(vm_object_resize(cut.object, 5 * PAGE_BYTES + 1), 0);
    assert_int_equal(cut.calls, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(cut.region[i], region[i]);
        assert_true(cut.first[i] == 6 && cut.count[i] == 3);
        region_put(region[i]);
    }
    assert_true(vm_object_cuts(cut.object) == 1);
    assert_int_equal(vm_object_resize(cut.object, 0), 0);
    assert_int_equal(cut.calls, 3);
    assert_true(vm_object_cuts(cut.object) == 2);
    vm_object_set_unmap(NULL);
    vm_object_put(cut.object);
}

static void put_too_often(void *object)
{
    store_relaxed(&((struct vm_object *)object)->refs, 0);
    vm_object_put(object);
}

static void put_while_mapped(void *object)
{
    struct region_spec spec = {.start = 0x10000000, .end = 0x10010000, .object = object};
    struct region *region;

    assert_int_equal(region_create(&spec, &region), 0);
    vm_object_put(object);
    vm_object_put(object);
}

static void wrong_counts_panic(void **state)
{
    struct vm_object *object;

    (void)state;
    assert_int_equal(vm_object_create(0, &object), 0);
    assert_panics(put_too_often, object, "before > 0");
    assert_panics(put_while_mapped, object, "list_is_empty");
    vm_object_put(object);
}

/* ---- Several CPUs ask for the same pages ---- */

#define SHARED_PAGES 6

static struct {
    struct vm_object *object;
    _Atomic(paddr_t) seen[SHARED_PAGES];
} shared;

static void prepare_shared(void)
{
    vm_object_cache_init();
    memset(&shared, 0, sizeof(shared));
}

static uint64_t shared_index(size_t i)
{
    return i * i * i * 40;
}

static void shared_body(cpu_id_t cpu, struct unit_random *random)
{
    static _Atomic(struct vm_object *) made;
    struct vm_object *object;

    if (cpu == 0) {
        ASSERT(vm_object_create(VM_OBJECT_BYTES_MAX, &object) == 0);
        for (unsigned i = 1; i < MM_TEST_CPUS; i++)
            vm_object_get(object);
        store_release(&made, object); /* PAIRS(test_made) */
    }
    while ((object = load_acquire(&made)) == NULL) /* PAIRS(test_made) */
        hal_cpu_relax();
    for (unsigned round = 0; round < 20; round++) {
        size_t i = unit_random_below(random, SHARED_PAGES);
        paddr_t pa, before = 0;

        ASSERT(vm_object_page(object, shared_index(i), &pa) == 0);
        ASSERT(cas_relaxed(&shared.seen[i], &before, pa) || before == pa);
        ASSERT(phys_refs(pa) >= 2);
        phys_put(pa);
    }
    vm_object_put(object);
}

static void cpus_that_ask_for_one_page_get_the_same(void **state)
{
    (void)state;
    mm_test_run_team(prepare_shared, shared_body, 40);
}

/* ---- Faults, cuts and changes of regions at once ---- */

#define SLOTS 4
#define FAULTERS 3

/* A space of one region. Lock order as in the space: change, regions, tables. */
static struct {
    struct vm_object *object;
    struct mutex change;
    struct spinlock regions;
    struct region_tree tree GUARDED_BY(regions);
    struct spinlock tables;
    paddr_t slot[SLOTS] GUARDED_BY(tables);
    _Atomic(unsigned) faulters_left;
    _Atomic(unsigned) installed, cut;
} toy;

#define TOY_LOW ((vaddr_t)0x1000000)
#define TOY_HIGH (TOY_LOW + SLOTS * PAGE_BYTES)

static void clear_slots(const struct region *unless_stale, uint64_t first)
{
    paddr_t pages[SLOTS];
    unsigned count = 0;

    spin_lock(&toy.tables);
    if (unless_stale == NULL || !region_is_stale(unless_stale)) {
        for (uint64_t i = first; i < SLOTS; i++) {
            if (toy.slot[i] != 0)
                pages[count++] = toy.slot[i];
            toy.slot[i] = 0;
        }
    }
    spin_unlock(&toy.tables);
    while (count > 0) {
        (void)fetch_add_relaxed(&toy.cut, 1);
        phys_put(pages[--count]);
    }
}

static void toy_unmap(struct region *region, uint64_t first, uint64_t count)
{
    (void)count;
    clear_slots(region, first);
}

static int toy_fault(size_t slot)
{
    struct region *region;
    paddr_t pa = 0;
    int error = -EFAULT;

    spin_lock(&toy.regions);
    region = region_find(&toy.tree, TOY_LOW + slot * PAGE_BYTES);
    if (region != NULL)
        region_get(region);
    spin_unlock(&toy.regions);
    if (region == NULL)
        return error;
    uint64_t cuts = vm_object_cuts(region->object);

    error = vm_object_page(region->object, region_page_index(region, TOY_LOW + slot * PAGE_BYTES), &pa);
    if (error == 0) {
        spin_lock(&toy.tables);
        if (!region_is_stale(region) && vm_object_cuts(region->object) == cuts && toy.slot[slot] == 0) {
            toy.slot[slot] = pa;
            pa = 0;
        }
        spin_unlock(&toy.tables);
        if (pa != 0)
            phys_put(pa);
        else
            (void)fetch_add_relaxed(&toy.installed, 1);
    }
    region_put(region);
    return error;
}

static int toy_faulter(void *arg)
{
    uint64_t random = booted_seed() * FAULTERS + (uintptr_t)arg + 1;

    for (unsigned i = 0; i < 30; i++) {
        int error = toy_fault(random_next(&random) % SLOTS);

        CHECK(error == 0 || error == -ENXIO || error == -EFAULT);
        if (random_next(&random) % 4 == 0)
            task_yield();
    }
    (void)fetch_sub_relaxed(&toy.faulters_left, 1);
    return 0;
}

static void toy_commit(struct region_change *change)
{
    spin_lock(&toy.regions);
    region_change_commit(change);
    spin_unlock(&toy.regions);
}

static void toy_map(unsigned rights)
{
    struct region_spec spec = {.start = TOY_LOW, .end = TOY_HIGH, .rights = rights, .object = toy.object};
    struct region_change change;

    CHECK(region_change_map(&change, &toy.tree, &spec, NULL) == 0);
    toy_commit(&change);
    region_change_finish(&change);
}

static void toy_unmap_all(void)
{
    struct region_change change;

    CHECK(region_change_cut(&change, &toy.tree, TOY_LOW, TOY_HIGH) == 0);
    toy_commit(&change);
    clear_slots(NULL, 0);
    region_change_finish(&change);
}

/* Other rights keep what is mapped; unmapping does not. */
static int toy_changer(void *arg)
{
    uint64_t random = booted_seed() + 99;

    (void)arg;
    while (load_relaxed(&toy.faulters_left) > 0) {
        unsigned rights = 1 + (unsigned)random_next(&random) % 7;
        const struct region_edit edit = {.rights_add = rights};
        struct region_change change;

        mutex_lock(&toy.change);
        if (random_next(&random) % 2 == 0) {
            CHECK(region_change_set(&change, &toy.tree, TOY_LOW, TOY_HIGH, &edit) == 0);
            toy_commit(&change);
            region_change_finish(&change);
        } else {
            toy_unmap_all();
            toy_map(rights);
        }
        mutex_unlock(&toy.change);
        task_yield();
    }
    return 0;
}

/* When a resize has returned, nothing beyond the end is mapped, and nothing will be until the next one; but what is
 * being unmapped just then, by way of a region that is stale already, goes when that is done. */
static int toy_resizer(void *arg)
{
    uint64_t random = booted_seed() + 5;

    (void)arg;
    while (load_relaxed(&toy.faulters_left) > 0) {
        uint64_t pages = random_next(&random) % (SLOTS + 1);

        CHECK(vm_object_resize(toy.object, pages * PAGE_BYTES) == 0);
        for (unsigned round = 0; round < 3; round++) {
            mutex_lock(&toy.change);
            spin_lock(&toy.tables);
            for (uint64_t i = pages; i < SLOTS; i++)
                CHECK(toy.slot[i] == 0);
            spin_unlock(&toy.tables);
            mutex_unlock(&toy.change);
            if (random_next(&random) % 2 == 0)
                task_yield();
        }
    }
    return 0;
}

static void faults_and_cuts(void)
{
    struct task *task[FAULTERS + 2];

    memset(&toy, 0, sizeof(toy));
    mutex_init(&toy.change);
    spin_init(&toy.regions, LOCK_SPACE);
    spin_init(&toy.tables, LOCK_TABLES);
    region_tree_init(&toy.tree, TOY_LOW, TOY_HIGH);
    store_relaxed(&toy.faulters_left, FAULTERS);
    vm_object_set_unmap(toy_unmap);
    CHECK(vm_object_create(SLOTS * PAGE_BYTES, &toy.object) == 0);
    toy_map(VM_READ);
    for (uintptr_t i = 0; i < FAULTERS; i++)
        task[i] = spawn("faulter", toy_faulter, (void *)i, PRIORITY_DEFAULT, NULL);
    task[FAULTERS] = spawn("changer", toy_changer, NULL, PRIORITY_DEFAULT, NULL);
    task[FAULTERS + 1] = spawn("resizer", toy_resizer, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    toy_unmap_all();
    CHECK(load_relaxed(&toy.installed) == load_relaxed(&toy.cut));
    CHECK(load_relaxed(&toy.object->refs) == 1);
    vm_object_put(toy.object);
}

const struct kernel_test booted_tests[] = {
    { "faults-and-cuts", faults_and_cuts },
    { NULL, NULL },
};

static void no_page_beyond_the_end_stays_mapped(void **state)
{
    (void)state;
    booted_run("faults-and-cuts", 200);
}

/* Pages of objects that share a budget: made, given, cut, and paid back. */
static void a_budget_limits_and_comes_back(void **state)
{
    static struct vm_object_budget budget = {.max = 3};
    struct vm_object *first, *second;
    paddr_t pa, given;

    (void)state;
    assert_int_equal(vm_object_create(8 * PAGE_BYTES, &first), 0);
    assert_int_equal(vm_object_create(8 * PAGE_BYTES, &second), 0);
    vm_object_set_budget(first, &budget);
    vm_object_set_budget(second, &budget);
    assert_int_equal(vm_object_page(first, 0, &pa), 0);
    phys_put(pa);
    assert_int_equal(vm_object_write(second, 5 * PAGE_BYTES, "x", 1), 1);
    given = phys_alloc_user(0, MM_OBJECT);
    assert_int_equal(vm_object_give_page(first, 0, given), -EEXIST);
    assert_int_equal(vm_object_give_page(first, 9, given), -ENXIO);
    assert_int_equal(load_relaxed(&budget.used), 2);
    assert_int_equal(vm_object_give_page(first, 7, given), 0);
    assert_int_equal(vm_object_peek(first, 7, &pa), 0);
    assert_true(pa == given && phys_refs(pa) == 2);
    phys_put(pa);
    assert_int_equal(vm_object_page(first, 1, &pa), -ENOSPC);
    assert_int_equal(vm_object_write(second, 0, "x", 1), -ENOSPC);
    assert_int_equal(vm_object_page(first, 7, &pa), 0); /* one that is there costs nothing */
    phys_put(pa);
    assert_int_equal(vm_object_resize(first, 2 * PAGE_BYTES), 0);
    assert_int_equal(load_relaxed(&budget.used), 2);
    vm_object_put(first);
    vm_object_put(second);
    assert_int_equal(load_relaxed(&budget.used), 0);
}

int main(void)
{
    const struct CMUnitTest booted[] = {
        cmocka_unit_test(no_page_beyond_the_end_stays_mapped),
        cmocka_unit_test(cpus_that_ask_for_one_page_get_the_same),
    };
    const struct CMUnitTest tests[] = {
        vm_test(random_accesses_agree_with_plain_arrays),
        vm_test(many_pages_come_and_go),
        vm_test(a_page_outlives_its_object_by_its_references),
        vm_test(every_failed_allocation_leaves_nothing),
        vm_test(mappings_are_cut_in_the_order_of_their_creation),
        vm_test(a_budget_limits_and_comes_back),
        vm_test(wrong_counts_panic),
    };

    return cmocka_run_group_tests(booted, NULL, NULL) + cmocka_run_group_tests(tests, vm_test_boot, mm_test_shutdown);
}
