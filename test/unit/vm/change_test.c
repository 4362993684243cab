/* SPDX-License-Identifier: MIT */
/*
 * core/vm/change.c: random maps, cuts and other rights beside an array of what covers each cell; each allocation of a
 * prepare made to fail; the limit; and what a reader that holds on to a region sees.
 */
#include "region_model.h"
#include "steps.h"

#define OBJECTS 2

struct world {
    struct region_tree tree;
    struct model model;
    struct vm_object *object[OBJECTS];
    struct region *held; /* by a reader that found it earlier; NULL: none */
    struct region_spec held_was;
    struct unit_random random;
};

static struct world world;

static void begin_world(uint64_t seed)
{
    memset(&world, 0, sizeof(world));
    world.random.state = seed;
    region_tree_init(&world.tree, MODEL_LOW, MODEL_HIGH);
    vary_room_limit(&world.tree, seed);
    for (unsigned i = 0; i < OBJECTS; i++)
        assert_int_equal(vm_object_create(PAGE_BYTES, &world.object[i]), 0);
}

static void end_world(void)
{
    struct region_change change;

    assert_int_equal(region_change_cut(&change, &world.tree, MODEL_LOW, MODEL_HIGH), 0);
    region_change_commit(&change);
    region_change_finish(&change);
    assert_int_equal(region_tree_count(&world.tree), 0);
    if (world.held != NULL)
        region_put(world.held);
    for (unsigned i = 0; i < OBJECTS; i++) {
        assert_true(load_relaxed(&world.object[i]->refs) == 1);
        vm_object_put(world.object[i]);
    }
}

static size_t below(size_t bound)
{
    return unit_random_below(&world.random, bound);
}

static struct region_spec random_spec(void)
{
    size_t cell = below(CELLS);
    struct region_spec spec = {
        .start = va_of(cell),
        .end = va_of(cell + 1 + below(MIN(CELLS - cell, (size_t)8))),
        .rights = below(3) == 0 ? VM_READ : VM_READ | VM_WRITE,
        .flags = below(8) == 0 ? VM_GROWS_DOWN : below(8) == 0 ? VM_HUGE : 0,
    };

    /* Offsets that often continue each other: the same part of the object at the same address. */
    if (below(3) == 0) {
        spec.object = world.object[below(OBJECTS)];
        spec.offset = spec.start - MODEL_LOW + (below(4) == 0 ? CELL_BYTES : 0);
    }
    return spec;
}

static struct region_edit random_edit(void)
{
    struct region_edit edit = {.rights_keep = ~0u, .flags_keep = ~0u};

    if (below(3) != 0) {
        edit.rights_keep = 0;
        edit.rights_add = below(3) == 0 ? 0 : below(2) == 0 ? VM_READ : VM_READ | VM_WRITE;
    } else {
        edit.flags_keep = ~(VM_HUGE | VM_NO_HUGE);
        edit.flags_add = below(2) == 0 ? VM_HUGE : 0;
    }
    return edit;
}

/* One change, prepared in the way of its kind; `after`: the cut that makes room for a map. */
struct step {
    enum { STEP_MAP, STEP_CUT, STEP_SET } kind;
    struct region_spec spec; /* CUT, SET: the range */
    struct region_edit edit;
};

static struct step random_step(void)
{
    struct step step = {.kind = below(8) < 4 ? STEP_MAP : below(2) == 0 ? STEP_CUT : STEP_SET};

    step.spec = random_spec();
    step.edit = random_edit();
    return step;
}

/* A map makes room first, as a fixed mapping does. */
static int prepare(const struct step *step, struct region_change *room, struct region_change *change)
{
    vaddr_t start = step->spec.start, end = step->spec.end;
    int error;

    if (step->kind == STEP_SET)
        return region_change_set(change, &world.tree, start, end, &step->edit);
    if (step->kind == STEP_CUT)
        return region_change_cut(change, &world.tree, start, end);
    error = region_change_cut(room, &world.tree, start, end);
    if (error != 0)
        return error;
    error = region_change_map(change, &world.tree, &step->spec, room);
    if (error != 0)
        region_change_abort(room);
    return error;
}

