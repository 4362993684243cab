/* SPDX-License-Identifier: MIT */
/*
 * User memory: programs load and store through the TLBs of their CPUs while the kernel changes what is mapped. There is
 * no memory-management call yet, so the stories walk the tables themselves, as such calls will: change, shoot down, and
 * only then reuse the page. A page's contents say what it is, so that an access by an old translation shows.
 * Locks: one task changes a space, or story.lock is held.
 */
#include "scenario.h"

#include <lib/string.h>
#include <mm/pagetable.h>
#include <vm/space.h>

#define USER_VA ((vaddr_t)0x10000000)
#define PROGRAMS_MAX SIM_PROGRAMS_MAX

static paddr_t table_alloc(void)
{
    return phys_alloc_zeroed(0);
}

static void table_free(paddr_t table)
{
    phys_free(table, 0);
}

static const struct pt_alloc user_tables = { .alloc = table_alloc, .free = table_free };

bool sim_user_map(struct process *process, vaddr_t va, paddr_t page, unsigned prot)
{
    return CHECK(pt_map(process->space->tlb.root, va, page, PAGE_BYTES, prot, &user_tables) == 0);
}

void sim_user_unmap(struct process *process, vaddr_t va)
{
    pt_unmap(process->space->tlb.root, va, PAGE_BYTES);
}

void sim_user_shoot_down(struct process *process, vaddr_t va)
{
    struct tlb_batch batch;

    tlb_batch_init(&batch, &process->space->tlb);
    tlb_batch_add(&batch, va, 1);
    tlb_batch_flush(&batch);
}

unsigned sim_programs_start(struct process *process, int (*entry)(void *), struct thread **out)
{
    unsigned count = MIN(online_count(), (unsigned)PROGRAMS_MAX);

    for (unsigned i = 0; i < count; i++)
        out[i] = sim_thread(process, entry, (void *)(uintptr_t)i, NULL);
    return count;
}

void sim_programs_finish(struct process *process, struct thread **threads, unsigned count)
{
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    for (unsigned i = 0; i < count; i++)
        if (threads[i] != NULL)
            thread_put(threads[i]);
}

/*
 * user-unmap: pages of one space come and go under programs on several CPUs. A page's first word says which place it
 * was mapped at and the how-manieth it was there; the words behind it belong to the programs, one cache line each.
 */
#define PLACES 4
#define STAMP(place, turn) ((uint64_t)((place) + 1) << 32 | (turn))

static struct {
    struct sim_line line;
    struct process *process;
    _Atomic(uint32_t) oldest[PLACES]; /* PAIRS(sim_oldest): what came before it there is out of reach for everybody */
    _Atomic(bool) is_over;

    /* The mapping task's. */
    paddr_t page[PLACES];
    unsigned prot[PLACES];
    uint32_t turn[PLACES];
} places;

static vaddr_t va_of_place(unsigned place)
{
    return USER_VA + place * PAGE_BYTES;
}

static bool look_at_place(unsigned place)
{
    uint32_t oldest = load_acquire(&places.oldest[place]); /* PAIRS(sim_oldest) */
    uint64_t stamp = 0;

    if (!host_user_load(va_of_place(place), &stamp))
        return true;
    return CHECK(stamp >> 32 == place + 1) && CHECK((uint32_t)stamp >= oldest);
}

static int place_program(void *arg)
{
    vaddr_t own = ((vaddr_t)(uintptr_t)arg + 1) * CACHE_LINE_BYTES;
    uint64_t value = 1;

    sim_line_wait(&places.line);
    while (!load_relaxed(&places.is_over)) {
        unsigned place = (unsigned)sim_random_below(PLACES);

        if (!look_at_place(place))
            return 1;
        if (sim_chance(2) && host_user_store(va_of_place(place) + own, value))
            value++;
        if (sim_chance(16))
            task_yield();
        if (sim_chance(16))
            sim_nap(NS_PER_US);
    }
    return 0;
}

static void place_fill(unsigned place)
{
    paddr_t page = phys_alloc_zeroed(0);

    if (!CHECK(page != 0))
        return;
    *(uint64_t *)phys_to_virt(page) = STAMP(place, places.turn[place]);
    places.page[place] = page;
    places.prot[place] = sim_chance(3) ? PROT_USER : SIM_USER_RW;
    (void)sim_user_map(places.process, va_of_place(place), page, places.prot[place]);
}

/* Its translations are gone: nobody changes it any more, nor did anybody who may not. */
static void place_check(unsigned place)
{
    static uint64_t before[PAGE_BYTES / sizeof(uint64_t)];
    const uint64_t *words = phys_to_virt(places.page[place]);

    memcpy(before, words, PAGE_BYTES);
    sim_delay();
    CHECK(memcmp(before, words, PAGE_BYTES) == 0);
    CHECK(words[0] == STAMP(place, places.turn[place]));
    for (unsigned i = 1; i < PAGE_BYTES / sizeof *words && places.prot[place] == PROT_USER; i++)
        if (!CHECK(words[i] == 0))
            return;
}

