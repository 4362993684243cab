/* SPDX-License-Identifier: MIT */
/*
 * core/mm/pagetable_slots.c against one plain record per page, with every table allocation made to fail in turn.
 */
#include "mm_test.h"
#include "steps.h"

#include <k/errno.h>

#define SPANS_PER_PLACE 6u
#define PLACES 4u
#define SPANS (SPANS_PER_PLACE * PLACES)
#define SPAN_PAGES PT_ENTRIES

enum kind { EMPTY, LEAF, PARKED };

struct model_slot {
    enum kind kind;
    paddr_t pa;
    unsigned extra; /* PROT_ bits of a leaf, tag of a parked one */
};

/* A span is empty, one large slot, or a table of slots. */
struct model_span {
    vaddr_t va;
    bool has_upper; /* the table that its entry of level 1 lies in */
    bool has_table;
    struct model_slot large;
    unsigned used;
    struct model_slot slot[SPAN_PAGES];
};

static struct model_span spans[SPANS]; /* ascending */
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
    tables--;
    phys_free(table, 0);
}

static const struct pt_alloc alloc = {.alloc = table_alloc, .free = table_free};

static vaddr_t user_end(void)
{
    return (vaddr_t)1 << (pt_level_shift(HAL_PT_LEVELS) - (HAL_PT_SHARED_ROOT ? 1 : 0));
}

/* The lowest addresses, the two sides of a border of 1 GiB, of an entry of the root, and the highest addresses. */
static vaddr_t span_va(unsigned span)
{
    const vaddr_t half = SPANS_PER_PLACE / 2 * pt_level_bytes(1);
    const vaddr_t base[PLACES] = {0, 5 * pt_level_bytes(2) - half, 9 * pt_level_bytes(HAL_PT_LEVELS - 1) - half,
                                  user_end() - 2 * half};

    return base[span / SPANS_PER_PLACE] + span % SPANS_PER_PLACE * pt_level_bytes(1);
}

static int setup(void **state)
{
    (void)mm_test_begin(state);
    memset(spans, 0, sizeof(spans));
    for (unsigned i = 0; i < SPANS; i++) {
        spans[i].va = span_va(i);
        assert_true(i == 0 || spans[i - 1].va < spans[i].va);
    }
    root = phys_alloc_zeroed(0);
    fail_nth = 0;
    tables = 0;
    return root == 0 ? -1 : 0;
}

static void clear_all(void)
{
    for (unsigned i = 0; i < SPANS; i++) {
        if (spans[i].large.kind != EMPTY)
            (void)pt_large_clear(pt_slot(root, spans[i].va, 1));
        for (size_t page = 0; spans[i].used > 0; page++)
            if (spans[i].slot[page].kind != EMPTY) {
                (void)pt_slot_clear(pt_slot(root, spans[i].va + page * PAGE_BYTES, 0));
                spans[i].used--;
            }
    }
}

static int teardown(void **state)
{
    clear_all();
    pt_free_tables(root, 0, &alloc);
    for (size_t i = 0; i < PT_ENTRIES; i++)
        if (pt_table_at(root)[i] != 0)
            return -1;
    phys_free(root, 0);
    return tables == 0 ? mm_test_end(state) : -1;
}

/* ---- What the model says ---- */

/* Tables that stand: distinct entries above the spans, level by level. */
static unsigned model_tables(void)
{
    unsigned count = 0;

    for (unsigned above = 1; above < HAL_PT_LEVELS; above++) {
        vaddr_t last = ~(vaddr_t)0;

        for (unsigned i = 0; i < SPANS; i++) {
            bool is_there = above == 1 ? spans[i].has_table : spans[i].has_upper;

            if (!is_there || spans[i].va >> pt_level_shift(above) == last)
                continue;
            last = spans[i].va >> pt_level_shift(above);
            count++;
        }
    }
    return count;
}

/* Tables of level 1 and above serve all spans below them. */
static void model_made_upper(const struct model_span *made)
{
    for (unsigned i = 0; i < SPANS; i++)
        if (spans[i].va >> pt_level_shift(2) == made->va >> pt_level_shift(2))
            spans[i].has_upper = true;
}