static void model_step(const struct step *step)
{
    if (step->kind == STEP_SET)
        model_set(&world.model, step->spec.start, step->spec.end, &step->edit);
    else if (step->kind == STEP_CUT)
        model_cut(&world.model, step->spec.start, step->spec.end);
    else
        model_map(&world.model, &step->spec);
}

static void commit_one(struct region_change *change)
{
    int before = (int)region_tree_count(&world.tree), added = change->added, grown;

    region_change_commit(change);
    grown = (int)region_tree_count(&world.tree) - before;
    assert_true(change->is_map ? grown <= added && grown >= added - 2 : grown == added); /* a map may have merged */
    for (struct region *region = change->leaving; region != NULL; region = region->chain) {
        assert_true(region_is_stale(region));
        assert_true(region->chain == NULL || region->end <= region->chain->start); /* in order */
    }
    region_change_finish(change);
}

static void commit(const struct step *step, struct region_change *room, struct region_change *change)
{
    if (step->kind == STEP_MAP)
        commit_one(room);
    commit_one(change);
}

/* A region that somebody holds says what it said, and is stale if, and only if, it is not in the tree. */
static void check_held(void)
{
    struct region_spec now;

    if (world.held != NULL) {
        now = region_spec_of(world.held);
        assert_memory_equal(&now, &world.held_was, sizeof(now));
        assert_true(region_is_stale(world.held) == (region_find(&world.tree, now.start) != world.held));
    }
    if (below(8) != 0)
        return;
    if (world.held != NULL)
        region_put(world.held);
    world.held = region_find(&world.tree, va_of(below(CELLS)));
    if (world.held != NULL) {
        region_get(world.held);
        world.held_was = region_spec_of(world.held);
    }
}

static void check_world(void)
{
    expect_finds(&world.tree, &world.model, &world.random);
    expect_gap(&world.tree, &world.model, &world.random);
    expect_same(&world.tree, &world.model);
    /* Whatever can be one region is one. */
    assert_int_equal(region_tree_count(&world.tree), model_runs(&world.model));
    check_held();
}

#define STEPS 25000 /* with each seed */

static void random_changes_agree_with_an_array_of_cells(void **state)
{
    (void)state;
    const unsigned seeds = (unsigned)(unit_steps(1000000, 1000000) / STEPS);

    for (unsigned seed = 1; seed <= seeds && !vm_test_is_late(__func__, seed - 1, seeds); seed++) {
        begin_world(seed);
        for (unsigned i = 0; i < STEPS; i++) {
            struct region_change room, change;
            struct step step = random_step();

            assert_int_equal(prepare(&step, &room, &change), 0);
            if (below(16) == 0) { /* second thoughts */
                if (step.kind == STEP_MAP)
                    region_change_abort(&room);
                region_change_abort(&change);
            } else {
                model_step(&step);
                commit(&step, &room, &change);
            }
            check_world();
            if (i % 8 == 0)
                expect_sound(&world.tree);
        }
        end_world();
    }
}

static void every_failed_allocation_leaves_all_as_it_was(void **state)
{
    unsigned failures = 0, deepest = 0;

    (void)state;
    begin_world(77);
    for (unsigned i = 0; i < 3000; i++) {
        struct step step = random_step();
        struct region_change room, change;
        int error = -ENOMEM;

        for (uint32_t nth = 1; error != 0; nth++) {
            uint32_t refs = load_relaxed(&world.object[0]->refs) + load_relaxed(&world.object[1]->refs);

            mm_fail_at(nth);
            error = prepare(&step, &room, &change);
            assert_true(mm_fail_fired() == (error != 0));
            if (error == 0)
                break;
            assert_int_equal(error, -ENOMEM);
            assert_true(load_relaxed(&world.object[0]->refs) + load_relaxed(&world.object[1]->refs) == refs);
            check_world();
            failures++;
            deepest = MAX(deepest, nth);
        }
        model_step(&step);
        commit(&step, &room, &change);
        check_world();
        expect_sound(&world.tree);
    }
    end_world();
    assert_true(failures > 3000 && deepest >= 5);
}

/* ---- Single cases ---- */

static void map_now(vaddr_t start, vaddr_t end, unsigned rights, unsigned flags)
{
    struct region_change change;
    struct region_spec spec = {.start = start, .end = end, .rights = rights, .flags = flags};

    assert_int_equal(region_change_map(&change, &world.tree, &spec, NULL), 0);
    region_change_commit(&change);
    region_change_finish(&change);
}