static void place_empty(unsigned place, bool is_in_use)
{
    sim_user_unmap(places.process, va_of_place(place));
    if (is_in_use)
        sim_user_shoot_down(places.process, va_of_place(place));
    store_release(&places.oldest[place], places.turn[place] + 1); /* PAIRS(sim_oldest) */
    place_check(place);
    phys_free(places.page[place], 0);
    places.page[place] = 0;
    places.turn[place]++;
}

static void user_unmap(void)
{
    struct thread *thread[PROGRAMS_MAX];

    sim_line_init(&places.line);
    store_relaxed(&places.is_over, false);
    memset(places.page, 0, sizeof places.page);
    memset(places.turn, 0, sizeof places.turn);
    for (unsigned place = 0; place < PLACES; place++)
        store_relaxed(&places.oldest[place], 0);
    if (!CHECK(process_create(&process_kernel, "places", &places.process) == 0))
        return;
    unsigned count = sim_programs_start(places.process, place_program, thread);

    sim_line_open(&places.line, count);
    for (unsigned round = 8 * sim_rounds(); round > 0; round--) {
        unsigned place = (unsigned)sim_random_below(PLACES);

        if (places.page[place] == 0)
            place_fill(place);
        else
            place_empty(place, true);
        sim_delay();
    }
    store_relaxed(&places.is_over, true);
    sim_programs_finish(places.process, thread, count);
    for (unsigned place = 0; place < PLACES; place++)
        if (places.page[place] != 0)
            place_empty(place, false);
    process_put(places.process);
}

/*
 * user-spaces: several processes have different pages at the same address, and take turns on the same CPUs. Nothing is
 * shot down: what a CPU knows of one space it does not take for another's.
 */
#define SPACES 5

static int space_program(void *arg)
{
    uint64_t own = (uint64_t)(uintptr_t)arg << 32;
    uint64_t got = 0;

    for (unsigned i = 0; i < 12; i++) {
        if (!CHECK(host_user_load(USER_VA, &got)) || !CHECK(got == own + i) ||
            !CHECK(host_user_store(USER_VA, own + i + 1)))
            return 1;
        if (sim_chance(2))
            task_yield();
        if (sim_chance(4))
            sim_nap(NS_PER_US);
        if (sim_chance(4))
            sim_stay_on(sim_some_cpu());
    }
    return 0;
}

static void user_spaces(void)
{
    struct process *process[SPACES];
    struct thread *thread[SPACES];
    paddr_t page[SPACES];

    for (unsigned round = sim_rounds(); round > 0; round--) {
        for (unsigned i = 0; i < SPACES; i++) {
            page[i] = phys_alloc_zeroed(0);
            if (!CHECK(page[i] != 0) || !CHECK(process_create(&process_kernel, "space", &process[i]) == 0))
                return;
            *(uint64_t *)phys_to_virt(page[i]) = (uint64_t)(i + 1) << 32;
            (void)sim_user_map(process[i], USER_VA, page[i], SIM_USER_RW);
            thread[i] = sim_thread(process[i], space_program, (void *)(uintptr_t)(i + 1), NULL);
        }
        for (unsigned i = 0; i < SPACES; i++) {
            sim_programs_finish(process[i], &thread[i], 1);
            CHECK(*(uint64_t *)phys_to_virt(page[i]) == ((uint64_t)(i + 1) << 32) + 12);
            sim_user_unmap(process[i], USER_VA);
            phys_free(page[i], 0);
            process_put(process[i]);
        }
    }
}

/*
 * user-fork: parent and child share a page until one of them writes to it. A program of the parent that still had the
 * right to write in some TLB would change what the child sees.
 */
struct side {
    struct process *process;
    paddr_t page;
    bool is_private; /* the page is its own alone, and writable */
};

static struct {
    struct sim_line line;
    struct mutex lock;
    struct side parent, child; /* guarded by lock */
    unsigned sharers;          /* of the page that is shared, or was; guarded by lock */
    uint64_t at_fork[PROGRAMS_MAX];
    unsigned programs;
    _Atomic(bool) is_over;
} forks;

static vaddr_t va_of_word(unsigned program)
{
    return USER_VA + program * CACHE_LINE_BYTES;
}

/* Other rights or another page: first nothing is mapped, then nobody knows otherwise, then the new one is. */
static void side_map(struct side *side, paddr_t page, unsigned prot)
{
    sim_user_unmap(side->process, USER_VA);
    sim_user_shoot_down(side->process, USER_VA);
    side->page = page;
    (void)sim_user_map(side->process, USER_VA, page, prot);
}

