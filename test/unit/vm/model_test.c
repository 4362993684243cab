/* SPDX-License-Identifier: MIT */
/*
 * Spaces against a plain model: for each page whether it is mapped, how, and what is in it. Random changes and accesses
 * go to both; accesses go through user copies and so through faults and the machine's TLB. A page holds two words that
 * tests store, at its ends; all else in it must stay zero.
 */
#include "space_test.h"
#include "steps.h"

#include <mm/stats.h>
#include <pagesum.h>

#define PAGES_MAX 2112
#define SPACES 4
#define OBJECTS 12
#define OBJECT_PAGES 24
#define NO_OBJECT (-1)
#define END_OFFSET (PAGE_BYTES - sizeof(uint64_t))

struct object_model {
    bool is_used;
    struct vm_object *real; /* NULL: made by the space itself */
    size_t pages;
    uint64_t word[PAGES_MAX][2];
};

struct page_model {
    bool is_mapped;
    uint8_t rights;
    bool is_shared;
    bool is_own; /* the words below count, not the object's */
    int object;
    size_t index;
    uint64_t word[2];
};

struct space_model {
    struct space *real; /* NULL: none */
    size_t heap_pages;
    struct page_model page[PAGES_MAX];
};

static struct {
    size_t pages;      /* mapped at random, from BASE on */
    size_t heap_limit; /* and so many more are the heap's, at HEAP_BASE */
    size_t span;       /* ranges like to begin and end at multiples of it; 0: anywhere */
    bool fails;        /* some calls meet a forced failure */
    struct unit_random random;
    unsigned at;
    unsigned long long step;
    size_t looked_at;
    struct space_model space[SPACES];
    struct object_model object[OBJECTS];
    uint64_t next;
    unsigned long long failures, failed_copies;
    uint64_t anonymous_max;
} model;

/* The arena begins below borders of all levels. */
#define BASE (((vaddr_t)1 << 30) - (model.span != 0 ? 2 * model.span : 20) * PAGE_BYTES)
#define HEAP_BASE ((vaddr_t)3 << 30)

static vaddr_t va_of(size_t page)
{
    return page < model.pages ? BASE + page * PAGE_BYTES : HEAP_BASE + (page - model.pages) * PAGE_BYTES;
}

static size_t pick(size_t bound)
{
    return unit_random_below(&model.random, bound);
}

static size_t pick_page(void)
{
    model.looked_at = pick(model.pages + model.heap_limit);
    return model.looked_at;
}

static struct space_model *now(void)
{
    return &model.space[model.at];
}

#define CHECK_MODEL(condition)                                                                          \
    do {                                                                                                \
        if (!(condition))                                                                               \
            fail_msg("%s, line %d, step %llu, space %u, page %zu", #condition, __LINE__, model.step,    \
                     model.at, model.looked_at);                                                        \
    } while (0)

/* ---- The model ---- */

static bool page_exists(const struct page_model *page)
{
    return page->is_mapped && (page->object == NO_OBJECT || page->index < model.object[page->object].pages);
}

static uint64_t *words_of(struct page_model *page)
{
    return page->object == NO_OBJECT || page->is_own ? page->word : model.object[page->object].word[page->index];
}

static bool may_read(const struct page_model *page)
{
    return page_exists(page) && page->rights != 0;
}

static bool may_write(const struct page_model *page)
{
    return page_exists(page) && (page->rights & VM_WRITE) != 0;
}

static void model_write(struct page_model *page, unsigned which, uint64_t value)
{
    if (page->object != NO_OBJECT && !page->is_shared && !page->is_own) {
        memcpy(page->word, words_of(page), sizeof page->word);
        page->is_own = true;
    }
    words_of(page)[which] = value;
}

static bool object_is_named(int object)
{
    for (unsigned s = 0; s < SPACES; s++)
        for (size_t i = 0; model.space[s].real != NULL && i < model.pages; i++)
            if (model.space[s].page[i].is_mapped && model.space[s].page[i].object == object)
                return true;
    return false;
}

static void object_end(int object)
{
    if (model.object[object].real != NULL)
        vm_object_put(model.object[object].real);
    model.object[object].is_used = false;
}

