/* SPDX-License-Identifier: MIT */
/* core/mm/slab_report.c: what is counted is what there is; leaks are listed with who asked for them. */
#include "mm_test.h"

#include <stdio.h>

#include <k/log.h>

static struct slab_cache first, second, third;
static void *held[200];

static int enter(void **state)
{
    (void)mm_test_boot(state);
    slab_cache_init(&first, "first", 100, 8);
    slab_cache_init(&second, "second", 700, 8);
    slab_cache_init(&third, "third", 20000, 8);
    return 0;
}

static struct slab_stats stats(struct slab_cache *cache)
{
    struct slab_stats now;

    slab_stats_get(cache, &now);
    return now;
}

static void counts_are_what_there_is(void **state)
{
    struct mm_stats before, now;

    (void)state;
    mm_stats_get(&before);
    for (unsigned i = 0; i < 200; i++)
        held[i] = slab_alloc(i < 150 ? &first : &second);
    assert_true(stats(&first).used == 150 && stats(&second).used == 50 && stats(&third).used == 0);
    assert_true(stats(&first).slabs == (150 + stats(&first).cached + first.per_slab - 1) / first.per_slab);
    assert_true(stats(&first).pages == stats(&first).slabs << first.order);
    assert_true(stats(&first).magazines == 1 && stats(&third).magazines == 0 && stats(&third).pages == 0);
    mm_stats_get(&now);
    /* The magazines lie in a slab of their own. */
    assert_true(now.pages[MM_SLABS] == before.pages[MM_SLABS] + stats(&first).pages + stats(&second).pages + 1);
    assert_true(now.pages[MM_OTHER] == before.pages[MM_OTHER]);
    for (unsigned i = 0; i < 200; i++)
        slab_free(i < 150 ? &first : &second, held[i]);
    assert_true(slab_used(&first) == 0 && stats(&first).cached > 0);
    slab_reclaim_all();
    mm_stats_get(&now);
    assert_true(now.pages[MM_SLABS] == before.pages[MM_SLABS]);
}

static void count_mine(struct slab_cache *cache, void *arg)
{
    unsigned *seen = arg;

    /* In the order of initialisation. */
    if (cache == &first || cache == &second || cache == &third)
        *seen = *seen * 10 + (cache == &first ? 1 : cache == &second ? 2 : 3);
}

static void every_cache_is_visited(void **state)
{
    unsigned seen = 0;

    (void)state;
    slab_for_each(count_mine, &seen);
    assert_true(seen == 123);
}

static NOINLINE void *ask(struct slab_cache *cache)
{
    void *object = slab_alloc(cache);

    compiler_barrier(); /* not a jump: the call has to come back to here */
    return object;
}

static void who_asked_is_known_in_debug_builds(void **state)
{
    void *object = ask(&first);
    uintptr_t pc = slab_debug_owner(&first, object);

    (void)state;
    if (KERNEL_DEBUG)
        assert_in_range(pc, (uintptr_t)ask, (uintptr_t)ask + 100);
    else
        assert_true(pc == 0);
    slab_free(&first, object);
}

/* In a process of its own, for its console. */
static void leak_and_log(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 60; i++)
        held[i] = ask(&second);
    for (unsigned i = 3; i < 60; i++)
        slab_free(&second, held[i]);
    ASSERT(slab_leaks_log(&second, 2) == 3);
    ASSERT(slab_leaks_log(&first, 2) == 0);
    log_info("expected: %p %p %p", held[0], held[1], held[2]);
    slab_stats_log();
}

static unsigned occurrences(const char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

static void what_is_handed_out_is_listed(void **state)
{
    const char *console = mm_test_result.console;

    (void)state;
    if (!host_unit_returns_forked(leak_and_log, NULL, &mm_test_result))
        fail_msg("%s%s", console, mm_test_result.report);
    /* Two lines of three objects, each with one of the three addresses. */
    assert_true(occurrences(console, "slab second: ") == 2);
    assert_true(occurrences(console, "is handed out") == 2);
    const char *expected = strstr(console, "expected: ");

    assert_non_null(expected);
    for (const char *line = strstr(console, "slab second: "); line != NULL; line = strstr(line + 1, "slab second: ")) {
        char address[32];

        assert_true(sscanf(line, "slab second: %31s", address) == 1);
        assert_non_null(strstr(expected, address));
    }
    /* The line of its statistics; a cache without pages has none. */
    assert_non_null(strstr(console, "slab: second "));
    assert_non_null(strstr(console, "3 used"));
    assert_null(strstr(console, "slab: third "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(counts_are_what_there_is),
        mm_test(every_cache_is_visited),
        mm_test(who_asked_is_known_in_debug_builds),
        mm_test(what_is_handed_out_is_listed),
    };

    return cmocka_run_group_tests(tests, enter, mm_test_shutdown);
}
