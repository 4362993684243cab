/* SPDX-License-Identifier: MIT */
/*
 * What a region tree must say, in the plainest form: an array that says of each cell of an address range what covers
 * it. A cell is larger than a page, so that the guard below a growing region is a few cells.
 */
#pragma once

#include "vm_test.h"

#define CELL_BYTES ((vaddr_t)1 << 16)
#define CELLS 128
#define MODEL_LOW ((vaddr_t)0x40000000)
#define MODEL_HIGH (MODEL_LOW + CELLS * CELL_BYTES)

struct cell {
    bool is_mapped;
    unsigned rights, flags;
    struct vm_object *object;
    uint64_t offset;
};

struct model {
    struct cell cell[CELLS];
};

static inline vaddr_t va_of(size_t cell)
{
    return MODEL_LOW + cell * CELL_BYTES;
}

static inline size_t cell_of(vaddr_t va)
{
    return (va - MODEL_LOW) / CELL_BYTES;
}

static inline void model_map(struct model *model, const struct region_spec *spec)
{
    for (size_t i = cell_of(spec->start); i < cell_of(spec->end); i++)
        model->cell[i] = (struct cell){
            .is_mapped = true,
            .rights = spec->rights,
            .flags = spec->flags,
            .object = spec->object,
            .offset = spec->object != NULL ? spec->offset + (va_of(i) - spec->start) : 0,
        };
}

static inline void model_cut(struct model *model, vaddr_t start, vaddr_t end)
{
    for (size_t i = cell_of(start); i < cell_of(end); i++)
        model->cell[i].is_mapped = false;
}

static inline void model_set(struct model *model, vaddr_t start, vaddr_t end, const struct region_edit *edit)
{
    for (size_t i = cell_of(start); i < cell_of(end); i++) {
        struct cell *cell = &model->cell[i];

        cell->rights = (cell->rights & edit->rights_keep) | edit->rights_add;
        cell->flags = (cell->flags & edit->flags_keep) | edit->flags_add;
    }
}

static inline bool cells_join(const struct cell *a, const struct cell *b)
{
    return a->is_mapped && b->is_mapped && a->rights == b->rights && a->flags == b->flags && a->object == b->object &&
           (a->object == NULL || a->offset + CELL_BYTES == b->offset);
}

/* The fewest regions that can say it. */
static inline unsigned model_runs(const struct model *model)
{
    unsigned runs = 0;

    for (size_t i = 0; i < CELLS; i++)
        runs += model->cell[i].is_mapped && (i == 0 || !cells_join(&model->cell[i - 1], &model->cell[i]));
    return runs;
}

static inline const struct region *region_of_node(const struct rb_node *node)
{
    return container_of(node, const struct region, node);
}

/* Summaries and colours: each `gap` from the order, each `room_max` from the children. */
static inline void expect_sound(const struct region_tree *tree)
{
    vaddr_t floor = tree->low;
    uint64_t bytes = 0, data_bytes = 0;

    assert_int_equal(rb_check(&tree->rb), (int)tree->count);
    for (const struct region *region = region_first(tree); region != NULL; region = region_next(region)) {
        vaddr_t guard = region->flags & VM_GROWS_DOWN ? VM_STACK_GUARD_BYTES : 0;
        vaddr_t max = region->room;

        assert_true(region->start >= floor && region->start < region->end && region->end <= tree->high);
        assert_true(region->gap == (region->start - floor > guard ? region->start - floor - guard : 0));
        assert_true(region->room == MIN(region->gap, tree->room_limit));
        if (region->node.left != NULL)
            max = MAX(max, region_of_node(region->node.left)->room_max);
        if (region->node.right != NULL)
            max = MAX(max, region_of_node(region->node.right)->room_max);
        assert_true(region->room_max == max);
        assert_false(region_is_stale(region));
        floor = region->end;
        bytes += region->end - region->start;
        if ((region->rights & VM_WRITE) != 0 && (region->flags & (VM_SHARED | VM_GROWS_DOWN)) == 0)
            data_bytes += region->end - region->start;
    }
    assert_true(bytes == region_tree_bytes(tree) && data_bytes == region_tree_data_bytes(tree));
    if (tree->hint != NULL)
        assert_ptr_equal(region_find(tree, tree->hint->start), tree->hint);
}

/* How much of a gap counts is of no consequence but for speed: small, middle, everything. */
static inline void vary_room_limit(struct region_tree *tree, uint64_t seed)
{
    static const vaddr_t limit[] = {PAGE_BYTES, CELL_BYTES, 5 * CELL_BYTES, CELLS * CELL_BYTES};

    tree->room_limit = limit[seed % ARRAY_COUNT(limit)];
}

