/* SPDX-License-Identifier: MIT */
/*
 * core/mm/phys.c, cpu_pages.c and page_refs.c together against a naive model, an array with the state of each page; and
 * with much memory in many parts, up to a tebibyte.
 */
#include "mm_test.h"
#include "steps.h"

#include <sys/mman.h>

#define MODEL_PAGES_MAX 16384

/* Of a page: nobody's RAM, free, the first of a block (with its order and references), or inside one. */
enum model_state { MODEL_NO_RAM, MODEL_FREE, MODEL_HEAD, MODEL_INNER };

static struct {
    paddr_t base;
    size_t pages;
    struct {
        uint8_t state;
        uint8_t order;
        uint8_t kind; /* of user memory, else MM_OTHER */
        uint32_t refs;
        uint64_t mark;
    } page[MODEL_PAGES_MAX];
    uint64_t free_pages;
    uint64_t kind_pages[MM_KIND_COUNT]; /* of the blocks below */
    uint32_t heads[MODEL_PAGES_MAX]; /* of the blocks, in no order */
    uint32_t head_count;
} model;

static void model_start(void)
{
    const struct boot_info *boot = host_boot_info();
    paddr_t end = 0;

    memset(&model, 0, sizeof(model));
    model.base = UINT64_MAX;
    for (unsigned i = 0; i < boot->memory_count; i++) {
        model.base = MIN(model.base, boot->memory[i].base);
        end = MAX(end, boot->memory[i].base + boot->memory[i].bytes);
    }
    model.pages = (end - model.base) / PAGE_BYTES;
    assert_true(model.pages <= MODEL_PAGES_MAX && model.base % (PAGE_BYTES << PHYS_ORDER_MAX) == 0);
    /* All there is, page by page: what boot took is not among it. */
    for (paddr_t page; (page = phys_alloc(0)) != 0; model.free_pages++)
        model.page[(page - model.base) / PAGE_BYTES].state = MODEL_FREE;
    for (size_t i = 0; i < model.pages; i++)
        if (model.page[i].state == MODEL_FREE)
            phys_free(model.base + i * PAGE_BYTES, 0);
}

static bool model_has_free_run(unsigned order)
{
    for (size_t first = 0; first < model.pages; first += (size_t)1 << order) {
        size_t i = 0;

        while (i < (size_t)1 << order && first + i < model.pages && model.page[first + i].state == MODEL_FREE)
            i++;
        if (i == (size_t)1 << order)
            return true;
    }
    return false;
}

static paddr_t model_at(size_t index)
{
    return model.base + index * PAGE_BYTES;
}

static uint64_t *mark_at(size_t index)
{
    return (uint64_t *)phys_to_virt(model_at(index)) + 77;
}

static void model_new_head(size_t index, unsigned order, unsigned kind, uint64_t mark)
{
    model.page[index].kind = (uint8_t)kind;
    model.kind_pages[kind] += (uint64_t)1 << order;
    model.page[index].state = MODEL_HEAD;
    model.page[index].order = (uint8_t)order;
    model.page[index].refs = 1;
    model.page[index].mark = *mark_at(index) = mark;
    model.heads[model.head_count++] = (uint32_t)index;
}

/* A success must be of free pages, and a failure must be one that no allocator could have avoided. */
static void model_alloc(struct unit_random *random)
{
    unsigned order = (unsigned)unit_random_below(random, 1 + unit_random_below(random, PHYS_ORDER_MAX + 1));
    static const uint8_t kinds[] = { MM_ANON, MM_OBJECT, MM_OTHER, MM_OTHER };
    unsigned kind = kinds[unit_random_below(random, ARRAY_COUNT(kinds))];
    bool is_user = kind != MM_OTHER;
    uint64_t leave = is_user ? buddy.reserve_pages : 0;
    uint64_t need = (uint64_t)1 << order;
    paddr_t block = is_user ? phys_alloc_user(order, kind) : phys_alloc(order);
    size_t first = (block - model.base) / PAGE_BYTES;

    if (block == 0) {
        assert_true(model.free_pages < leave + need || !model_has_free_run(order));
        return;
    }
    assert_true(block % (PAGE_BYTES << order) == 0 && first + need <= model.pages);
    assert_true(model.free_pages >= leave + need);
    for (size_t i = first; i < first + need; i++) {
        assert_int_equal(model.page[i].state, MODEL_FREE);
        model.page[i].state = MODEL_INNER;
    }
    model_new_head(first, order, kind, unit_random_next(random));
    model.free_pages -= need;
}