static uint64_t model_entry(const struct model_slot *slot, unsigned level)
{
    switch (slot->kind) {
    case LEAF:
        return hal_pte_leaf(slot->pa, slot->extra, level);
    case PARKED:
        return pt_park(slot->pa, slot->extra);
    default:
        return 0;
    }
}

/* The slot, of level 0 or 1, that says what va maps to. */
static const struct model_slot *model_at(const struct model_span *span, size_t page, unsigned *out_level)
{
    *out_level = span->has_table ? 0 : 1;
    return span->has_table ? &span->slot[page] : &span->large;
}

static void assert_entry(uint64_t entry, const struct model_slot *slot, unsigned level)
{
    assert_true(entry == model_entry(slot, level));
    assert_true(pt_is_leaf(entry, level) == (slot->kind == LEAF));
    assert_true(pt_is_parked(entry) == (slot->kind == PARKED));
    assert_false(pt_is_table(entry, level));
    if (slot->kind == PARKED) {
        assert_true((entry & HAL_PTE_VALID) == 0);
        assert_true(pt_parked_paddr(entry) == slot->pa && pt_parked_tag(entry) == slot->extra);
    }
}

/* pt_slot() and pt_query() at one page. */
static void assert_page(const struct model_span *span, size_t page)
{
    vaddr_t va = span->va + page * PAGE_BYTES;
    uint64_t *large = pt_slot(root, va, 1);
    uint64_t *small = pt_slot(root, va, 0);
    unsigned level, prot;
    paddr_t pa;
    const struct model_slot *slot = model_at(span, page, &level);
    int error = pt_query(root, va + page, &pa, &prot);

    assert_true((large != NULL) == span->has_upper);
    assert_true((small != NULL) == span->has_table);
    if (large != NULL && !span->has_table)
        assert_entry(pt_slot_get(large), &span->large, 1);
    if (large != NULL && span->has_table)
        assert_true(pt_is_table(pt_slot_get(large), 1));
    if (small != NULL)
        assert_entry(pt_slot_get(small), slot, 0);
    assert_int_equal(error, slot->kind == LEAF ? 0 : -ENOENT);
    if (error == 0)
        assert_true(pa == slot->pa + (level == 0 ? 0 : page * PAGE_BYTES) + page && prot == slot->extra);
}

static void assert_next_span(vaddr_t va, vaddr_t end)
{
    vaddr_t expected = end;

    for (unsigned i = SPANS; i-- > 0;) {
        bool is_empty = !spans[i].has_table && spans[i].large.kind == EMPTY;

        if (!is_empty && spans[i].va + pt_level_bytes(1) > va && MAX(spans[i].va, va) < end)
            expected = MAX(spans[i].va, va);
    }
    assert_true(pt_next_span(root, va, end) == expected);
}

struct walk {
    unsigned span;
    size_t page; /* where the next leaf may be */
};

/* The next leaf that the model has from *walk on; false: none. */
static bool model_next(struct walk *walk, vaddr_t *out_va, const struct model_slot **out, unsigned *out_level)
{
    for (; walk->span < SPANS; walk->span++, walk->page = 0) {
        const struct model_span *span = &spans[walk->span];

        while (walk->page < SPAN_PAGES) {
            *out = model_at(span, walk->page, out_level);
            *out_va = span->va + walk->page * PAGE_BYTES;
            walk->page += *out_level == 0 ? 1 : SPAN_PAGES;
            if ((*out)->kind == LEAF)
                return true;
        }
    }
    return false;
}

static int visit(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot)
{
    const struct model_slot *slot;
    unsigned level;
    vaddr_t expected;

    assert_true(model_next(arg, &expected, &slot, &level));
    assert_true(va == expected && bytes == pt_level_bytes(level) && pa == slot->pa && prot == slot->extra);
    return 0;
}