/* The same cells covered by the same. */
static inline void expect_same(const struct region_tree *tree, const struct model *model)
{
    size_t i = 0;

    for (const struct region *region = region_first(tree); region != NULL; region = region_next(region)) {
        for (; i < cell_of(region->start); i++)
            assert_false(model->cell[i].is_mapped);
        for (; i < cell_of(region->end); i++) {
            const struct cell *cell = &model->cell[i];

            assert_true(cell->is_mapped && cell->rights == region->rights && cell->flags == region->flags);
            assert_true(cell->object == region->object);
            if (cell->object != NULL)
                assert_true(region_page_index(region, va_of(i)) == cell->offset >> PAGE_SHIFT);
        }
    }
    for (; i < CELLS; i++)
        assert_false(model->cell[i].is_mapped);
}

static inline void expect_finds(const struct region_tree *tree, const struct model *model, struct unit_random *random)
{
    size_t cell = unit_random_below(random, CELLS), above = cell;
    size_t to = cell + unit_random_below(random, CELLS - cell) + 1, end = cell;
    vaddr_t va = va_of(cell) + unit_random_below(random, CELL_BYTES);
    const struct region *found = region_find(tree, va), *next = region_find_at_or_above(tree, va);

    assert_true((found != NULL) == model->cell[cell].is_mapped);
    if (found != NULL)
        assert_true(found->start <= va && va < found->end && next == found);
    while (above < CELLS && !model->cell[above].is_mapped)
        above++;
    assert_true((next != NULL) == (above < CELLS));
    if (next != NULL)
        assert_true(next->end > va && (above == cell || next->start == va_of(above)));
    while (end < to && model->cell[end].is_mapped)
        end++;
    assert_true(region_tree_covers(tree, va, va_of(to)) == (end == to));
}

/* The free ranges one after the other, from the end that is wanted, and the first one with room. */
static inline int model_gap(const struct model *model, const struct region_gap *wanted, vaddr_t *out_va)
{
    vaddr_t guard = wanted->is_growing_down ? VM_STACK_GUARD_BYTES : 0;
    size_t need = wanted->bytes + guard + wanted->align - PAGE_BYTES;
    int error = -ENOMEM;

    for (size_t i = 0; i < CELLS;) {
        size_t from = i;
        vaddr_t low, high;

        while (i < CELLS && !model->cell[i].is_mapped)
            i++;
        low = MAX(va_of(from), wanted->low);
        high = va_of(i);
        if (i < CELLS && (model->cell[i].flags & VM_GROWS_DOWN))
            high -= VM_STACK_GUARD_BYTES;
        high = MIN(high, wanted->high);
        if (low < high && high - low >= need) {
            *out_va = wanted->is_top_down ? ROUND_DOWN(high - wanted->bytes, wanted->align)
                                          : ROUND_UP(low + guard, wanted->align);
            error = 0;
            if (!wanted->is_top_down)
                return 0;
        }
        if (i < CELLS)
            i++;
    }
    return error;
}

static inline void expect_gap(const struct region_tree *tree, const struct model *model, struct unit_random *random)
{
    size_t low = unit_random_below(random, CELLS), high = low + unit_random_below(random, CELLS - low) + 1;
    struct region_gap wanted = {
        .bytes = (unit_random_below(random, 6) == 0 ? unit_random_below(random, CELLS) + 1
                                                    : unit_random_below(random, 6) + 1) *
                 (unit_random_below(random, 3) == 0 ? PAGE_BYTES : CELL_BYTES),
        .align = PAGE_BYTES << (unit_random_below(random, 3) == 0 ? unit_random_below(random, 8) : 0),
        .low = MODEL_LOW,
        .high = MODEL_HIGH,
        .is_top_down = unit_random_below(random, 2) != 0,
        .is_growing_down = unit_random_below(random, 4) == 0,
    };
    vaddr_t expected = 0, found = 0;
    int error;

    if (unit_random_below(random, 3) != 0) {
        wanted.low = va_of(low) + unit_random_below(random, 3) * PAGE_BYTES;
        wanted.high = va_of(high) - unit_random_below(random, 3) * PAGE_BYTES;
    }
    error = model_gap(model, &wanted, &expected);
    assert_int_equal(region_find_gap(tree, &wanted, &found), error);
    if (error != 0)
        return;
    assert_true(found == expected);
    assert_true(found % wanted.align == 0 && found >= wanted.low && found + wanted.bytes <= wanted.high);
}
