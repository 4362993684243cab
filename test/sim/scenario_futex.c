/* SPDX-License-Identifier: MIT */
/*
 * Futexes: threads of one process wait at words of its memory while others wake and move them, time passes and signals
 * come. A wake that says 1 is one wait that returns 0; whoever is left at the end is found at one of the words.
 */
#include "scenario.h"

#include <mm/user.h>
#include <proc/id.h>
#include <proc/futex.h>
#include <sched/priority.h>
#include <sched/sched.h>
#include <vm/space.h>

#define WORDS_VA ((vaddr_t)0x10000000)
#define WORDS 3
#define SLEEPERS 4
#define WAKERS 2

static struct {
    struct sim_line line;      /* none may end before all have begun: the process would */
    struct process *process;
    _Atomic(unsigned) asleep;  /* sleepers that have not ended */
    _Atomic(uint64_t) returned;
    _Atomic(uint64_t) woken;
    unsigned words;            /* of which they wait for one */
    bool is_patient;           /* no deadlines and no signals: whoever is lost stays lost */
    bool is_read_only;         /* at times: a store may fail */
    unsigned inside;           /* guarded by the lock that the story makes of a word */
} futexes;

static struct futex_word word_at(unsigned index)
{
    return (struct futex_word){ .at = WORDS_VA + index * sizeof(uint32_t), .is_private = sim_chance(2) };
}

static bool create_world(void)
{
    const struct space_request request = {
        .at = WORDS_VA, .bytes = PAGE_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    vaddr_t at = 0;

    sim_line_init(&futexes.line);
    store_relaxed(&futexes.returned, 0);
    store_relaxed(&futexes.woken, 0);
    return CHECK(process_create(&process_kernel, "futexes", &futexes.process) == 0) &&
           CHECK(space_map(futexes.process->space, &request, &at) == 0);
}

static void end_world(struct thread *const *threads, unsigned count)
{
    CHECK(process_wait(&process_kernel, futexes.process->pid, 0, NULL) == futexes.process->pid);
    for (unsigned i = 0; i < count; i++)
        if (threads[i] != NULL)
            thread_put(threads[i]);
    process_put(futexes.process);
}

/* futex-crowd */

static int sleeper(void *arg)
{
    (void)arg;
    sim_line_wait(&futexes.line);
    if (futexes.words == 1) /* then a woken one runs before its waker, who is half way through several */
        CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_NORMAL) == 0);
    for (unsigned i = 4 * sim_rounds(); i > 0; i--) {
        bool waits_long = futexes.is_patient || sim_chance(3);
        uint64_t deadline = waits_long ? TIME_NEVER : clock_ns() + sim_random_below(20) * NS_PER_US;
        int result = futex_wait(word_at((unsigned)sim_random_below(futexes.words)), 0, FUTEX_BITSET_ALL, deadline);

        CHECK(result == 0 || result == -ETIMEDOUT || result == -ERESTARTSYS);
        (void)fetch_add_relaxed(&futexes.returned, result == 0);
        task_notice_clear(TASK_NOTICE_SIGNAL);
    }
    (void)fetch_sub_relaxed(&futexes.asleep, 1);
    return 0;
}

static void move_or_wake(void)
{
    unsigned from = (unsigned)sim_random_below(futexes.words), to = (unsigned)sim_random_below(futexes.words);
    int64_t woken = 0;

    /* Moved ones are told from woken ones by asking for either alone. */
    if (sim_chance(2))
        CHECK(futex_requeue(word_at(from), word_at(to), 0, 1 + (uint32_t)sim_random_below(3), NULL) >= 0);
    else
        woken = futex_wake(word_at(from), 1 + (uint32_t)sim_random_below(3), FUTEX_BITSET_ALL);
    if (CHECK(woken >= 0))
        (void)fetch_add_relaxed(&futexes.woken, (uint64_t)woken);
}

static int waker(void *arg)
{
    (void)arg;
    sim_line_wait(&futexes.line);
    while (load_relaxed(&futexes.asleep) > 0) {
        move_or_wake();
        if (sim_chance(4))
            sim_pause();
    }
    return 0;
}

static void crowd(unsigned words, bool is_patient)
{
    struct thread *threads[SLEEPERS + WAKERS];
    struct task *some = NULL;

    futexes.words = words;
    futexes.is_patient = is_patient;
    store_relaxed(&futexes.asleep, SLEEPERS);
    if (!create_world())
        return;
    for (unsigned i = 0; i < SLEEPERS + WAKERS; i++)
        threads[i] = sim_thread(futexes.process, i < SLEEPERS ? sleeper : waker, NULL, NULL);
    sim_line_open(&futexes.line, SLEEPERS + WAKERS);
    while (!is_patient && load_relaxed(&futexes.asleep) > 0) {
        struct thread *thread = threads[sim_random_below(SLEEPERS)];

        some = thread != NULL ? task_lookup(thread->tid) : NULL;
        if (some != NULL) {
            (void)!task_notify(some, TASK_NOTICE_SIGNAL);
            task_put(some);
        }
        sim_pause();
    }
    end_world(threads, SLEEPERS + WAKERS);
    CHECK(load_relaxed(&futexes.returned) == load_relaxed(&futexes.woken));
}

