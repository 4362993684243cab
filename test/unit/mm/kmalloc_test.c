/* SPDX-License-Identifier: MIT */
/* core/mm/kmalloc.c: every size against the list of sizes, random pieces against what was written to them, misuse. */
#include "mm_test.h"

#include <mm/kmalloc.h>

#define CLASS_MAX 24576u
#define BLOCK_MAX (PAGE_BYTES << PHYS_ORDER_MAX)
#define PIECES_MAX 600

static int enter(void **state)
{
    (void)mm_test_boot(state);
    kmalloc_init();
    return 0;
}

/* The sizes, said another way than the code does: powers of two, and from 128 on one and a half of them, too. */
static size_t size_for(size_t bytes)
{
    size_t power = 16;

    while (power < bytes)
        power *= 2;
    if (power > 128 && bytes <= power / 4 * 3 && bytes <= CLASS_MAX)
        return power / 4 * 3;
    return power;
}

static void every_size_gets_the_least_that_fits(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes <= CLASS_MAX; bytes++) {
        /* Of the larger ones some, and those on both sides of each border. */
        if (bytes > 2000 && bytes % 97 != 0 && size_for(bytes - 1) == size_for(bytes + 1))
            continue;

        void *memory = kmalloc(bytes);

        assert_non_null(memory);
        assert_true(kmalloc_usable(memory) == size_for(bytes) && kmalloc_usable(memory) >= bytes);
        assert_true((uintptr_t)memory % 16 == 0 && (bytes <= 32 || (uintptr_t)memory % CACHE_LINE_BYTES == 0));
        kfree(memory);
    }
    for (size_t bytes = CLASS_MAX + 1; bytes <= BLOCK_MAX; bytes += bytes / 5) {
        void *memory = kmalloc(bytes);

        assert_non_null(memory);
        assert_true(kmalloc_usable(memory) == size_for(bytes) && kmalloc_usable(memory) >= bytes);
        assert_true((uintptr_t)memory % PAGE_BYTES == 0);
        kfree(memory);
    }
}

static void what_cannot_be_is_null(void **state)
{
    (void)state;
    assert_null(kmalloc(BLOCK_MAX + 1));
    assert_null(kzalloc(SIZE_MAX));
    assert_null(kmalloc(SIZE_MAX - PAGE_BYTES));
    assert_null(kmalloc_array(SIZE_MAX / 2, 3));
    assert_null(kmalloc_array((size_t)1 << 32, (size_t)1 << 32)); /* 0, if it wrapped */
    assert_null(kmalloc_array(SIZE_MAX, SIZE_MAX));
}

static void nothing_is_something_that_can_be_freed(void **state)
{
    void *first = kmalloc(0);
    void *second = kmalloc_array(0, SIZE_MAX);
    void *third = kzalloc(0);

    (void)state;
    assert_true(first != NULL && second != NULL && third != NULL && first != second && second != third);
    kfree(first);
    kfree(second);
    kfree(third);
    kfree(NULL);
}

static void arrays_are_as_long_as_they_should_be(void **state)
{
    void *array = kmalloc_array(1000, 24);

    (void)state;
    assert_true(kmalloc_usable(array) == CLASS_MAX);
    kfree(array);
}

static bool is_zero(const unsigned char *memory, size_t bytes)
{
    unsigned char sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum |= memory[i];
    return sum == 0;
}

static void zeroed_memory_is_zero(void **state)
{
    static const size_t sizes[] = {1, 16, 100, 1000, 5000, 24576, 40000};

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
            unsigned char *memory = kzalloc(sizes[i]);

            assert_true(is_zero(memory, sizes[i]));
            memset(memory, 0xff, kmalloc_usable(memory));
            kfree(memory);
        }
    }
}

/* ---- Random pieces ---- */

static struct {
    unsigned char *memory;
    size_t bytes;
    unsigned char mark;
} pieces[PIECES_MAX];

static bool holds(const unsigned char *memory, size_t bytes, unsigned char mark)
{
    bool same = true;

    for (size_t i = 0; i < bytes; i += 1 + bytes / 64)
        same &= memory[i] == mark;
    return same && memory[bytes - 1] == mark;
}

static size_t some_size(struct unit_random *random)
{
    /* Each power of two as often as the next. */
    return 1 + unit_random_below(random, (size_t)2 << unit_random_below(random, 16));
}

static void random_pieces_keep_what_was_written(void **state)
{
    struct unit_random random = {3};
    struct mm_stats before, now;
    unsigned count = 0;

    (void)state;
    mm_stats_get(&before);
    for (unsigned step = 0; step < 200000; step++) {
        if (count < PIECES_MAX && unit_random_below(&random, 100) < (step / 2000 % 2 == 0 ? 55 : 45)) {
            size_t bytes = some_size(&random);
            unsigned char *memory = kmalloc(bytes);

            assert_non_null(memory);
            pieces[count].memory = memory;
            pieces[count].bytes = bytes;
            pieces[count].mark = (unsigned char)unit_random_next(&random);
            memset(memory, pieces[count].mark, bytes);
            count++;
        } else if (count > 0) {
            unsigned i = (unsigned)unit_random_below(&random, count);

            assert_true(holds(pieces[i].memory, pieces[i].bytes, pieces[i].mark));
            kfree(pieces[i].memory);
            pieces[i] = pieces[--count];
        }
    }
    mm_stats_get(&now);
    assert_true(now.pages[MM_KMALLOC] > before.pages[MM_KMALLOC] && now.pages[MM_OTHER] == before.pages[MM_OTHER]);
    while (count > 0)
        kfree(pieces[--count].memory);
    slab_reclaim_all();
    mm_stats_get(&now);
    assert_true(now.pages[MM_KMALLOC] == before.pages[MM_KMALLOC] && now.pages[MM_SLABS] == before.pages[MM_SLABS]);
}