static void model_forget(unsigned slot)
{
    size_t first = model.heads[slot];

    assert_true(*mark_at(first) == model.page[first].mark);
    for (size_t i = first; i < first + ((size_t)1 << model.page[first].order); i++)
        model.page[i].state = MODEL_FREE;
    model.free_pages += (uint64_t)1 << model.page[first].order;
    model.kind_pages[model.page[first].kind] -= (uint64_t)1 << model.page[first].order;
    model.heads[slot] = model.heads[--model.head_count];
}

static void model_drop(unsigned slot, struct unit_random *random)
{
    size_t first = model.heads[slot];
    unsigned order = model.page[first].order;
    bool is_last = --model.page[first].refs == 0;

    if (is_last)
        model_forget(slot);
    if (is_last && unit_random_below(random, 2) == 0)
        phys_free(model_at(first), order);
    else
        phys_put(model_at(first) + unit_random_below(random, PAGE_BYTES << order)); /* any byte of it */
}

static void model_split(unsigned slot, struct unit_random *random)
{
    size_t first = model.heads[slot];
    size_t count = (size_t)1 << model.page[first].order;
    unsigned kind = model.page[first].kind;

    if (model.page[first].refs != 1)
        return;
    model.kind_pages[kind] -= count; /* and each of its pages counts again */
    phys_split(model_at(first), model.page[first].order);
    model.heads[slot] = model.heads[--model.head_count];
    for (size_t i = first; i < first + count; i++)
        model_new_head(i, 0, kind, unit_random_next(random));
}

static void model_look(unsigned slot, struct unit_random *random)
{
    size_t first = model.heads[slot];
    paddr_t inside = model_at(first + unit_random_below(random, (size_t)1 << model.page[first].order));
    unsigned order;

    assert_true(*mark_at(first) == model.page[first].mark);
    assert_true(phys_block(inside, &order) == model_at(first));
    assert_int_equal(order, model.page[first].order);
    assert_int_equal(phys_refs(inside), model.page[first].refs);
}

static void model_step(struct unit_random *random, bool grow)
{
    unsigned slot = model.head_count == 0 ? 0 : (unsigned)unit_random_below(random, model.head_count);
    size_t what = unit_random_below(random, 100);

    if (model.head_count == 0 || what < (grow ? 50u : 25u))
        model_alloc(random);
    else if (what < 75)
        model_drop(slot, random);
    else if (what < 85) {
        phys_get(model_at(model.heads[slot]));
        model.page[model.heads[slot]].refs++;
    } else if (what < 87)
        model_split(slot, random);
    else if (what < 88 && unit_random_below(random, 100) == 0)
        phys_reclaim_caches();
    else
        model_look(slot, random);
}

/* Whatever was freed has become whole again, the pages in caches included. */
static unsigned count_largest(void)
{
    static paddr_t block[MODEL_PAGES_MAX >> PHYS_ORDER_MAX];
    unsigned count = 0;

    while ((block[count] = phys_alloc(PHYS_ORDER_MAX)) != 0)
        count++;
    for (unsigned i = 0; i < count; i++)
        phys_free(block[i], PHYS_ORDER_MAX);
    return count;
}