static void futex_crowd(void)
{
    crowd(WORDS, false);
}

static void futex_moves(void)
{
    crowd(WORDS, true);
}

/* Most wakes are of several. */
static void futex_herd(void)
{
    crowd(1, false);
}

/* futex-lock: as libraries build it. 0 free, 1 held, 2 held and perhaps waited for. */

static uint32_t exchange(vaddr_t word, uint32_t value)
{
    uint32_t seen = 0, before = 1;

    while (seen != before) {
        before = seen;
        CHECK(user_cas32(word, &seen, value) == 0);
    }
    return before;
}

static int locker(void *arg)
{
    (void)arg;
    sim_line_wait(&futexes.line);
    for (unsigned i = 4 * sim_rounds(); i > 0; i--) {
        uint32_t seen = 0;

        CHECK(user_cas32(WORDS_VA, &seen, 1) == 0);
        while (seen != 0 && exchange(WORDS_VA, 2) != 0) {
            int result = futex_wait(word_at(0), 2, FUTEX_BITSET_ALL, TIME_NEVER);

            CHECK(result == 0 || result == -EAGAIN);
        }
        CHECK(futexes.inside++ == 0);
        sim_delay();
        futexes.inside--;
        if (exchange(WORDS_VA, 0) == 2)
            CHECK(futex_wake(word_at(0), 1, FUTEX_BITSET_ALL) >= 0);
    }
    return 0;
}

static void futex_lock(void)
{
    struct thread *threads[SLEEPERS];

    futexes.inside = 0;
    if (!create_world())
        return;
    for (unsigned i = 0; i < SLEEPERS; i++)
        threads[i] = sim_thread(futexes.process, locker, NULL, NULL);
    sim_line_open(&futexes.line, SLEEPERS);
    end_world(threads, SLEEPERS);
}

/* futex-owner: locks with inheritance, whose owners change their urgency, give up, and end without unlocking. */

#define OWNERS 5
#define OWNED 2

static unsigned holders[OWNED]; /* each written by the lock's owner alone */

static uint32_t own_id(void)
{
    return (uint32_t)current_task()->tid;
}

/* What a robust list does, for an owner that ended without one. That one's own store would come after all that it did
 * inside; a look-up in vain promises no order, so the count of those who have not ended gives it. */
static void mark_dead(vaddr_t word)
{
    uint32_t seen = 0;

    (void)load_acquire(&futexes.asleep); /* PAIRS(sim_count) */
    CHECK(user_read32(word, &seen) == 0);
    uint32_t before = seen;
    struct task *task = task_lookup((tid_t)(before & FUTEX_TID_MASK));

    if (task != NULL)
        task_put(task);
    else
        CHECK(user_cas32(word, &seen, FUTEX_OWNER_DIED | (before & FUTEX_WAITERS)) == 0 || futexes.is_read_only);
}

static int lock_owned(struct futex_word word)
{
    uint64_t deadline = sim_chance(3) ? clock_ns() + sim_random_below(20) * NS_PER_US : TIME_NEVER;
    uint32_t seen = 0;

    CHECK(user_cas32(word.at, &seen, own_id()) == 0);
    int result = seen == 0 ? 0 : sim_chance(6) ? futex_try_lock_pi(word) : futex_lock_pi(word, deadline);

    task_notice_clear(TASK_NOTICE_SIGNAL);
    if (result == -ESRCH)
        mark_dead(word.at);
    CHECK(result == 0 || result == -ESRCH || result == -ETIMEDOUT || result == -EAGAIN || result == -ERESTARTNOINTR);
    return result;
}

static void unlock_owned(struct futex_word word)
{
    uint32_t seen = own_id();

    CHECK(user_cas32(word.at, &seen, 0) == 0);
    if (seen != own_id())
        CHECK(futex_unlock_pi(word) == 0);
}

static void be_inside(unsigned index)
{
    uint32_t seen = 0;

    CHECK(user_read32(WORDS_VA + index * sizeof seen, &seen) == 0 && (seen & FUTEX_TID_MASK) == own_id());
    unsigned before = holders[index];

    sim_delay();
    if (sim_chance(4))
        CHECK(task_set_priority(current_task(), 15 + (int)sim_random_below(50)) == 0);
    CHECK(holders[index] == before);
    holders[index] = before + 1;
}

