/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: programs on several CPUs use memory through faults while it is mapped, unmapped, protected and forked
 * under them. Each word says whose it is and how new, so that an access by way of an old translation, a page that came
 * back too early, or a copy that was made too early shows. No locks: a word has one writer.
 */
#include "scenario.h"

#include "pagesum.h"

#include <lib/string.h>
#include <mm/fail.h>
#include <mm/stats.h>
#include <mm/user.h>
#include <vm/object.h>
#include <vm/space.h>

#define USER_VA ((vaddr_t)0x10000000) /* begins a span */
#define SPAN_PAGES 512
#define RW (VM_READ | VM_WRITE)
#define PROGRAMS_MAX 5

static struct {
    struct sim_line line;
    struct process *process;
    struct space *space; /* the process's, one reference */
    struct mm_stats before;
    struct thread *thread[PROGRAMS_MAX];
    unsigned programs;
    bool is_advised;  /* pages are forgotten, too */
    bool is_replaced; /* nothing else is done */
    _Atomic(bool) is_over;
} story;

static bool load_word(vaddr_t va, uint64_t *out)
{
    return user_copy_in(out, va, sizeof *out) == 0;
}

static bool store_word(vaddr_t va, uint64_t value)
{
    return user_copy_out(va, &value, sizeof value) == 0;
}

static void pause_a_little(void)
{
    if (sim_chance(8))
        task_yield();
    if (sim_chance(16))
        sim_nap(2 * NS_PER_US);
}

/* A process of that space (its own, if NULL). */
static struct process *process_of(struct space *space)
{
    struct process *process = NULL;

    if (!CHECK(process_create(&process_kernel, "space", &process) == 0))
        return NULL;
    if (space != NULL) {
        space_put(process->space);
        process->space = space;
    }
    return process;
}

static void story_begin(void)
{
    sim_line_init(&story.line);
    store_relaxed(&story.is_over, false);
    mm_stats_get(&story.before);
    story.process = process_of(NULL);
    story.space = story.process->space;
    space_get(story.space);
    story.space->uses_huge = sim_chance(4);
}

/* One program for each CPU, and two at least. */
static void programs_start(int (*entry)(void *), unsigned count_max)
{
    story.programs = MIN(MAX(online_count(), 2u), MIN(count_max, (unsigned)PROGRAMS_MAX));
    for (unsigned i = 0; i < story.programs; i++)
        story.thread[i] = sim_thread(story.process, entry, (void *)(uintptr_t)i, NULL);
}

static void finish_process(struct process *process)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    CHECK(status == WAIT_STATUS_EXITED(0));
    process_put(process);
}

/* Everybody has come to rest: what is counted as user memory is what the story's spaces have, of which `child` may be
 * one; and then nothing. */
static void story_end(struct space *child)
{
    struct space *const spaces[] = { story.space, child };

    store_relaxed(&story.is_over, true);
    for (unsigned i = 0; i < story.programs; i++)
        if (story.thread[i] != NULL)
            thread_put(story.thread[i]);
    finish_process(story.process);
    proc_reclaim_all(); /* spaces of processes that ended before */
    CHECK(page_sum_agrees(spaces, ARRAY_COUNT(spaces), &story.before));
    space_put(story.space);
    if (child != NULL)
        space_put(child);
    CHECK(page_sum_agrees(NULL, 0, &story.before));
}

static int map(struct space *space, vaddr_t va, size_t pages, unsigned rights, unsigned flags)
{
    const struct space_request request = {
        .at = va, .bytes = pages * PAGE_BYTES, .rights = rights, .flags = flags | SPACE_FIXED,
    };
    vaddr_t at = 0;

    return space_map(space, &request, &at);
}

/*
 * memory-unmap: places are unmapped, replaced and protected, by several at once. What a program reads of its own word
 * is what it stored last, or zero for ever after: then the page was another one.
 *
 * memory-replace: places are only replaced. There is always something, so no access fails.
 *
 * memory-advise: pages are also forgotten. That is no change of regions, so faults bring fresh pages before all CPUs
 * have lost the old ones: until the advice has returned, a program that moves about may see the one and then the other.
 * What it stored before it gave such advice is gone.
 */
#define PLACES 4

static vaddr_t va_of_place(unsigned place)
{
    return USER_VA + place * PAGE_BYTES;
}

static uint64_t word_of(unsigned place, unsigned program, uint64_t sequence)
{
    return (uint64_t)(place + 1) << 56 | (uint64_t)(program + 1) << 48 | sequence;
}