static void model_compare(const struct mm_stats *before)
{
    struct mm_stats now;

    mm_stats_get(&now);
    assert_true(now.free == model.free_pages);
    for (unsigned kind = 0; kind < MM_KIND_COUNT; kind++)
        assert_true(now.pages[kind] == before->pages[kind] + model.kind_pages[kind]);
}

static void random_steps_agree_with_a_naive_model(void **state)
{
    struct unit_random random = {11};
    unsigned largest = count_largest();
    unsigned long long steps = unit_steps(2000000, 1000000);
    struct mm_stats before;

    (void)state;
    model_start();
    mm_stats_get(&before);
    for (unsigned long long step = 0; step < steps; step++) {
        /* Towards full for a while, then towards empty. */
        model_step(&random, step / 20000 % 2 == 0);
        if (step % 16 == 0)
            model_compare(&before);
    }
    while (model.head_count > 0)
        model_drop(model.head_count - 1, &random);
    model_compare(&before);
    assert_int_equal(count_largest(), largest);
}

/* ---- Much memory, in many parts, far up ---- */

#define BANK_BYTES (UINT64_C(64) << 20)
#define BANKS 15
#define TIB (UINT64_C(1) << 40)

/* From 64 GiB in steps of 64 GiB, the last bank ends at 1 TiB; the window for stacks lies where one would be. */
static paddr_t bank_base(unsigned bank)
{
    paddr_t base = (bank + 1) * (UINT64_C(64) << 30);

    return base == HAL_KMAP_BASE - HAL_DIRECT_MAP_BASE ? base + (UINT64_C(32) << 30)
         : bank == BANKS - 1                           ? TIB - BANK_BYTES
                                                       : base;
}

/* Memory of the host that costs nothing until it is touched. */
static void *sparse_map(uintptr_t at, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at != 0 ? MAP_FIXED_NOREPLACE : 0);
    void *got = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

    ASSERT(got != MAP_FAILED && (at == 0 || (uintptr_t)got == at));
    return got;
}

static unsigned bank_of(paddr_t block)
{
    for (unsigned bank = 0; bank < BANKS; bank++)
        if (block >= bank_base(bank) && block < bank_base(bank) + BANK_BYTES)
            return bank;
    panic("%#llx is in no bank", (unsigned long long)block);
}

/* With all memory taken, the pages of one block after the other go through the cache, whatever span they are of. */
static void single_pages_of_each_bank(paddr_t block[], unsigned count)
{
    bool is_done[BANKS] = { false };

    for (unsigned i = 0; i < count; i++)
        block[i] = phys_alloc(PHYS_ORDER_MAX);
    for (unsigned i = 0; i < count; i++) {
        unsigned bank = bank_of(block[i]);

        if (is_done[bank])
            continue;
        is_done[bank] = true;
        phys_split(block[i], PHYS_ORDER_MAX);
        for (size_t page = 0; page < (size_t)1 << PHYS_ORDER_MAX; page++)
            phys_free(block[i] + page * PAGE_BYTES, 0);
        for (size_t page = 0; page < (size_t)1 << PHYS_ORDER_MAX; page++)
            ASSERT(bank_of(phys_alloc(0)) == bank);
        ASSERT(phys_alloc(0) == 0);
    }
    for (unsigned bank = 0; bank < BANKS; bank++)
        ASSERT(is_done[bank]);
}