/* A new object of that size, real or made by the space; an old one makes place, if there is one. */
static int object_begin(size_t pages, bool is_real)
{
    for (int i = 0; i < OBJECTS; i++) {
        struct object_model *object = &model.object[i];

        if (object->is_used && !object_is_named(i) && pick(2) == 0)
            object_end(i);
        if (object->is_used)
            continue;
        memset(object->word, 0, sizeof object->word);
        object->pages = pages;
        object->real = NULL;
        if (is_real && vm_object_create(pages * PAGE_BYTES, &object->real) != 0)
            return NO_OBJECT;
        object->is_used = true;
        return i;
    }
    return NO_OBJECT;
}

static int object_some(void)
{
    int at = (int)pick(OBJECTS);

    if (model.object[at].is_used && model.object[at].real != NULL)
        return at;
    return object_begin(1 + pick(OBJECT_PAGES), true);
}

/* ---- Calls that may be made to fail ---- */

static void arm(void)
{
    if (model.fails && pick(3) == 0)
        mm_fail_at(1 + (uint32_t)pick(7));
}

/* Did it do what was asked? A call that met the failure and says so has done nothing. */
static bool worked(int result, int expected)
{
    bool fired = mm_fail_fired();

    if (fired)
        model.failures++;
    if (fired && result == -ENOMEM)
        return false;
    CHECK_MODEL(result == expected);
    return result == 0;
}

static void some_range(size_t *out_first, size_t *out_count)
{
    size_t first = pick(model.pages);
    size_t count = 1 + pick(pick(3) == 0 ? model.pages : 6);

    if (model.span != 0 && pick(2) == 0)
        first = ROUND_DOWN(first, model.span);
    if (model.span != 0 && pick(2) == 0)
        count = ROUND_UP(count, model.span);
    *out_first = first;
    *out_count = MIN(count, model.pages - first);
}

static bool is_free(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        if (now()->page[i].is_mapped)
            return false;
    return true;
}

static bool is_covered(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        if (!now()->page[i].is_mapped)
            return false;
    return true;
}

/* ---- Steps ---- */

static void map_in_model(size_t first, size_t count, const struct space_request *request, int object)
{
    for (size_t i = first; i < first + count; i++)
        now()->page[i] = (struct page_model){
            .is_mapped = true,
            .rights = (uint8_t)request->rights,
            .is_shared = (request->flags & SPACE_SHARED) != 0,
            .object = object,
            .index = object == NO_OBJECT ? 0 : request->offset / PAGE_BYTES + (i - first),
        };
    /* Private pages that may be written are faulted in as if they were, up to the end of the object. */
    if ((request->flags & SPACE_POPULATE) != 0)
        for (size_t i = first; i < first + count && may_write(&now()->page[i]); i++)
            model_write(&now()->page[i], 0, words_of(&now()->page[i])[0]);
}

static void step_map(void)
{
    static const unsigned modes[] = { SPACE_FIXED, SPACE_FIXED, SPACE_FIXED_NOREPLACE, 0 };
    unsigned mode = modes[pick(4)];
    struct space_request request = { .flags = mode, .rights = pick(4) == 0 ? (unsigned)pick(8) : RW };
    int object = NO_OBJECT;
    size_t first, count;
    vaddr_t va = 0;

    some_range(&first, &count);
    request.at = va_of(first);
    request.bytes = count * PAGE_BYTES - pick(PAGE_BYTES);
    request.flags |= pick(3) == 0 ? SPACE_SHARED : SPACE_PRIVATE;
    if (pick(8) == 0)
        request.flags |= SPACE_POPULATE; /* with a failure it ends anywhere: not where that makes a difference */
    if (pick(3) == 0 && count <= 32 && (!model.fails || (request.flags & SPACE_POPULATE) == 0)) {
        object = object_some();
        request.object = object != NO_OBJECT ? model.object[object].real : NULL;
        request.offset = object != NO_OBJECT ? pick(OBJECT_PAGES) * PAGE_BYTES : 0;
    }
    if (request.object == NULL && (request.flags & SPACE_SHARED) != 0) {
        object = object_begin(count, false);
        if (object == NO_OBJECT)
            return;
    }
    bool fits = is_free(first, count);

    arm();
    if (!worked(space_map(now()->real, &request, &va), fits || mode != SPACE_FIXED_NOREPLACE ? 0 : -EEXIST))
        return;
    if (mode == 0 && !fits) {
        CHECK_MODEL(va != request.at);
        CHECK_MODEL(space_unmap(now()->real, va, count * PAGE_BYTES) == 0);
        return;
    }
    CHECK_MODEL(va == request.at);
    map_in_model(first, count, &request, object);
}