static void assert_walk(void)
{
    struct walk walk = {0, 0};
    const struct model_slot *slot;
    unsigned level;
    vaddr_t va;

    for (unsigned place = 0; place < PLACES; place++)
        assert_int_equal(pt_walk(root, spans[place * SPANS_PER_PLACE].va, SPANS_PER_PLACE * pt_level_bytes(1), visit,
                                 &walk),
                         0);
    assert_false(model_next(&walk, &va, &slot, &level));
}

/* ---- Random operations, on the tables and on the model ---- */

static unsigned done[16]; /* how often each came up with an effect */

static struct model_slot random_slot(struct unit_random *random, unsigned level)
{
    static const unsigned prots[] = {PROT_USER, PROT_USER | PROT_WRITE, PROT_USER | PROT_EXEC};
    struct model_slot slot = {.kind = unit_random_below(random, 3) == 0 ? PARKED : LEAF};

    /* Up to 44 bits: what every machine's entries hold. */
    slot.pa = unit_random_below(random, UINT64_C(1) << (44 - pt_level_shift(level))) << pt_level_shift(level);
    slot.extra = slot.kind == PARKED ? (unsigned)unit_random_below(random, PT_PARK_TAG_MAX + 1)
                                     : prots[unit_random_below(random, ARRAY_COUNT(prots))];
    return slot;
}

static void make(struct model_span *span, size_t page, unsigned level, unsigned fail)
{
    vaddr_t va = span->va + page * PAGE_BYTES;
    bool is_in_the_way = level == 0 && span->large.kind != EMPTY;
    unsigned before = tables;
    int error;

    /* Its first allocation fails, then the second ...: what was linked before stays, and serves others. */
    for (fail_nth = fail; (error = pt_make_tables(root, va, level, &alloc)) == -ENOMEM; fail_nth = ++fail)
        done[0]++;
    fail_nth = 0;
    assert_int_equal(error, is_in_the_way ? -EEXIST : 0);
    model_made_upper(span);
    if (level == 0 && !is_in_the_way)
        span->has_table = true;
    done[1] += tables - before;
    assert_int_equal(tables, model_tables());
}

static void change_small(struct model_span *span, size_t page, struct unit_random *random)
{
    uint64_t *slot = pt_slot(root, span->va + page * PAGE_BYTES, 0);
    struct model_slot *model = &span->slot[page];
    struct model_slot next = random_slot(random, 0);

    if (slot == NULL)
        return;
    if (model->kind == EMPTY) {
        pt_slot_install(slot, model_entry(&next, 0));
        span->used++;
        done[2]++;
    } else if (unit_random_below(random, 3) == 0) {
        pt_slot_change(slot, model_entry(&next, 0));
        done[3]++;
    } else {
        assert_true(pt_slot_clear(slot) == model_entry(model, 0));
        next = (struct model_slot){.kind = EMPTY};
        span->used--;
        done[4]++;
    }
    *model = next;
}

/* A large leaf gives way to a table of small ones, as vm does it. */
static void split(struct model_span *span, uint64_t *slot)
{
    paddr_t table = table_alloc();

    pt_split(slot, 1, table);
    pt_slot_change(slot, pt_park(span->large.pa, 0));
    assert_int_equal(pt_make_tables(root, span->va, 0, &alloc), -EEXIST);
    assert_true(pt_take_table(root, span->va) == 0);
    pt_slot_change(slot, hal_pte_table(table));
    for (size_t i = 0; i < SPAN_PAGES; i++) {
        span->slot[i] = span->large;
        span->slot[i].pa += i * PAGE_BYTES;
    }
    span->has_table = true;
    span->used = SPAN_PAGES;
    span->large.kind = EMPTY;
    done[5]++;
}

