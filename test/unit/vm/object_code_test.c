/* SPDX-License-Identifier: MIT */
/*
 * core/vm/object_code.c: CPUs fetch what a page holds when it is asked for as code, whoever stored there before; and
 * nobody syncs a page twice without need. Alone, and with several CPUs at once.
 */
#include "vm_test.h"

#define PAGES 5u

static struct vm_object *new_object(void)
{
    struct vm_object *object;

    assert_int_equal(vm_object_create(PAGES * PAGE_BYTES, &object), 0);
    return object;
}

/* It holds what it never held: so a look-up that does not sync it is seen. */
static void spoil(paddr_t page)
{
    static uint64_t last;

    *(uint64_t *)phys_to_virt(page) = ++last;
}

/* Does asking for it sync it? */
static bool syncs(struct vm_object *object, uint64_t index)
{
    paddr_t page, again;

    assert_int_equal(vm_object_page(object, index, &page), 0);
    spoil(page);
    assert_int_equal(vm_object_code_page(object, index, &again), 0);
    assert_true(again == page);
    bool has = host_icache_has(page);

    phys_put(page);
    phys_put(again);
    return has;
}

static void a_page_is_synced_once_for_each_store(void **state)
{
    struct vm_object *object = new_object();
    uint64_t zeroed = PAGE_BYTES;

    (void)state;
    for (unsigned i = 0; i < PAGES; i++)
        assert_true(syncs(object, i) && !syncs(object, i));
    assert_int_equal(vm_object_write(object, 2 * PAGE_BYTES - 1, "xy", 2), 2);
    assert_true(!syncs(object, 0) && syncs(object, 1) && syncs(object, 2) && !syncs(object, 3));
    vm_object_stored(object, 3);
    assert_true(!syncs(object, 2) && syncs(object, 3) && !syncs(object, 3));
    assert_true(vm_object_zero(object, &zeroed, PAGE_BYTES + 8)); /* of a part: it keeps the page */
    assert_true(syncs(object, 1) && !syncs(object, 1) && !syncs(object, 2));
    assert_int_equal(vm_object_resize(object, 2 * PAGE_BYTES + 5), 0);
    assert_true(syncs(object, 2) && !syncs(object, 1));
    assert_int_equal(vm_object_resize(object, PAGES * PAGE_BYTES), 0); /* other pages come where some were */
    assert_true(syncs(object, 3) && syncs(object, 4) && !syncs(object, 4));
    vm_object_put(object);
}

static void what_programs_may_store_to_is_always_synced(void **state)
{
    struct region_spec spec = {.start = 0x10000000, .end = 0x10010000, .flags = VM_SHARED | VM_NO_WRITE};
    struct region *region;

    (void)state;
    spec.object = new_object();
    assert_true(syncs(spec.object, 0) && !syncs(spec.object, 0));
    assert_int_equal(region_create(&spec, &region), 0);
    assert_true(!syncs(spec.object, 0));
    region_put(region);
    spec.flags = VM_SHARED;
    assert_int_equal(region_create(&spec, &region), 0);
    assert_true(syncs(spec.object, 0) && syncs(spec.object, 0));
    region_put(region);
    assert_true(syncs(spec.object, 0)); /* what it has stored is there */
    vm_object_put(spec.object);
}

static void errors_are_those_of_the_page(void **state)
{
    struct vm_object *object = new_object();
    paddr_t page;

    (void)state;
    assert_int_equal(vm_object_code_page(object, PAGES, &page), -ENXIO);
    vm_object_stored(object, PAGES);
    vm_object_stored(object, 0); /* there is no page */
    vm_object_put(object);
}

/* ---- Several CPUs ---- */

static struct {
    _Atomic(struct vm_object *) made;
    _Atomic(unsigned) begun, done; /* stores */
    _Atomic(unsigned) checked, left;
} crowd;

static void prepare(void)
{
    vm_object_cache_init();
    store_relaxed(&crowd.made, NULL);
    store_relaxed(&crowd.begun, 0);
    store_relaxed(&crowd.done, 0);
    store_relaxed(&crowd.checked, 0);
    store_relaxed(&crowd.left, MM_TEST_CPUS);
}

static void store_somewhere(struct vm_object *object, uint64_t index)
{
    paddr_t page;

    ASSERT(vm_object_page(object, index, &page) == 0);
    (void)fetch_add_acq_rel(&crowd.begun, 1);
    spoil(page);
    vm_object_stored(object, index);
    (void)fetch_add_acq_rel(&crowd.done, 1);
    phys_put(page);
}

static void ask_for_code(struct vm_object *object, uint64_t index)
{
    unsigned done = load_seq_cst(&crowd.done), begun = load_seq_cst(&crowd.begun);
    paddr_t page;

    ASSERT(vm_object_code_page(object, index, &page) == 0);
    bool has = host_icache_has(page);

    if (done == begun && load_seq_cst(&crowd.begun) == begun) { /* nobody stored meanwhile */
        ASSERT(has);
        (void)fetch_add_relaxed(&crowd.checked, 1);
    }
    phys_put(page);
}

static void body(cpu_id_t cpu, struct unit_random *random)
{
    struct vm_object *object;

    if (cpu == 0) {
        ASSERT(vm_object_create(PAGES * PAGE_BYTES, &object) == 0);
        for (unsigned i = 1; i < MM_TEST_CPUS; i++)
            vm_object_get(object);
        store_release(&crowd.made, object); /* PAIRS(test_made) */
    }
    while ((object = load_acquire(&crowd.made)) == NULL) /* PAIRS(test_made) */
        hal_cpu_relax();
    for (unsigned round = 0; round < 40; round++) {
        uint64_t index = unit_random_below(random, 2);

        if (unit_random_below(random, 4) == 0)
            store_somewhere(object, index);
        else
            ask_for_code(object, index);
    }
    if (fetch_sub_acq_rel(&crowd.left, 1) == 1) { /* alone: what is remembered of each is right */
        unsigned before = load_relaxed(&crowd.checked);

        for (uint64_t index = 0; index < 2; index++)
            ask_for_code(object, index);
        ASSERT(load_relaxed(&crowd.checked) == before + 2);
    }
    vm_object_put(object);
}

static void stores_and_looks_of_several_cpus(void **state)
{
    (void)state;
    mm_test_run_team(prepare, body, 200);
}

int main(void)
{
    const struct CMUnitTest booted[] = { cmocka_unit_test(stores_and_looks_of_several_cpus) };
    const struct CMUnitTest tests[] = {
        vm_test(a_page_is_synced_once_for_each_store),
        vm_test(what_programs_may_store_to_is_always_synced),
        vm_test(errors_are_those_of_the_page),
    };

    return cmocka_run_group_tests(booted, NULL, NULL) + cmocka_run_group_tests(tests, vm_test_boot, mm_test_shutdown);
}