static void step_unmap(void)
{
    size_t first, count;

    some_range(&first, &count);
    arm();
    if (worked(space_unmap(now()->real, va_of(first), count * PAGE_BYTES), 0))
        for (size_t i = first; i < first + count; i++)
            now()->page[i] = (struct page_model){ .object = NO_OBJECT };
}

static void step_protect(void)
{
    unsigned rights = pick(3) == 0 ? 0 : (unsigned)pick(8);
    size_t first, count;

    some_range(&first, &count);
    arm();
    if (worked(space_protect(now()->real, va_of(first), count * PAGE_BYTES, rights),
               is_covered(first, count) ? 0 : -ENOMEM))
        for (size_t i = first; i < first + count; i++)
            now()->page[i].rights = (uint8_t)rights;
}

/* Advice that meets a hole does the rest, and says so; a forced failure, which looks the same, does nothing. */
static void step_forget(void)
{
    size_t first, count;
    bool is_covered_before;

    some_range(&first, &count);
    is_covered_before = is_covered(first, count);
    if (is_covered_before)
        arm();
    int result = space_advise(now()->real, va_of(first), count * PAGE_BYTES, SPACE_DONTNEED);

    if (mm_fail_fired() && result == -ENOMEM)
        return;
    CHECK_MODEL(result == (is_covered_before ? 0 : -ENOMEM));
    for (size_t i = first; i < first + count; i++) {
        now()->page[i].is_own = false;
        memset(now()->page[i].word, 0, sizeof now()->page[i].word);
    }
}

static void step_prefer(void)
{
    size_t first, count;

    some_range(&first, &count);
    arm();
    (void)worked(space_advise(now()->real, va_of(first), count * PAGE_BYTES,
                              pick(2) == 0 ? SPACE_USE_HUGE : SPACE_USE_SMALL),
                 is_covered(first, count) ? 0 : -ENOMEM);
}

static void step_brk(void)
{
    size_t old = now()->heap_pages;
    size_t new = pick(model.heap_limit + 1);
    vaddr_t end = 0;
    int expected = 0;

    arm();
    if (!worked(space_brk(now()->real, HEAP_BASE + new * PAGE_BYTES, &end), expected)) {
        CHECK_MODEL(end == HEAP_BASE + old * PAGE_BYTES);
        return;
    }
    CHECK_MODEL(end == HEAP_BASE + new * PAGE_BYTES);
    now()->heap_pages = new;
    for (size_t i = MIN(old, new); i < MAX(old, new); i++)
        now()->page[model.pages + i] =
            (struct page_model){ .is_mapped = i < new, .rights = i < new ? RW : 0, .object = NO_OBJECT };
}

static void step_resize(void)
{
    int at = object_some();
    struct object_model *object = at != NO_OBJECT ? &model.object[at] : NULL;
    size_t pages = pick(OBJECT_PAGES + 8);

    if (object == NULL)
        return;
    CHECK_MODEL(vm_object_resize(object->real, pages * PAGE_BYTES) == 0);
    for (size_t i = pages; i < PAGES_MAX; i++)
        memset(object->word[i], 0, sizeof object->word[i]);
    object->pages = pages;
    for (unsigned s = 0; s < SPACES; s++)
        for (size_t i = 0; i < model.pages; i++)
            if (model.space[s].page[i].object == at && model.space[s].page[i].index >= pages)
                model.space[s].page[i].is_own = false;
}

static void step_object_write(void)
{
    int at = object_some();
    struct object_model *object = at != NO_OBJECT ? &model.object[at] : NULL;
    size_t index = pick(OBJECT_PAGES);
    uint64_t value = ++model.next;

    if (object == NULL || index >= object->pages)
        return;
    CHECK_MODEL(vm_object_write(object->real, index * PAGE_BYTES, &value, sizeof value) == sizeof value);
    object->word[index][0] = value;
}

