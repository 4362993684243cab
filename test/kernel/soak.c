/* SPDX-License-Identifier: MIT */
/*
 * Minutes of memory in use: `init=soak:SECONDS`, 60 by default. On every CPU processes live one after the other; two
 * threads of each map, fault, protect, forget and unmap pages of one space, each in a half of its own, where it knows
 * what every page must hold, and fork it. What they leave behind shows in the counts at the end.
 */
#include <k/atomic.h>
#include <k/errno.h>
#include <mm/stats.h>
#include <time/clock.h>

#include "check.h"
#include "inspace.h"

#define SECONDS_DEFAULT 60u
#define SECONDS_MAX 86400u
#define PROGRESS_NS (5 * NS_PER_SEC)
#define PAGES 48u         /* of a half; the halves touch, and share last-level tables */
#define STEPS 300u        /* in a life of a thread */
#define KEEPERS_MAX 8u    /* processes at a time */

static struct {
    uint64_t end_ns;
    _Atomic(uint64_t) lives, forks, stores, refused;
} soak;

struct page_model {
    bool is_mapped;
    bool is_writable;
    uint64_t stamp; /* 0: never stored to, reads as zero */
};

struct half {
    struct space *space;
    vaddr_t base;
    uint64_t random;
    uint64_t next_stamp;
    struct page_model page[PAGES];
};

static vaddr_t va_of(const struct half *half, unsigned page)
{
    /* Another word in each page, so that a page in another one's place shows. */
    return half->base + page * PAGE_BYTES + page % 61 * sizeof(uint64_t);
}

static bool is_as_known(const struct half *half, unsigned page)
{
    const struct page_model *model = &half->page[page];
    uint64_t value = 0;
    bool is_readable = load_word(va_of(half, page), &value);

    return CHECK(is_readable == model->is_mapped) && (!is_readable || CHECK(value == model->stamp));
}

static bool are_as_known(const struct half *half)
{
    for (unsigned page = 0; page < PAGES; page++)
        if (!is_as_known(half, page))
            return false;
    return true;
}

static void store(struct half *half, unsigned page)
{
    struct page_model *model = &half->page[page];
    uint64_t stamp = half->next_stamp++;
    bool is_stored = store_word(va_of(half, page), stamp);

    (void)fetch_add_relaxed(is_stored ? &soak.stores : &soak.refused, 1);
    if (CHECK(is_stored == (model->is_mapped && model->is_writable)) && is_stored)
        model->stamp = stamp;
}

/* A copy of the half that a thread had at the moment of a fork, for a thread of the child. */
static int child_main(void *arg)
{
    struct half half = *(const struct half *)arg;

    half.space = space_current();
    if (!are_as_known(&half))
        return 1;
    half.next_stamp = UINT64_C(1) << 48; /* the parent stores no such value */
    for (unsigned page = 0; page < PAGES; page++)
        if (half.page[page].is_writable)
            store(&half, page);
    return are_as_known(&half) ? 0 : 1;
}

static void fork_once(struct half *half)
{
    struct space *space = NULL;
    struct process *process = NULL;

    if (!CHECK(space_fork(half->space, &space) == 0))
        return;
    struct thread *thread = start_in(space, child_main, half, &process);

    (void)fetch_add_relaxed(&soak.forks, 1);
    if (thread != NULL)
        finish_process(thread, process);
    CHECK(are_as_known(half)); /* what the child stored is not here */
}

static void set_run(struct half *half, unsigned first, unsigned count, struct page_model model)
{
    for (unsigned page = first; page < first + count; page++)
        half->page[page] = model;
}

static bool is_all_mapped(const struct half *half, unsigned first, unsigned count)
{
    for (unsigned page = first; page < first + count; page++)
        if (!half->page[page].is_mapped)
            return false;
    return true;
}

static void protect(struct half *half, unsigned first, unsigned count, bool is_writable)
{
    bool is_whole = is_all_mapped(half, first, count);
    int result = space_protect(half->space, half->base + first * PAGE_BYTES, count * PAGE_BYTES,
                               is_writable ? RW : VM_READ);

    if (CHECK(result == (is_whole ? 0 : -ENOMEM)) && is_whole)
        for (unsigned page = first; page < first + count; page++)
            half->page[page].is_writable = is_writable;
}

static void forget(struct half *half, unsigned first, unsigned count)
{
    bool is_whole = is_all_mapped(half, first, count);
    int result = space_advise(half->space, half->base + first * PAGE_BYTES, count * PAGE_BYTES, SPACE_DONTNEED);

    CHECK(result == (is_whole ? 0 : -ENOMEM)); /* what is mapped is forgotten in any case */
    for (unsigned page = first; page < first + count; page++)
        half->page[page].stamp = 0;
}