static int change_place(void)
{
    unsigned place = (unsigned)sim_random_below(PLACES);
    vaddr_t va = va_of_place(place);
    size_t pages = 1 + sim_random_below(PLACES - place);

    switch (sim_random_below(story.is_replaced ? 2 : 8) + (story.is_replaced ? 4 : 0)) {
    case 0:
        return space_unmap(story.space, va, pages * PAGE_BYTES);
    case 1:
        return story.is_advised ? space_advise(story.space, va, pages * PAGE_BYTES, SPACE_DONTNEED) : 0;
    case 2:
        return space_protect(story.space, va, pages * PAGE_BYTES,
                             sim_chance(2) ? VM_READ | (sim_chance(2) ? VM_EXEC : 0) : 0);
    case 3:
        return space_protect(story.space, va, pages * PAGE_BYTES, RW);
    case 4:
        return map(story.space, USER_VA, SPAN_PAGES, RW, SPACE_PRIVATE);
    default:
        /* Advice forgets no object's pages. */
        return map(story.space, va, pages, RW, !story.is_advised && sim_chance(4) ? SPACE_SHARED : SPACE_PRIVATE);
    }
}

/* What a program knows of its word in a place. */
struct own_word {
    uint64_t last; /* what it stored last, if that cannot be gone; memory-advise: nothing older than this is there */
};

static bool use_place(unsigned program, unsigned place, struct own_word *own, uint64_t *sequence)
{
    vaddr_t va = va_of_place(place) + (program + 1) * CACHE_LINE_BYTES;
    uint64_t value = 0;

    if (sim_chance(2)) {
        if (store_word(va, word_of(place, program, *sequence)))
            own->last = story.is_advised ? own->last : word_of(place, program, (*sequence)++);
        else if (!CHECK(!story.is_replaced))
            return false;
        *sequence += story.is_advised;
    }
    if (story.is_advised && sim_chance(8) &&
        space_advise(story.space, va_of_place(place), PAGE_BYTES, SPACE_DONTNEED) == 0)
        own->last = word_of(place, program, *sequence);
    if (!load_word(va, &value))
        return CHECK(!story.is_replaced);
    if (story.is_advised)
        return CHECK(value == 0 || (value >= own->last && value < word_of(place, program, *sequence)));
    if (value == 0)
        own->last = 0;
    return CHECK(value == own->last);
}

static int place_program(void *arg)
{
    unsigned program = (unsigned)(uintptr_t)arg;
    struct own_word own[PLACES] = { { 0 } };
    uint64_t sequence = 1;

    sim_line_wait(&story.line);
    while (!load_relaxed(&story.is_over)) {
        unsigned place = (unsigned)sim_random_below(PLACES);

        if (!use_place(program, place, &own[place], &sequence))
            return 1;
        if (program == 1 && sim_chance(4))
            (void)change_place();
        pause_a_little();
    }
    return 0;
}

/* A child that lives for a while, so that there is something to copy on write. */
static void other_child(struct space **child)
{
    if (*child != NULL)
        space_put(*child);
    *child = NULL;
    if (sim_chance(2))
        CHECK(space_fork(story.space, child) == 0);
}

static void change_places(bool is_advised, bool is_replaced)
{
    struct space *child = NULL;

    story_begin();
    story.is_advised = is_advised;
    story.is_replaced = is_replaced;
    CHECK(map(story.space, USER_VA, SPAN_PAGES, RW, SPACE_PRIVATE) == 0);
    programs_start(place_program, PROGRAMS_MAX);
    sim_line_open(&story.line, story.programs);
    for (unsigned round = 6 * sim_rounds(); round > 0; round--) {
        int result = change_place();

        CHECK(result == 0 || result == -ENOMEM); /* advice and protection meet holes */
        sim_delay();
        if (is_advised)
            other_child(&child);
    }
    story_end(child);
}

static void space_unmap_story(void)
{
    change_places(false, false);
}

static void space_replace_story(void)
{
    change_places(false, true);
}

static void space_advise_story(void)
{
    change_places(true, false);
}

/*
 * memory-fails: the same while allocations of the changer fail. A failed change is none, so programs see no difference.
 */
static void space_memory_story(void)
{
    story_begin();
    story.is_advised = story.is_replaced = false;
    CHECK(map(story.space, USER_VA, SPAN_PAGES, RW, SPACE_PRIVATE) == 0);
    programs_start(place_program, 3);
    sim_line_open(&story.line, story.programs);
    for (unsigned round = 6 * sim_rounds(); round > 0; round--) {
        struct space *child = NULL;
        int result;

        mm_fail_at(1 + (uint32_t)sim_random_below(6));
        if (sim_chance(3)) {
            result = space_fork(story.space, &child);
            if (result == 0)
                space_put(child);
        } else if (sim_chance(2)) {
            result = space_fault(story.space, va_of_place((unsigned)sim_random_below(PLACES)), VM_WRITE);
        } else {
            result = change_place();
        }
        (void)mm_fail_fired();
        CHECK(result == 0 || result == -ENOMEM || result == -EFAULT || result == -EACCES);
        sim_delay();
    }
    story_end(NULL);
}