static void step_read(void)
{
    size_t at = pick_page();
    struct page_model *page = &now()->page[at];
    unsigned which = (unsigned)pick(2);
    uint64_t value = 0;

    arm();
    bool is_read = space_test_load(va_of(at) + (which == 0 ? 0 : END_OFFSET), &value);

    if (mm_fail_fired() && !is_read) {
        model.failed_copies++;
        return;
    }
    CHECK_MODEL(is_read == may_read(page));
    if (is_read)
        CHECK_MODEL(value == words_of(page)[which]);
}

static void step_write(void)
{
    size_t at = pick_page();
    struct page_model *page = &now()->page[at];
    unsigned which = (unsigned)pick(2);
    uint64_t value = ++model.next;

    arm();
    bool is_written = space_test_store(va_of(at) + (which == 0 ? 0 : END_OFFSET), value);

    if (mm_fail_fired() && !is_written) {
        model.failed_copies++;
        return;
    }
    CHECK_MODEL(is_written == may_write(page));
    if (is_written)
        model_write(page, which, value);
}

/* The last word of a page and the first of the next, in one copy: what can be written, is. */
static void step_write_across(void)
{
    size_t at = pick(model.pages - 1);
    struct page_model *page = &now()->page[at];
    uint64_t value[2] = { ++model.next, ++model.next };
    bool expected = may_write(page) && may_write(page + 1);

    CHECK_MODEL((user_copy_out(va_of(at) + END_OFFSET, value, sizeof value) == 0) == expected);
    if (may_write(page))
        model_write(page, 1, value[0]);
    if (expected)
        model_write(page + 1, 0, value[1]);
}

static void step_read_page(void)
{
    static uint64_t got[PAGE_BYTES / sizeof(uint64_t)];
    size_t at = pick_page();
    struct page_model *page = &now()->page[at];
    bool is_read = user_copy_in(got, va_of(at), PAGE_BYTES) == 0;

    CHECK_MODEL(is_read == may_read(page));
    if (!is_read)
        return;
    CHECK_MODEL(got[0] == words_of(page)[0] && got[ARRAY_COUNT(got) - 1] == words_of(page)[1]);
    for (size_t i = 1; i < ARRAY_COUNT(got) - 1; i++)
        CHECK_MODEL(got[i] == 0);
}

static void step_switch(void)
{
    unsigned to = (unsigned)pick(SPACES);

    if (model.space[to].real == NULL)
        return;
    model.at = to;
    space_test_enter_space(now()->real);
}

static void step_fork(void)
{
    unsigned to = (unsigned)pick(SPACES);
    struct space *child = NULL;

    if (model.space[to].real != NULL || pick(2) != 0)
        return;
    arm();
    if (!worked(space_fork(now()->real, &child), 0))
        return;
    model.space[to] = *now();
    model.space[to].real = child;
    step_switch();
}

static void step_end(void)
{
    unsigned other = (model.at + 1 + (unsigned)pick(SPACES - 1)) % SPACES;

    if (model.space[other].real == NULL || pick(3) != 0)
        return;
    space_put(model.space[other].real);
    model.space[other].real = NULL;
    for (size_t i = 0; i < PAGES_MAX; i++)
        model.space[other].page[i] = (struct page_model){ .object = NO_OBJECT };
}

/* The regions say what the model says, no more and no less. */
static void compare_regions(void)
{
    struct space_region region;
    struct space_stats stats;
    size_t mapped = 0;

    for (size_t i = 0; i < model.pages + model.heap_limit; i++) {
        const struct page_model *page = &now()->page[i];
        bool is_there = space_query(now()->real, va_of(i), &region) == 0 && region.start <= va_of(i);

        CHECK_MODEL(is_there == page->is_mapped);
        mapped += page->is_mapped;
        if (!is_there)
            continue;
        CHECK_MODEL(region.rights == page->rights && region.has_object == (page->object != NO_OBJECT));
        CHECK_MODEL(((region.flags & VM_SHARED) != 0) == page->is_shared);
        if (region.has_object)
            CHECK_MODEL(region.offset + (va_of(i) - region.start) == page->index * PAGE_BYTES);
    }
    space_stats_get(now()->real, &stats);
    CHECK_MODEL(stats.mapped_bytes == mapped * PAGE_BYTES);
    CHECK_MODEL(stats.resident_pages <= mapped);
}