/* ---- Failures and misuse ---- */

static int small_piece(void)
{
    void *memory = kzalloc(300);

    if (memory == NULL)
        return -ENOMEM;
    kfree(memory);
    slab_reclaim_all();
    return 0;
}

static int large_piece(void)
{
    void *memory = kmalloc_array(10, 10000);

    if (memory == NULL)
        return -ENOMEM;
    kfree(memory);
    return 0;
}

static void every_forced_failure_is_seen(void **state)
{
    (void)state;
    assert_int_equal(mm_fail_each(small_piece), 2); /* the call, the slab */
    assert_int_equal(mm_fail_each(large_piece), 1); /* the block */
}

static void free_it(void *memory)
{
    kfree(memory);
}

static void free_twice(void *memory)
{
    kfree(memory);
    kfree(memory);
}

static void ask_size(void *memory)
{
    (void)kmalloc_usable(memory);
}

static void what_kmalloc_did_not_give_panics_in_every_build(void **state)
{
    static struct slab_cache typed;
    char *small = kmalloc(100);
    char *large = kmalloc(100000);
    paddr_t page = phys_alloc_zeroed(0);
    void *object;
    int local;

    (void)state;
    slab_cache_init(&typed, "typed", 128, 8);
    object = slab_alloc(&typed);
    assert_panics(free_twice, small, "free already");
    assert_panics(free_twice, large, "kmalloc did not give");
    assert_panics(free_it, small + 16, "not the start of an object");
    assert_panics(free_it, large + 16, "kmalloc did not give");
    assert_panics(free_it, large + PAGE_BYTES, "kmalloc did not give");
    assert_panics(free_it, phys_to_virt(page), "kmalloc did not give");
    assert_panics(free_it, object, "kmalloc did not give");
    assert_panics(free_it, &local, "kmalloc did not give");
    assert_panics(free_it, (void *)16, "kmalloc did not give");
    assert_panics(ask_size, phys_to_virt(page), "kmalloc did not give");
    assert_panics(ask_size, large + 64, "kmalloc did not give");
    /* A number in the descriptor that somebody else keeps there proves nothing. */
    *phys_table_used(page) = 3;
    assert_panics(free_it, phys_to_virt(page), "no object of this cache");
    *phys_table_used(page) = UINT16_MAX;
    assert_panics(free_it, (char *)phys_to_virt(page) + 64, "kmalloc did not give");
    phys_free(page, 0);
    kfree(small);
    kfree(large);
    slab_free(&typed, object);
}

static void pages_that_were_slabs_are_so_no_longer(void **state)
{
    char *memory = kmalloc(2000);

    (void)state;
    kfree(memory);
    slab_reclaim_all();
    assert_panics(free_it, memory, "kmalloc did not give");
}

static void overrun(void *memory)
{
    ((volatile unsigned char *)memory)[kmalloc_usable(memory)] = 1;
    kfree(memory);
}

static void an_overrun_is_found_in_debug_builds(void **state)
{
    void *memory = kmalloc(500);

    (void)state;
    if (KERNEL_DEBUG)
        assert_panics(overrun, memory, "the red zone");
    kfree(memory);
}

/* ---- Several CPUs ---- */

static _Atomic(unsigned char *) shelf[8];

static void put_down(unsigned char *memory)
{
    size_t bytes = memory[0] * 100u + 1;

    ASSERT(kmalloc_usable(memory) >= bytes && memory[bytes - 1] == memory[0]);
    kfree(memory);
}

static void trade(cpu_id_t cpu, struct unit_random *random)
{
    (void)cpu;
    for (unsigned turn = 0; turn < 150; turn++) {
        unsigned char mark = (unsigned char)unit_random_below(random, 256);
        unsigned char *memory = kmalloc(mark * 100u + 1);

        ASSERT(memory != NULL);
        memory[0] = memory[mark * 100] = mark;
        memory = xchg_acq_rel(&shelf[unit_random_below(random, ARRAY_COUNT(shelf))], memory);
        if (memory != NULL)
            put_down(memory);
        if (turn % 40 == 0)
            slab_reclaim_all();
    }
    for (unsigned i = 0; i < ARRAY_COUNT(shelf); i++) {
        unsigned char *memory = xchg_acq_rel(&shelf[i], NULL);

        if (memory != NULL)
            put_down(memory);
    }
}

static void memory_is_freed_where_it_was_not_asked_for(void **state)
{
    (void)state;
    mm_test_run_team(kmalloc_init, trade, 20);
}

int main(void)
{
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(memory_is_freed_where_it_was_not_asked_for),
    };
    const struct CMUnitTest tests[] = {
        mm_test(every_size_gets_the_least_that_fits),
        mm_test(what_cannot_be_is_null),
        mm_test(nothing_is_something_that_can_be_freed),
        mm_test(arrays_are_as_long_as_they_should_be),
        mm_test(zeroed_memory_is_zero),
        mm_test(random_pieces_keep_what_was_written),
        mm_test(every_forced_failure_is_seen),
        mm_test(what_kmalloc_did_not_give_panics_in_every_build),
        mm_test(pages_that_were_slabs_are_so_no_longer),
        mm_test(an_overrun_is_found_in_debug_builds),
    };

    /* The teams first: ThreadSanitizer is blind in a child of a process that has had more than one stack. */
    return cmocka_run_group_tests(teams, NULL, NULL) + cmocka_run_group_tests(tests, enter, mm_test_shutdown);
}