/* What a page fault on a shared page will do. */
static void side_unshare(struct side *side)
{
    mutex_lock(&forks.lock);
    if (!side->is_private) {
        paddr_t page = side->page;

        if (forks.sharers == 2) {
            page = phys_alloc(0);
            if (CHECK(page != 0))
                memcpy(phys_to_virt(page), phys_to_virt(side->page), PAGE_BYTES);
            forks.sharers = 1;
        }
        if (page != 0)
            side_map(side, page, SIM_USER_RW);
        side->is_private = true;
    }
    mutex_unlock(&forks.lock);
}

/* The page may be between two mappings, so an access that faults is tried again. */
static uint64_t word_load(unsigned program)
{
    uint64_t value = 0;

    while (!host_user_load(va_of_word(program), &value))
        task_yield();
    return value;
}

static void word_store(struct side *side, unsigned program, uint64_t value)
{
    while (!host_user_store(va_of_word(program), value))
        side_unshare(side);
}

static int parent_program(void *arg)
{
    unsigned program = (unsigned)(uintptr_t)arg;
    uint64_t value = word_load(program);

    sim_line_wait(&forks.line);
    while (!load_relaxed(&forks.is_over)) {
        word_store(&forks.parent, program, ++value);
        if (!CHECK(word_load(program) == value))
            return 1;
        sim_delay();
        if (sim_chance(4))
            sim_nap(2 * NS_PER_US);
    }
    return 0;
}

static bool child_sees(unsigned changed, uint64_t value)
{
    for (unsigned i = 0; i < forks.programs; i++)
        if (!CHECK(word_load(i) == (i == changed ? value : forks.at_fork[i])))
            return false;
    return true;
}

static int child_program(void *arg)
{
    unsigned mine = (unsigned)sim_random_below(forks.programs);

    (void)arg;
    for (unsigned look = 0; look < 3; look++) {
        if (!child_sees(PROGRAMS_MAX, 0))
            return 1;
        sim_delay();
    }
    if (sim_chance(4))
        return 0;
    word_store(&forks.child, mine, UINT64_MAX);
    sim_delay();
    return child_sees(mine, UINT64_MAX) ? 0 : 1;
}

/* The parent's page becomes the child's, too. */
static bool fork_page(void)
{
    struct side *parent = &forks.parent;

    if (!CHECK(process_create(&process_kernel, "child", &forks.child.process) == 0))
        return false;
    mutex_lock(&forks.lock);
    side_map(parent, parent->page, PROT_USER);
    parent->is_private = false;
    for (unsigned i = 0; i < forks.programs; i++)
        forks.at_fork[i] = ((const uint64_t *)phys_to_virt(parent->page))[i * (CACHE_LINE_BYTES / sizeof(uint64_t))];
    forks.child.page = parent->page;
    forks.child.is_private = false;
    forks.sharers = 2;
    (void)sim_user_map(forks.child.process, USER_VA, parent->page, PROT_USER);
    mutex_unlock(&forks.lock);
    return true;
}

static void fork_once(void)
{
    struct thread *thread;
    paddr_t dead;

    if (!fork_page())
        return;
    thread = sim_thread(forks.child.process, child_program, NULL, NULL);
    sim_programs_finish(forks.child.process, &thread, 1);
    mutex_lock(&forks.lock);
    sim_user_unmap(forks.child.process, USER_VA);
    /* Its own copy; or the page that the parent has left meanwhile; or the parent's page. */
    dead = forks.child.page != forks.parent.page ? forks.child.page : 0;
    forks.sharers = 1;
    mutex_unlock(&forks.lock);
    if (dead != 0)
        phys_free(dead, 0);
    process_put(forks.child.process);
}

static void user_fork(void)
{
    struct thread *thread[PROGRAMS_MAX];
    struct side *parent = &forks.parent;

    sim_line_init(&forks.line);
    mutex_init(&forks.lock);
    store_relaxed(&forks.is_over, false);
    forks.sharers = 1;
    parent->page = phys_alloc_zeroed(0);
    parent->is_private = true;
    if (!CHECK(parent->page != 0) || !CHECK(process_create(&process_kernel, "parent", &parent->process) == 0))
        return;
    (void)sim_user_map(parent->process, USER_VA, parent->page, SIM_USER_RW);
    forks.programs = sim_programs_start(parent->process, parent_program, thread);
    sim_line_open(&forks.line, forks.programs);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_delay();
        fork_once();
    }
    store_relaxed(&forks.is_over, true);
    sim_programs_finish(parent->process, thread, forks.programs);
    sim_user_unmap(parent->process, USER_VA);
    phys_free(parent->page, 0);
    process_put(parent->process);
}

extern const struct sim_scenario sim_scenarios_user[];
const struct sim_scenario sim_scenarios_user[] = {
    { .name = "user-unmap", .aim = "pages are unmapped, shot down and reused under programs on other CPUs",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = user_unmap },
    { .name = "user-spaces", .aim = "the same user address means another page in each of the spaces on a CPU",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = user_spaces },
    { .name = "user-fork", .aim = "a page shared by parent and child is copied by whoever writes first, on any CPU",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = user_fork },
    { .name = NULL },
};