/* What is counted as user memory is there, and what is there is counted. */
static void compare_pages(void)
{
    struct space *spaces[SPACES];
    struct mm_stats stats;
    struct page_sum sum;

    for (unsigned s = 0; s < SPACES; s++)
        spaces[s] = model.space[s].real;
    CHECK_MODEL(page_sum_get(spaces, SPACES, &sum));
    for (int i = 0; i < OBJECTS; i++)
        if (model.object[i].is_used && model.object[i].real != NULL && !object_is_named(i))
            sum.objects += vm_object_page_count(model.object[i].real);
    mm_stats_get(&stats);
    CHECK_MODEL(stats.pages[MM_ANON] == sum.anonymous);
    CHECK_MODEL(stats.pages[MM_OBJECT] == sum.objects);
    model.anonymous_max = MAX(model.anonymous_max, sum.anonymous);
}

static const struct {
    unsigned weight;
    void (*step)(void);
} steps[] = {
    { 30, step_read },  { 34, step_write }, { 4, step_write_across }, { 4, step_read_page }, { 7, step_map },
    { 5, step_unmap },  { 9, step_protect }, { 4, step_forget },      { 1, step_prefer },    { 3, step_brk },
    { 2, step_resize }, { 2, step_object_write }, { 4, step_switch }, { 1, step_fork },      { 1, step_end },
};

static void some_step(void)
{
    unsigned sum = 0;

    for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
        sum += steps[i].weight;
    unsigned at = (unsigned)pick(sum);

    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        if (at < steps[i].weight) {
            steps[i].step();
            return;
        }
        at -= steps[i].weight;
    }
}

static void run_model(uint64_t seed, unsigned long long count)
{
    model.random.state = seed;
    model.at = 0;
    for (unsigned s = 0; s < SPACES; s++)
        for (size_t i = 0; i < PAGES_MAX; i++)
            model.space[s].page[i] = (struct page_model){ .object = NO_OBJECT };
    model.space[0].real = space_test_new_space();
    model.space[0].heap_pages = 0;
    CHECK_MODEL(space_set_heap(now()->real, HEAP_BASE) == 0);
    for (model.step = 0; model.step < count; model.step++) {
        some_step();
        if (model.step % 512 == 0)
            compare_regions();
        if (model.step % 64 == 0)
            compare_pages();
    }
    space_test_enter_space(NULL);
    for (unsigned s = 0; s < SPACES; s++) {
        if (model.space[s].real != NULL)
            space_put(model.space[s].real);
        model.space[s].real = NULL;
    }
    for (int i = 0; i < OBJECTS; i++)
        if (model.object[i].is_used)
            object_end(i);
    compare_pages();
    CHECK_MODEL(model.anonymous_max > model.pages / 2);
}

/* Of each of the runs below; all together do 3.75 times as many. */
static unsigned long long steps_wanted(void)
{
    return unit_steps(400000, 120000);
}

static void a_space_does_what_the_model_does(void **state)
{
    (void)state;
    model.pages = 56;
    model.heap_limit = 8;
    model.span = 0;
    model.fails = false;
    for (uint64_t seed = 1; seed <= 2; seed++)
        run_model(seed, steps_wanted());
}

static void with_failing_allocations_too(void **state)
{
    (void)state;
    model.pages = 40;
    model.heap_limit = 8;
    model.span = 0;
    model.fails = true;
    model.failures = model.failed_copies = 0;
    run_model(3, steps_wanted());
    assert_true(model.failures > steps_wanted() / 200 && model.failed_copies > steps_wanted() / 400);
}

static void with_blocks_too(void **state)
{
    (void)state;
    space_set_huge(true);
    model.pages = 4 * 512;
    model.heap_limit = 8;
    model.span = 512;
    model.fails = false;
    run_model(4, steps_wanted() / 2);
    model.fails = true;
    run_model(5, steps_wanted() / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(a_space_does_what_the_model_does),
        space_test(with_failing_allocations_too),
        space_test(with_blocks_too),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