static void a_growing_stack_is_one_region(void **state)
{
    const unsigned flags = VM_STACK | VM_GROWS_DOWN;
    struct region *stack;

    (void)state;
    begin_world(1);
    map_now(va_of(0), va_of(1), VM_READ, 0);
    map_now(va_of(100), va_of(101), VM_READ | VM_WRITE, flags);
    for (size_t cell = 99; cell >= 60; cell--)
        map_now(va_of(cell), va_of(cell + 1), VM_READ | VM_WRITE, flags);
    stack = region_find(&world.tree, va_of(80));
    assert_true(stack->start == va_of(60) && stack->end == va_of(101));
    assert_true(region_growth_floor(stack) == va_of(1) + VM_STACK_GUARD_BYTES);
    assert_int_equal(region_tree_count(&world.tree), 2);
    expect_sound(&world.tree);
    end_world();
}

static void an_edit_that_changes_nothing_replaces_nothing(void **state)
{
    const struct region_edit edit = {.rights_add = VM_READ, .flags_keep = ~0u};
    struct region_change change;

    (void)state;
    begin_world(1);
    map_now(va_of(2), va_of(4), VM_READ, 0);
    map_now(va_of(4), va_of(6), VM_READ | VM_WRITE, 0);
    map_now(va_of(8), va_of(9), VM_READ, VM_HUGE);
    mm_fail_at(1);
    assert_int_equal(region_change_set(&change, &world.tree, va_of(1), va_of(4), &edit), 0);
    assert_true(change.coming == NULL && change.leaving == NULL && change.added == 0);
    assert_int_equal(region_change_set(&change, &world.tree, va_of(7), va_of(12), &edit), 0);
    assert_true(change.coming == NULL && change.leaving == NULL);
    assert_int_equal(region_change_cut(&change, &world.tree, va_of(6), va_of(8)), 0);
    assert_true(change.coming == NULL && change.leaving == NULL);
    /* Whole regions go without memory. */
    assert_int_equal(region_change_cut(&change, &world.tree, va_of(1), va_of(8)), 0);
    assert_int_equal(change.added, -2);
    region_change_abort(&change);
    assert_false(mm_fail_fired());
    /* An edit that makes two neighbours equal: one region comes, both leave. */
    assert_int_equal(region_change_set(&change, &world.tree, va_of(4), va_of(6), &edit), 0);
    assert_int_equal(change.added, -1);
    region_change_commit(&change);
    assert_true(change.leaving->start == va_of(2) && change.leaving->chain->start == va_of(4));
    region_change_finish(&change);
    assert_int_equal(region_tree_count(&world.tree), 2);
    end_world();
}

/* Objects know who maps them at every moment, those that are about to come included. */
static unsigned mappings_of(struct vm_object *object)
{
    unsigned count = 0;

    list_for_each(node, &object->mappings)
        count++;
    return count;
}

static void what_comes_is_entered_behind_what_it_replaces(void **state)
{
    const struct region_edit edit = {.rights_add = VM_READ, .flags_keep = ~0u};
    struct region_change change;
    struct region_spec spec = {.start = va_of(2), .end = va_of(8), .rights = VM_READ | VM_WRITE};
    struct region *old, *middle;

    (void)state;
    begin_world(1);
    spec.object = world.object[0];
    assert_int_equal(region_change_map(&change, &world.tree, &spec, NULL), 0);
    region_change_commit(&change);
    region_change_finish(&change);
    old = region_first(&world.tree);
    assert_int_equal(region_change_set(&change, &world.tree, va_of(4), va_of(6), &edit), 0);
    assert_int_equal(mappings_of(spec.object), 4);
    assert_ptr_equal(list_first(&spec.object->mappings, struct region, mapping_link), old);
    middle = change.coming->chain;
    assert_true(!region_is_stale(old) && region_is_stale(middle));
    region_change_commit(&change);
    assert_true(region_is_stale(old) && !region_is_stale(middle));
    assert_int_equal(mappings_of(spec.object), 4);
    region_change_finish(&change);
    assert_int_equal(mappings_of(spec.object), 3);
    assert_true(region_page_index(middle, va_of(4)) == 2 * CELL_BYTES / PAGE_BYTES);
    end_world();
}