static struct futex_word owned_word(unsigned index)
{
    return (struct futex_word){ .at = WORDS_VA + index * sizeof(uint32_t), .is_private = true };
}

static int owner(void *arg)
{
    (void)arg;
    sim_line_wait(&futexes.line);
    for (unsigned i = 4 * sim_rounds(); i > 0; i--) {
        unsigned index = (unsigned)sim_random_below(OWNED);

        if (lock_owned(owned_word(index)) != 0)
            continue;
        be_inside(index);
        if (index == 0 && sim_chance(3) && lock_owned(owned_word(1)) == 0) {
            be_inside(1);
            unlock_owned(owned_word(1));
        }
        if (sim_chance(16))
            break; /* with the lock */
        unlock_owned(owned_word(index));
    }
    (void)fetch_sub_release(&futexes.asleep, 1); /* PAIRS(sim_count) */
    return 0;
}

static void futex_owner(void)
{
    struct thread *threads[OWNERS];

    futexes.is_read_only = false;
    store_relaxed(&futexes.asleep, OWNERS);
    if (!create_world())
        return;
    for (unsigned i = 0; i < OWNERS; i++)
        threads[i] = sim_thread(futexes.process, owner, NULL, NULL);
    sim_line_open(&futexes.line, OWNERS);
    while (load_relaxed(&futexes.asleep) > 0) {
        struct thread *thread = threads[sim_random_below(OWNERS)];
        struct task *some = thread != NULL ? task_lookup(thread->tid) : NULL;

        if (some != NULL) {
            (void)!task_notify(some, TASK_NOTICE_SIGNAL);
            task_put(some);
        }
        sim_pause();
    }
    end_world(threads, OWNERS);
}

/* futex-written: the page of the words may be written at times only. Who cannot store into a word says so, and owns
 * what it owned. */

static void protect(unsigned rights)
{
    CHECK(space_protect(futexes.process->space, WORDS_VA, PAGE_BYTES, rights) == 0);
}

/* Nobody locks or unlocks without the kernel: that would need the right to write. */
static int try_to_own(struct futex_word word)
{
    uint64_t deadline = sim_chance(3) ? clock_ns() + sim_random_below(20) * NS_PER_US : TIME_NEVER;
    int result = futex_lock_pi(word, deadline);

    if (result == -ESRCH)
        mark_dead(word.at);
    CHECK(result == 0 || result == -EFAULT || result == -ESRCH || result == -ETIMEDOUT);
    return result;
}

static int written_owner(void *arg)
{
    (void)arg;
    sim_line_wait(&futexes.line);
    for (unsigned i = 3 * sim_rounds(); i > 0; i--) {
        unsigned index = (unsigned)sim_random_below(OWNED);
        int result = 0;

        if (try_to_own(owned_word(index)) != 0)
            continue;
        be_inside(index);
        while ((result = futex_unlock_pi(owned_word(index))) == -EFAULT)
            be_inside(index);
        CHECK(result == 0);
        if (sim_chance(16) && futex_lock_pi(owned_word(index), TIME_NEVER) == 0)
            break; /* with the lock */
    }
    (void)fetch_sub_release(&futexes.asleep, 1); /* PAIRS(sim_count) */
    return 0;
}

static int writability(void *arg)
{
    (void)arg;
    sim_line_wait(&futexes.line);
    while (load_relaxed(&futexes.asleep) > 0) {
        protect(VM_READ);
        sim_pause();
        protect(VM_READ | VM_WRITE);
        sim_pause();
    }
    return 0;
}

static void futex_written(void)
{
    struct thread *threads[OWNERS + 1];

    futexes.is_read_only = true;
    store_relaxed(&futexes.asleep, OWNERS);
    if (!create_world())
        return;
    for (unsigned i = 0; i <= OWNERS; i++)
        threads[i] = sim_thread(futexes.process, i < OWNERS ? written_owner : writability, NULL, NULL);
    sim_line_open(&futexes.line, OWNERS + 1);
    end_world(threads, OWNERS + 1);
}

const struct sim_scenario sim_scenarios_futex[] = {
    { .name = "futex-crowd", .aim = "wake, requeue, deadline and signal end one wait, and it is lost or counted twice",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = futex_crowd },
    { .name = "futex-herd", .aim = "a signal comes to one of several while their waker is half way through them",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = futex_herd },
    { .name = "futex-moves", .aim = "a requeue loses a waiter that nothing but a wake will end",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = futex_moves },
    { .name = "futex-lock", .aim = "the word changes between a waiter's look and its sleep, and nobody wakes it",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = futex_lock },
    { .name = "futex-owner", .aim = "a lock with inheritance has no owner or two, or urgency goes the wrong way",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = futex_owner },
    { .name = "futex-written", .aim = "a lock with inheritance passes on, and its word, which cannot be written, stays",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = futex_written },
    { .name = NULL },
};