/*
 * memory-protect: once the right to store is gone, nothing changes any more; once every right is, nothing is read.
 */
static int counting_program(void *arg)
{
    unsigned program = (unsigned)(uintptr_t)arg;
    uint64_t value = 0;

    sim_line_wait(&story.line);
    while (!load_relaxed(&story.is_over)) {
        for (unsigned place = 0; place < PLACES; place++)
            (void)store_word(va_of_place(place) + (program + 1) * CACHE_LINE_BYTES, ++value);
        pause_a_little();
    }
    return 0;
}

static bool is_still(vaddr_t va)
{
    uint64_t before = 0, after = 0;

    if (!CHECK(load_word(va, &before)))
        return false;
    sim_delay();
    return CHECK(load_word(va, &after)) && CHECK(after == before) && CHECK(!store_word(va, 0));
}

static int protecting_rounds(void *arg)
{
    size_t bytes = PLACES * PAGE_BYTES;
    uint64_t value = 0;

    (void)arg;
    sim_line_wait(&story.line);
    for (unsigned round = 3 * sim_rounds(); round > 0; round--) {
        CHECK(space_protect(story.space, USER_VA, bytes, VM_READ) == 0);
        for (unsigned i = 0; i < 2 * PLACES; i++)
            if (!is_still(va_of_place(i % PLACES) + (1 + sim_random_below(PROGRAMS_MAX)) * CACHE_LINE_BYTES))
                return 1;
        if (sim_chance(2)) {
            CHECK(space_protect(story.space, USER_VA, bytes, 0) == 0);
            CHECK(!load_word(va_of_place((unsigned)sim_random_below(PLACES)), &value));
        }
        CHECK(space_protect(story.space, USER_VA, bytes, RW) == 0);
        sim_delay();
        if (sim_chance(2))
            task_yield();
    }
    return 0;
}

static int protecting_program(void *arg)
{
    int result = protecting_rounds(arg);

    store_relaxed(&story.is_over, true);
    return result;
}

/*
 * memory-long: a range of many spans, most of them empty, comes and goes. Once it is gone, nothing can be reached.
 */
#define LONG_SPANS 20

static vaddr_t va_of_span(unsigned span)
{
    return USER_VA + span * SPAN_PAGES * PAGE_BYTES;
}

static int span_program(void *arg)
{
    unsigned program = (unsigned)(uintptr_t)arg;
    uint64_t value = 1;

    sim_line_wait(&story.line);
    while (!load_relaxed(&story.is_over)) {
        (void)store_word(va_of_span((unsigned)sim_random_below(LONG_SPANS)) + program * CACHE_LINE_BYTES, value);
        pause_a_little();
    }
    return 0;
}

static int unmapping_rounds(void *arg)
{
    size_t pages = LONG_SPANS * SPAN_PAGES;
    uint64_t value = 0;

    (void)arg;
    sim_line_wait(&story.line);
    for (unsigned round = 3 * sim_rounds(); round > 0; round--) {
        CHECK(map(story.space, USER_VA, pages, RW, SPACE_PRIVATE) == 0);
        sim_delay();
        if (sim_chance(2))
            task_yield();
        CHECK(space_unmap(story.space, USER_VA, pages * PAGE_BYTES) == 0);
        for (unsigned span = 0; span < LONG_SPANS; span++)
            if (!CHECK(!load_word(va_of_span(span), &value)))
                return 1;
    }
    return 0;
}

static int unmapping_program(void *arg)
{
    int result = unmapping_rounds(arg);

    store_relaxed(&story.is_over, true);
    return result;
}

static void with_one_changer(int (*changer)(void *), int (*program)(void *))
{
    struct thread *thread;

    story_begin();
    CHECK(map(story.space, USER_VA, SPAN_PAGES, RW, SPACE_PRIVATE) == 0);
    thread = sim_thread(story.process, changer, NULL, NULL);
    programs_start(program, PROGRAMS_MAX - 1);
    sim_line_open(&story.line, story.programs + 1);
    if (thread != NULL)
        thread_put(thread);
    while (!load_relaxed(&story.is_over))
        sim_pause();
    story_end(NULL);
}