static void change_large(struct model_span *span, struct unit_random *random)
{
    uint64_t *slot = pt_slot(root, span->va, 1);
    struct model_slot next = random_slot(random, 1);

    if (slot == NULL)
        return;
    if (span->has_table) {
        assert_false(pt_large_install(slot, model_entry(&next, 1)));
        return;
    }
    if (span->large.kind == EMPTY) {
        assert_true(pt_large_install(slot, model_entry(&next, 1)));
        span->large = next;
        done[6]++;
    } else if (unit_random_below(random, 3) == 0) {
        pt_slot_change(slot, model_entry(&next, 1));
        span->large = next;
        done[7]++;
    } else if (unit_random_below(random, 2) == 0) {
        assert_true(pt_large_clear(slot) == model_entry(&span->large, 1));
        span->large.kind = EMPTY;
        done[8]++;
    } else {
        split(span, slot);
    }
}

static void take(struct model_span *span)
{
    paddr_t table = pt_take_table(root, span->va);

    assert_true((table != 0) == (span->has_table && span->used == 0));
    if (table == 0)
        return;
    for (size_t i = 0; i < PT_ENTRIES; i++)
        assert_true(pt_table_at(table)[i] == 0);
    table_free(table);
    span->has_table = false;
    done[9]++;
}

/* Few of the pages of a span, so that chance empties it now and then. */
static size_t random_page(struct unit_random *random)
{
    static const size_t pages[] = {0, 1, 255, 510, 511};

    return pages[unit_random_below(random, ARRAY_COUNT(pages))];
}

/* After a split chance alone would not empty the span. */
static void clear_span(struct model_span *span)
{
    for (size_t i = 0; i < SPAN_PAGES; i++)
        if (span->slot[i].kind != EMPTY) {
            assert_true(pt_slot_clear(pt_slot(root, span->va + i * PAGE_BYTES, 0)) == model_entry(&span->slot[i], 0));
            span->slot[i].kind = EMPTY;
            span->used--;
        }
    assert_int_equal(span->used, 0);
}

static void random_step(struct unit_random *random)
{
    struct model_span *span = &spans[unit_random_below(random, SPANS)];
    size_t page = random_page(random);
    uint64_t what = unit_random_below(random, 1000);

    if (what < 50)
        make(span, page, (unsigned)unit_random_below(random, 2), (unsigned)unit_random_below(random, 2));
    else if (what < 850)
        change_small(span, page, random);
    else if (what < 900)
        change_large(span, random);
    else if (what < 930)
        take(span);
    else if (what < 932 && span->has_table)
        clear_span(span);
    assert_page(span, page);
    if (what % 8 == 0)
        assert_next_span(span->va + page * PAGE_BYTES, what % 3 == 0 ? user_end() : spans[SPANS / 2].va);
}

static void random_slots_equal_a_record_per_page(void **state)
{
    struct unit_random random = {77};
    unsigned long long steps = unit_steps(2000000, 2000000);

    (void)state;
    memset(done, 0, sizeof(done));
    for (unsigned long long step = 0; step < steps; step++) {
        random_step(&random);
        if (step % 50000 == 0)
            assert_walk();
        if (step % 500000 == 499999) {
            /* Upper tables stay for good: from the start again. */
            clear_all();
            pt_free_tables(root, 0, &alloc);
            assert_int_equal(tables, 0);
            for (unsigned i = 0; i < SPANS; i++)
                spans[i] = (struct model_span){.va = spans[i].va};
        }
    }
    assert_walk();
    for (unsigned i = 0; i < 10; i++)
        assert_true(done[i] >= 20); /* all came up, or the test says nothing */
}

/* ---- Single facts ---- */

static void a_parked_address_is_inverted_and_comes_back(void **state)
{
    (void)state;
    for (unsigned tag = 0; tag <= PT_PARK_TAG_MAX; tag++)
        for (unsigned bit = PAGE_SHIFT; bit < 52; bit++) {
            paddr_t pa = (paddr_t)1 << bit;
            uint64_t entry = pt_park(pa, tag);

            assert_true(pt_is_parked(entry) && (entry & HAL_PTE_VALID) == 0);
            assert_true(pt_parked_paddr(entry) == pa && pt_parked_tag(entry) == tag);
            assert_true((entry & pa) == 0 && (entry & PT_PARK_PADDR) != 0);
        }
    assert_false(pt_is_parked(0));
}