static void fill_a_tebibyte(void *arg)
{
    static paddr_t block[BANKS * BANK_BYTES / (PAGE_BYTES << PHYS_ORDER_MAX)];
    unsigned per_bank[BANKS] = { 0 };
    unsigned count = 0;

    (void)arg;
    mm_test_cpu.mm = NULL;
    phys_init(BANKS * BANK_BYTES / PAGE_BYTES);
    for (unsigned bank = 0; bank < BANKS; bank++) {
        pfn_t first = bank_base(bank) / PAGE_BYTES;
        pfn_t pages = BANK_BYTES / PAGE_BYTES;

        (void)sparse_map(HAL_DIRECT_MAP_BASE + bank_base(bank), BANK_BYTES);
        phys_add_span(first, first + pages, sparse_map(0, phys_descriptor_bytes(pages)));
        phys_add_free(first, first + pages);
    }
    memset(&mm_test_part, 0, sizeof(mm_test_part));
    mm_cpu_init(&mm_test_cpu, &mm_test_part);
    ASSERT(mm_test_free_pages() == BANKS * BANK_BYTES / PAGE_BYTES);
    while (count < ARRAY_COUNT(block) && (block[count] = phys_alloc(PHYS_ORDER_MAX)) != 0)
        per_bank[bank_of(block[count++])]++;
    ASSERT(count == ARRAY_COUNT(block) && phys_alloc(0) == 0);
    for (unsigned bank = 0; bank < BANKS; bank++)
        ASSERT(per_bank[bank] == BANK_BYTES / (PAGE_BYTES << PHYS_ORDER_MAX));
    for (unsigned i = 0; i < count; i++) {
        unsigned order;

        phys_get(block[i] + (PAGE_BYTES << PHYS_ORDER_MAX) - 1);
        ASSERT(phys_block(block[i] + PAGE_BYTES, &order) == block[i] && order == PHYS_ORDER_MAX);
        phys_put(block[i]);
        phys_put(block[i]);
    }
    single_pages_of_each_bank(block, count);
}

static void a_tebibyte_of_banks_is_allocated_and_counted(void **state)
{
    (void)state;
    if (!host_unit_returns_forked(fill_a_tebibyte, NULL, &mm_test_result))
        fail_msg("%s%s", mm_test_result.console, mm_test_result.report);
}

/* One span of a whole tebibyte, all of it reserved but for its ends. */
static void use_both_ends(void *arg)
{
    const pfn_t last = TIB / PAGE_BYTES;
    const pfn_t part = BANK_BYTES / PAGE_BYTES;
    paddr_t low, high;

    (void)arg;
    mm_test_cpu.mm = NULL;
    phys_init(last);
    (void)sparse_map(HAL_DIRECT_MAP_BASE + TIB / 4, BANK_BYTES);
    (void)sparse_map(HAL_DIRECT_MAP_BASE + TIB - BANK_BYTES, BANK_BYTES);
    phys_add_span(last / 4, last, sparse_map(0, phys_descriptor_bytes(last - last / 4)));
    phys_add_free(last / 4, last / 4 + part);
    phys_add_free(last - part, last);
    ASSERT(mm_test_free_pages() == 2 * part);
    high = phys_alloc(PHYS_ORDER_MAX);
    ASSERT(high >= TIB - BANK_BYTES && high + (PAGE_BYTES << PHYS_ORDER_MAX) <= TIB);
    for (unsigned i = 1; i < BANK_BYTES / (PAGE_BYTES << PHYS_ORDER_MAX); i++)
        ASSERT(phys_alloc(PHYS_ORDER_MAX) >= TIB - BANK_BYTES);
    low = phys_alloc(0);
    ASSERT(low >= TIB / 4 && low < TIB / 4 + BANK_BYTES);
    phys_free(low, 0);
    phys_free(high, PHYS_ORDER_MAX);
    ASSERT(page_find(TIB) == NULL && page_find(TIB - PAGE_BYTES) != NULL && page_find(TIB / 4 - PAGE_BYTES) == NULL);
    ASSERT(page_tag(page_find(TIB / 2)) == TAG_RESERVED);
}

static void one_span_may_be_a_tebibyte(void **state)
{
    (void)state;
    if (!host_unit_returns_forked(use_both_ends, NULL, &mm_test_result))
        fail_msg("%s%s", mm_test_result.console, mm_test_result.report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(random_steps_agree_with_a_naive_model),
        mm_test(a_tebibyte_of_banks_is_allocated_and_counted),
        mm_test(one_span_may_be_a_tebibyte),
    };

    return cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