/* ---- The limit ---- */

static void the_limit_holds_and_loses_nothing(void **state)
{
    const vaddr_t low = MODEL_LOW, two = 2 * PAGE_BYTES;
    const struct region_edit edit = {.rights_add = VM_EXEC, .flags_keep = ~0u};
    struct region_spec spec = {.rights = VM_READ};
    struct region_change change, room;
    struct region_tree tree;

    (void)state;
    region_tree_init(&tree, low, low + (VM_REGIONS_MAX + 1) * 2 * two);
    /* Two pages, then two free ones. */
    for (size_t i = 0; i < VM_REGIONS_MAX; i++) {
        spec.start = low + i * 2 * two;
        spec.end = spec.start + two;
        assert_int_equal(region_change_map(&change, &tree, &spec, NULL), 0);
        region_change_commit(&change);
        region_change_finish(&change);
    }
    assert_int_equal(region_tree_count(&tree), VM_REGIONS_MAX);
    spec.start = low + two;
    spec.end = spec.start + PAGE_BYTES;
    assert_int_equal(region_change_map(&change, &tree, &spec, NULL), -ENOMEM);
    assert_int_equal(region_change_set(&change, &tree, low, low + PAGE_BYTES, &edit), -ENOMEM);
    assert_true(change.coming == NULL && change.leaving == NULL);
    /* What does not add any is possible: other rights for the whole, a cut at an end, a replacement. */
    assert_int_equal(region_change_set(&change, &tree, low, low + two, &edit), 0);
    region_change_abort(&change);
    assert_int_equal(region_change_cut(&change, &tree, low, low + PAGE_BYTES), 0);
    assert_int_equal(change.added, 0);
    region_change_abort(&change);
    assert_int_equal(region_change_cut(&room, &tree, low, low + two), 0);
    spec.start = low;
    spec.end = low + two;
    assert_int_equal(region_change_map(&change, &tree, &spec, &room), 0);
    region_change_abort(&change);
    region_change_abort(&room);
    /* A page out of the middle of three. */
    assert_int_equal(region_change_cut(&change, &tree, low, low + 2 * two + two), 0);
    region_change_commit(&change);
    region_change_finish(&change);
    spec.end = low + 3 * PAGE_BYTES;
    for (unsigned i = 0; i < 2; i++, spec.start += two + PAGE_BYTES, spec.end += two + PAGE_BYTES) {
        spec.rights = VM_READ + i;
        assert_int_equal(region_change_map(&change, &tree, &spec, NULL), 0);
        region_change_commit(&change);
        region_change_finish(&change);
    }
    assert_int_equal(region_tree_count(&tree), VM_REGIONS_MAX);
    assert_int_equal(region_change_cut(&change, &tree, low + PAGE_BYTES, low + two), -ENOMEM);
    assert_int_equal(region_tree_count(&tree), VM_REGIONS_MAX);
    expect_sound(&tree);
    assert_int_equal(region_change_cut(&change, &tree, 0, UINTPTR_MAX), 0);
    assert_int_equal(change.added, -VM_REGIONS_MAX);
    region_change_commit(&change);
    region_change_finish(&change);
    assert_int_equal(region_tree_count(&tree), 0);
}

static void map_onto(void *arg)
{
    (void)arg;
    map_now(va_of(3), va_of(5), VM_READ, 0);
}

static void mapping_what_is_taken_panics(void **state)
{
    (void)state;
    begin_world(1);
    map_now(va_of(2), va_of(4), VM_READ, 0);
    assert_panics(map_onto, NULL, "region->start >= floor");
    end_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(a_growing_stack_is_one_region),
        vm_test(an_edit_that_changes_nothing_replaces_nothing),
        vm_test(what_comes_is_entered_behind_what_it_replaces),
        vm_test(random_changes_agree_with_an_array_of_cells),
        vm_test(every_failed_allocation_leaves_all_as_it_was),
        vm_test(the_limit_holds_and_loses_nothing),
        vm_test(mapping_what_is_taken_panics),
    };

    return cmocka_run_group_tests(tests, vm_test_boot, mm_test_shutdown);
}