static void a_larger_leaf_stands_in_the_way(void **state)
{
    uint64_t *slot;

    (void)state;
    assert_int_equal(pt_make_tables(root, 0, 2, &alloc), 0);
    slot = pt_slot(root, 0, 2);
    assert_non_null(slot);
    *slot = hal_pte_leaf(0, PROT_USER, 2);
    assert_null(pt_slot(root, 0, 1));
    assert_null(pt_slot(root, 0, 0));
    assert_int_equal(pt_make_tables(root, 0, 0, &alloc), -EEXIST);
    assert_int_equal(pt_make_tables(root, 0, 1, &alloc), -EEXIST);
    assert_true(pt_next_span(root, PAGE_BYTES, user_end()) == PAGE_BYTES);
    *slot = 0;
    assert_true(pt_next_span(root, PAGE_BYTES, user_end()) == user_end());
}

static void next_span_ends_at_the_last_address(void **state)
{
    vaddr_t top = ~(vaddr_t)0 - PAGE_BYTES + 1;

    (void)state;
    assert_true(pt_next_span(root, user_end() - PAGE_BYTES, user_end()) == user_end());
    assert_true(pt_next_span(root, top, ~(vaddr_t)0) == ~(vaddr_t)0);
    assert_true(pt_next_span(root, PAGE_BYTES, PAGE_BYTES) == PAGE_BYTES);
}

static uint64_t *slot_made(void)
{
    assert_int_equal(pt_make_tables(root, 0, 0, &alloc), 0);
    return pt_slot(root, 0, 0);
}

static void install_twice(void *arg)
{
    (void)arg;
    pt_slot_install(slot_made(), pt_park(0, 0));
    pt_slot_install(slot_made(), pt_park(0, 0));
}

static void clear_what_is_empty(void *arg)
{
    (void)arg;
    (void)pt_slot_clear(slot_made());
}

static void change_what_is_empty(void *arg)
{
    (void)arg;
    pt_slot_change(slot_made(), pt_park(0, 0));
}

static void take_what_is_counted_wrong(void *arg)
{
    (void)arg;
    *slot_made() = pt_park(0, 0);
    (void)pt_take_table(root, 0);
}

static void free_with_a_parked_entry(void *arg)
{
    (void)arg;
    pt_slot_install(slot_made(), pt_park(0x5000, 0));
    pt_free_tables(root, 0, &alloc);
}

static void free_with_a_large_leaf(void *arg)
{
    (void)arg;
    assert_int_equal(pt_make_tables(root, 0, 1, &alloc), 0);
    assert_true(pt_large_install(pt_slot(root, 0, 1), hal_pte_leaf(0, PROT_USER, 1)));
    pt_free_tables(root, 0, &alloc);
}

static void mistakes_of_the_caller_panic(void **state)
{
    (void)state;
    assert_panics(install_twice, NULL, "pt_slot_get(slot) == 0");
    assert_panics(clear_what_is_empty, NULL, "value != 0");
    assert_panics(change_what_is_empty, NULL, "pt_slot_get(slot) != 0");
    if (!KERNEL_DEBUG)
        return;
    assert_panics(take_what_is_counted_wrong, NULL, "is_counted_right");
    assert_panics(free_with_a_parked_entry, NULL, "pt_is_table");
    assert_panics(free_with_a_large_leaf, NULL, "pt_is_table");
}

static int enter(void **state)
{
    (void)mm_test_boot(state);
    host_pt_levels_set(levels);
    return 0;
}

#define slots_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest all[] = {
        slots_test(random_slots_equal_a_record_per_page),
        slots_test(a_parked_address_is_inverted_and_comes_back),
        slots_test(a_larger_leaf_stands_in_the_way),
        slots_test(next_span_ends_at_the_last_address),
        slots_test(mistakes_of_the_caller_panic),
    };

    int failed = 0;

    for (levels = 3; levels <= PT_LEVELS_MAX; levels++)
        failed += cmocka_run_group_tests(all, enter, mm_test_shutdown);
    return failed;
}