static void step(struct half *half)
{
    unsigned first = (unsigned)(random_next(&half->random) % PAGES);
    unsigned count = 1 + (unsigned)(random_next(&half->random) % (PAGES - first));
    vaddr_t va = half->base + first * PAGE_BYTES;
    unsigned what = (unsigned)(random_next(&half->random) % 64);

    if (what < 30) {
        store(half, first);
    } else if (what < 44) {
        (void)is_as_known(half, first);
    } else if (what < 52) {
        CHECK(map_at(half->space, va, count, RW, SPACE_PRIVATE) == 0);
        set_run(half, first, count, (struct page_model){ .is_mapped = true, .is_writable = true });
    } else if (what < 56) {
        CHECK(space_unmap(half->space, va, count * PAGE_BYTES) == 0);
        set_run(half, first, count, (struct page_model){ .is_mapped = false });
    } else if (what < 60) {
        protect(half, first, count, what % 2 == 0);
    } else if (what < 63) {
        forget(half, first, count);
    } else {
        fork_once(half);
    }
}

static int half_main(void *arg)
{
    struct half *half = arg;

    half->space = space_current();
    for (unsigned i = 0; i < STEPS && check_failures() == 0; i++)
        step(half);
    return are_as_known(half) ? 0 : 1;
}

/* One process, from its birth to its end. */
static void live_once(struct half half[2], uint64_t *random)
{
    struct process *process = NULL;
    struct thread *thread[2] = { NULL };
    struct thread_spec spec = { .name = "soak", .entry = half_main, .stack_bytes = 32 << 10, .priority_number = 65 };
    unsigned count = 0;

    if (!CHECK(process_create(&process_kernel, "soak", &process) == 0))
        return;
    for (unsigned i = 0; i < 2; i++) {
        half[i] = (struct half){ .base = USER_VA + i * PAGES * PAGE_BYTES, .random = random_next(random) | 1,
                                 .next_stamp = (uint64_t)(i + 1) << 32 };
        spec.arg = &half[i];
        if (CHECK(thread_create(process, &spec, &thread[i]) == 0))
            count++;
    }
    for (unsigned i = 0; i < count; i++)
        CHECK(thread_schedule(process->pid, thread[i]->tid, thread[i]) == 0);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    for (unsigned i = 0; i < count; i++)
        thread_put(thread[i]);
    process_put(process);
    (void)fetch_add_relaxed(&soak.lives, 1);
}

static struct half halves[KEEPERS_MAX][2];

static int keeper(void *arg)
{
    uintptr_t number = (uintptr_t)arg;
    uint64_t random = clock_ns() * 2 + number * 2 + 1;

    while (clock_ns() < soak.end_ns && check_failures() == 0)
        live_once(halves[number], &random);
    return 0;
}

static void report(uint64_t start_ns)
{
    log_info("soak: %llu s, %llu lives, %llu forks, %llu stores, %llu refused",
             (unsigned long long)((clock_ns() - start_ns) / NS_PER_SEC), (unsigned long long)load_relaxed(&soak.lives),
             (unsigned long long)load_relaxed(&soak.forks), (unsigned long long)load_relaxed(&soak.stores),
             (unsigned long long)load_relaxed(&soak.refused));
}

/* 0: not a number of seconds. */
static uint64_t seconds_of(const char *argument)
{
    uint64_t seconds = 0;

    if (argument[0] == '\0')
        return SECONDS_DEFAULT;
    for (; *argument >= '0' && *argument <= '9' && seconds <= SECONDS_MAX; argument++)
        seconds = seconds * 10 + (uint64_t)(*argument - '0');
    return *argument == '\0' && seconds <= SECONDS_MAX ? seconds : 0;
}

int soak_main(const char *argument)
{
    unsigned keepers = MIN(online_count(), KEEPERS_MAX);
    uint64_t seconds = seconds_of(argument);
    struct task *task[KEEPERS_MAX];
    struct check_counts before, after;

    if (seconds == 0) {
        log_error("soak: '%s' is no number of seconds from 1 to %u", argument, SECONDS_MAX);
        return 2;
    }
    check_counts_get(&before);
    uint64_t start_ns = clock_ns();

    soak.end_ns = start_ns + seconds * NS_PER_SEC;
    for (unsigned i = 0; i < keepers; i++)
        task[i] = spawn("keeper", keeper, (void *)(uintptr_t)i, PRIORITY_DEFAULT, NULL);
    while (clock_ns() < soak.end_ns && check_failures() == 0) {
        (void)task_sleep_until(MIN(clock_ns() + PROGRESS_NS, soak.end_ns));
        report(start_ns);
    }
    for (unsigned i = 0; i < keepers; i++)
        if (task[i] != NULL)
            (void)finish(task[i]);
    check_counts_get(&after);
    CHECK(check_counts_compare(&before, &after) == 0);
    CHECK(check_census());
    mm_stats_log();
    log_info("soak: %s: %llu lives on %u CPUs, %u checks failed", check_failures() == 0 ? "ok" : "FAILED",
             (unsigned long long)load_relaxed(&soak.lives), online_count(), check_failures());
    return check_failures() == 0 ? 0 : 1;
}