static void space_protect_story(void)
{
    with_one_changer(protecting_program, counting_program);
}

static void space_long_story(void)
{
    with_one_changer(unmapping_program, span_program);
}

/*
 * memory-fork: a program stores to one page and then to another, far away. A child is a picture of one moment, so there
 * the first is as new as the second, or newer by one; and it stays as it is, whatever the parent goes on to do.
 */
static struct {
    struct process *child;
    uint64_t first[PROGRAMS_MAX], second[PROGRAMS_MAX];
} picture;

static vaddr_t va_of_half(unsigned half, unsigned program)
{
    unsigned at = half == 0 ? program % 2 : SPAN_PAGES + 3; /* some share a page, and some a page table */

    return USER_VA + at * PAGE_BYTES + (program + 1) * CACHE_LINE_BYTES;
}

static int pair_program(void *arg)
{
    unsigned program = (unsigned)(uintptr_t)arg;
    uint64_t value = 0;

    sim_line_wait(&story.line);
    while (!load_relaxed(&story.is_over)) {
        value++;
        for (unsigned half = 0; half < 2; half++)
            if (!CHECK(store_word(va_of_half(half ^ (program & 1), program), value)))
                return 1;
        uint64_t got = 0;

        if (!CHECK(load_word(va_of_half(0, program), &got)) || !CHECK(got == value))
            return 1;
        pause_a_little();
    }
    return 0;
}

static bool look_at_pair(unsigned program, uint64_t *first, uint64_t *second)
{
    return CHECK(load_word(va_of_half(program & 1, program), first)) &&
           CHECK(load_word(va_of_half(1 ^ (program & 1), program), second)) && CHECK(*first - *second <= 1);
}

static int picture_program(void *arg)
{
    uint64_t first = 0, second = 0;

    (void)arg;
    for (unsigned i = 0; i < story.programs; i++)
        if (!look_at_pair(i, &picture.first[i], &picture.second[i]))
            return 1;
    for (unsigned look = 0; look < 3; look++) {
        unsigned i = (unsigned)sim_random_below(story.programs);

        sim_delay();
        if (!look_at_pair(i, &first, &second) || !CHECK(first == picture.first[i] && second == picture.second[i]))
            return 1;
    }
    /* The parent must not see this: its programs look. */
    for (unsigned i = 0; i < story.programs; i++)
        if (!CHECK(store_word(va_of_half(0, i), UINT64_MAX)))
            return 1;
    return 0;
}

static bool fork_once(void)
{
    struct space *space = NULL;

    if (!CHECK(space_fork(story.space, &space) == 0))
        return false;
    sim_delay();
    struct process *process = process_of(space);
    struct thread *thread = process != NULL ? sim_thread(process, picture_program, NULL, NULL) : NULL;

    if (thread == NULL)
        return false;
    thread_put(thread);
    finish_process(process);
    return true;
}

static void space_fork_story(void)
{
    struct space *child = NULL;

    story_begin();
    CHECK(map(story.space, USER_VA, 2 * SPAN_PAGES, RW, SPACE_PRIVATE) == 0);
    programs_start(pair_program, PROGRAMS_MAX);
    sim_line_open(&story.line, story.programs);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        for (unsigned more = (unsigned)sim_random_below(4); more > 0; more--) {
            sim_delay();
            other_child(&child);
        }
        if (!fork_once())
            break;
    }
    story_end(child);
}

extern const struct sim_scenario sim_scenarios_memory[];
const struct sim_scenario sim_scenarios_memory[] = {
    { .name = "memory-unmap", .aim = "faults meet unmapping, replacing and protection of the same pages",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = space_unmap_story },
    { .name = "memory-replace", .aim = "faults meet a mapping that takes the place of another",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = space_replace_story },
    { .name = "memory-long", .aim = "faults make tables in a range that is unmapped, and that looks empty there",
      .cpus = 4, .cpus_min = 2, .rounds = 3, .run = space_long_story },
    { .name = "memory-advise", .aim = "faults bring pages back that are being forgotten",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = space_advise_story },
    { .name = "memory-fails", .aim = "changes and forks of a space in use run out of memory half way",
      .cpus = 3, .cpus_min = 1, .rounds = 6, .run = space_memory_story },
    { .name = "memory-protect", .aim = "stores go on by old translations after the right to store was taken away",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = space_protect_story },
    { .name = "memory-fork", .aim = "programs store while their space is copied, and fault on what is half shared",
      .cpus = 4, .cpus_min = 2, .rounds = 3, .run = space_fork_story },
    { .name = NULL },
};
