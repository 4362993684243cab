/* SPDX-License-Identifier: MIT */
/* core/proc/futex_pi.c: an owner is as urgent as those who wait, one at a time owns, in order of urgency, and no end of
 * an owner or a waiter leaves a lock behind that nobody could take. */
#include "futex_world.h"

#include <proc/id.h>

#define LOCK 0
#define OTHER 1
#define CONDITION 2
#define GO 3 /* a word to sleep at */

static struct process *world;

static uint32_t tid_now(void)
{
    return (uint32_t)current_task()->tid;
}

static int effective(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.effective_priority;
}

/* As a C library does. */
static int lock_at(unsigned index, uint64_t deadline_ns)
{
    uint32_t seen = 0;

    CHECK(user_cas32(word_at(index).at, &seen, tid_now()) == 0);
    return seen == 0 ? 0 : futex_lock_pi(word_at(index), deadline_ns);
}

static int unlock_at(unsigned index)
{
    uint32_t seen = tid_now();

    CHECK(user_cas32(word_at(index).at, &seen, 0) == 0);
    return seen == tid_now() ? 0 : futex_unlock_pi(word_at(index));
}

/* ---- One thread ---- */

static int errors(void *arg)
{
    const struct futex_word odd = { .at = WORLD_WORDS + 2, .is_private = true };
    const struct futex_word none = { .at = WORLD_WORDS + 2 * PAGE_BYTES, .is_private = true };

    (void)arg;
    CHECK(futex_lock_pi(odd, TIME_NEVER) == -EINVAL && futex_lock_pi(none, TIME_NEVER) == -EFAULT);
    CHECK(futex_unlock_pi(odd) == -EINVAL && futex_unlock_pi(none) == -EFAULT);
    CHECK(futex_unlock_pi(word_at(LOCK)) == -EPERM);
    CHECK(futex_lock_pi(word_at(LOCK), TIME_NEVER) == 0 && word_get(LOCK) == tid_now());
    CHECK(futex_lock_pi(word_at(LOCK), TIME_NEVER) == -EDEADLK);
    CHECK(futex_try_lock_pi(word_at(LOCK)) == -EDEADLK);
    CHECK(futex_unlock_pi(word_at(LOCK)) == 0 && word_get(LOCK) == 0);
    CHECK(futex_try_lock_pi(word_at(LOCK)) == 0 && word_get(LOCK) == tid_now());
    word_set(LOCK, FUTEX_OWNER_DIED);
    CHECK(futex_lock_pi(word_at(LOCK), TIME_NEVER) == 0 && word_get(LOCK) == (tid_now() | FUTEX_OWNER_DIED));
    word_set(LOCK, TID_MAX - 1);
    CHECK(futex_lock_pi(word_at(LOCK), TIME_NEVER) == -ESRCH && futex_try_lock_pi(word_at(LOCK)) == -ESRCH);
    CHECK(futex_requeue_pi(word_at(LOCK), word_at(LOCK), 1, TID_MAX - 1) == -EINVAL);
    CHECK(futex_requeue_pi(word_at(CONDITION), word_at(LOCK), 1, 1) == -EAGAIN);
    CHECK(futex_wait_requeue_pi(word_at(LOCK), 0, TIME_NEVER, word_at(LOCK)) == -EINVAL);
    CHECK(futex_wait_requeue_pi(word_at(CONDITION), 1, TIME_NEVER, word_at(LOCK)) == -EAGAIN);
    CHECK(futex_wait_requeue_pi(word_at(CONDITION), 0, clock_ns(), word_at(LOCK)) == -ETIMEDOUT);
    return 0;
}

/* ---- Several ---- */

struct member {
    unsigned lock, second;
    uint64_t deadline_ns;
    _Atomic(int) result;     /* 1: not back */
    _Atomic(unsigned) place; /* in the order in which they owned it */
    bool keeps;              /* it ends with the lock */
    uint32_t found;          /* the word, when it owned it */
};

static _Atomic(unsigned) owners;

static int member_main(void *arg)
{
    struct member *self = arg;
    int result = lock_at(self->lock, self->deadline_ns);

    if (result == 0) {
        self->found = word_get(self->lock);
        store_relaxed(&self->place, fetch_add_relaxed(&owners, 1));
        if (!self->keeps)
            CHECK(unlock_at(self->lock) == 0);
    }
    store_relaxed(&self->result, result);
    return 0;
}

/* It waits, when this returns. */
static struct task *member_start(struct member *member, unsigned lock, int number)
{
    member->lock = lock;
    member->deadline_ns = member->deadline_ns == 0 ? TIME_NEVER : member->deadline_ns;
    store_relaxed(&member->result, 1);
    struct task *task = world_start(world, member_main, member, number);

    WAIT_FOR(is_blocked(task));
    return task;
}

static int inherits(void *arg)
{
    struct member low = { 0 }, high = { 0 };
    struct task *self = current_task();
    int before = effective(self);

    (void)arg;
    CHECK(lock_at(LOCK, TIME_NEVER) == 0 && word_get(LOCK) == tid_now());
    struct task *task = member_start(&low, LOCK, WORLD_RT_LOW);

    CHECK(word_get(LOCK) == (tid_now() | FUTEX_WAITERS));
    CHECK(effective(self) == effective(task) && effective(self) < before);
    struct task *task2 = member_start(&high, LOCK, WORLD_URGENT);

    CHECK(effective(self) == effective(task2) && effective(task2) < effective(task));
    CHECK(futex_try_lock_pi(word_at(LOCK)) == -EDEADLK);
    CHECK(unlock_at(LOCK) == 0);
    CHECK(effective(self) == before);
    CHECK(finish(task) == 0 && finish(task2) == 0);
    CHECK(load_relaxed(&high.result) == 0 && load_relaxed(&low.result) == 0);
    CHECK(load_relaxed(&high.place) < load_relaxed(&low.place));
    CHECK((high.found & FUTEX_OWNER_DIED) == 0 && word_get(LOCK) == 0);
    return 0;
}

/* The one in the middle owns LOCK and waits for OTHER. */
static int middle_main(void *arg)
{
    (void)arg;
    CHECK(lock_at(LOCK, TIME_NEVER) == 0);
    CHECK(lock_at(OTHER, TIME_NEVER) == 0);
    CHECK(unlock_at(OTHER) == 0);
    return unlock_at(LOCK);
}

static int inherits_along_a_chain(void *arg)
{
    struct member high = { 0 };
    struct task *self = current_task();
    int before = effective(self);

    (void)arg;
    CHECK(lock_at(OTHER, TIME_NEVER) == 0);
    struct task *middle = world_start(world, middle_main, NULL, WORLD_NORMAL);

    WAIT_FOR(is_blocked(middle));
    struct task *task = member_start(&high, LOCK, WORLD_URGENT);

    CHECK(effective(middle) == effective(task) && effective(self) == effective(task));
    CHECK(futex_lock_pi(word_at(LOCK), TIME_NEVER) == -EDEADLK); /* a circle of two */
    CHECK(unlock_at(OTHER) == 0 && effective(self) == before);
    CHECK(finish(middle) == 0 && finish(task) == 0);
    return 0;
}

static int times_out(void *arg)
{
    struct member member = { .deadline_ns = clock_ns() + 200 * NS_PER_US };
    struct task *self = current_task();
    int before = effective(self);

    (void)arg;
    CHECK(lock_at(LOCK, TIME_NEVER) == 0);
    member.lock = LOCK;
    CHECK(finish(world_start(world, member_main, &member, WORLD_URGENT)) == 0);
    CHECK(load_relaxed(&member.result) == -ETIMEDOUT && clock_ns() >= member.deadline_ns);
    CHECK(effective(self) == before);
    CHECK(unlock_at(LOCK) == 0 && word_get(LOCK) == 0);
    return 0;
}

static int keeps(void *arg)
{
    (void)arg;
    CHECK(lock_at(LOCK, TIME_NEVER) == 0);
    return futex_wait(word_at(GO), 0, FUTEX_BITSET_ALL, TIME_NEVER);
}

static int owner_ends(void *arg)
{
    struct member members[2] = { { 0 }, { .keeps = true } };

    (void)arg;
    store_relaxed(&owners, 0);
    struct task *owner = world_start(world, keeps, NULL, WORLD_NORMAL);

    WAIT_FOR(is_blocked(owner));
    struct task *low = member_start(&members[0], LOCK, WORLD_NORMAL);
    struct task *high = member_start(&members[1], LOCK, WORLD_URGENT);

    CHECK(futex_wake(word_at(GO), 1, FUTEX_BITSET_ALL) == 1);
    CHECK(finish(owner) == 0 && finish(high) == 0 && finish(low) == 0);
    CHECK(load_relaxed(&members[1].place) == 0 && load_relaxed(&members[0].place) == 1);
    for (unsigned i = 0; i < 2; i++) /* each from one that ended */
        CHECK(load_relaxed(&members[i].result) == 0 && (members[i].found & FUTEX_OWNER_DIED) != 0);
    CHECK(word_get(LOCK) == 0);
    return 0;
}

/* Who may not write the word, or cannot any more, keeps the lock, and can unlock it when it may again. */
static int cannot_tell_the_heir(void *arg)
{
    const unsigned rights = VM_READ | VM_WRITE;
    struct member member = { 0 };
    struct task *self = current_task();
    int before = effective(self);

    (void)arg;
    CHECK(lock_at(LOCK, TIME_NEVER) == 0);
    struct task *task = member_start(&member, LOCK, WORLD_URGENT);

    CHECK(space_protect(world->space, WORLD_WORDS, PAGE_BYTES, VM_READ) == 0);
    CHECK(futex_unlock_pi(word_at(LOCK)) == -EFAULT);
    CHECK(word_get(LOCK) == (tid_now() | FUTEX_WAITERS));
    CHECK(is_blocked(task) && effective(self) == effective(task));
    CHECK(space_protect(world->space, WORLD_WORDS, PAGE_BYTES, rights) == 0);
    CHECK(unlock_at(LOCK) == 0);
    CHECK(effective(self) == before);
    CHECK(finish(task) == 0 && load_relaxed(&member.result) == 0 && word_get(LOCK) == 0);
    return 0;
}

static int unlocks_in_vain(void *arg)
{
    (void)arg;
    CHECK(lock_at(LOCK, TIME_NEVER) == 0);
    CHECK(futex_wait(word_at(GO), 0, FUTEX_BITSET_ALL, TIME_NEVER) == 0);
    CHECK(futex_unlock_pi(word_at(LOCK)) == -EFAULT);
    return 0;
}

/* It ends as the owner. Of those who wait none gets a word that cannot be written, and none sleeps for ever. */
static int ends_without_a_heir(void *arg)
{
    struct member members[2] = { { 0 }, { 0 } };

    (void)arg;
    struct task *owner = world_start(world, unlocks_in_vain, NULL, WORLD_NORMAL);

    WAIT_FOR(is_blocked(owner));
    struct task *low = member_start(&members[0], LOCK, WORLD_NORMAL);
    struct task *high = member_start(&members[1], LOCK, WORLD_URGENT);

    CHECK(space_protect(world->space, WORLD_WORDS, PAGE_BYTES, VM_READ) == 0);
    CHECK(futex_wake(word_at(GO), 1, FUTEX_BITSET_ALL) == 1);
    CHECK(finish(owner) == 0 && finish(high) == 0 && finish(low) == 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(load_relaxed(&members[i].result) == -EFAULT);
    return 0;
}

/* ---- Conditions ---- */

static bool is_in_chain(struct task *task)
{
    uintptr_t state = spin_lock_irqsave(&task->pi.lock);
    bool waits = task->pi.blocked_on != NULL;

    spin_unlock_irqrestore(&task->pi.lock, state);
    return waits;
}

static int waits_for_condition(void *arg)
{
    struct member *self = arg;
    int result = futex_wait_requeue_pi(word_at(CONDITION), 0, self->deadline_ns, word_at(LOCK));

    if (result == 0) {
        CHECK((word_get(LOCK) & FUTEX_TID_MASK) == tid_now());
        store_relaxed(&self->place, fetch_add_relaxed(&owners, 1));
        CHECK(unlock_at(LOCK) == 0);
    }
    store_relaxed(&self->result, result);
    return 0;
}

static int requeues(void *arg)
{
    static const int numbers[3] = { WORLD_NORMAL, WORLD_RT_LOW, WORLD_URGENT };
    struct member members[3] = { 0 };
    struct task *tasks[3];

    (void)arg;
    store_relaxed(&owners, 0);
    for (unsigned i = 0; i < 3; i++) {
        members[i].deadline_ns = TIME_NEVER;
        tasks[i] = world_start(world, waits_for_condition, &members[i], numbers[i]);
        WAIT_FOR(is_blocked(tasks[i]));
    }
    CHECK(futex_wake(word_at(CONDITION), 9, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_requeue(word_at(CONDITION), word_at(OTHER), 9, 9, NULL) == 0);
    CHECK(futex_requeue_pi(word_at(CONDITION), word_at(OTHER), 9, 0) == -EINVAL);
    CHECK(lock_at(LOCK, TIME_NEVER) == 0);
    CHECK(futex_requeue_pi(word_at(CONDITION), word_at(LOCK), 9, 0) == 3);
    for (unsigned i = 0; i < 3; i++)
        WAIT_FOR(is_blocked(tasks[i]) && is_in_chain(tasks[i]));
    CHECK(effective(current_task()) == effective(tasks[2]));
    CHECK(load_relaxed(&owners) == 0 && unlock_at(LOCK) == 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(finish(tasks[i]) == 0);
        CHECK(load_relaxed(&members[i].place) == 2 - i);
    }
    return 0;
}

/* ---- Many ---- */

#define CROWD 6
#define ROUNDS 40
static unsigned inside[2]; /* each written by the owner of that lock alone */

/* The owner ended, and nobody waited: marked as a robust list would have it. */
static void mark_dead(unsigned lock)
{
    uint32_t seen = word_get(lock), before = seen;
    uint32_t dead = FUTEX_OWNER_DIED | (before & FUTEX_WAITERS);
    struct task *task = task_lookup((tid_t)(before & FUTEX_TID_MASK));

    if (task != NULL)
        task_put(task);
    else
        CHECK(user_cas32(word_at(lock).at, &seen, dead) == 0);
}

static int crowd_main(void *arg)
{
    struct unit_random random = { booted_seed() * CROWD + (uintptr_t)arg };

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned lock = (unsigned)unit_random_below(&random, 2);
        bool is_patient = unit_random_below(&random, 3) != 0;
        uint64_t patience = is_patient ? TIME_NEVER : clock_ns() + unit_random_below(&random, 4000);
        int result = lock_at(lock, patience);

        if (result == -ESRCH)
            mark_dead(lock);
        if (result == -ETIMEDOUT || result == -ESRCH)
            continue;
        CHECK(result == 0 && (word_get(lock) & FUTEX_TID_MASK) == tid_now());
        unsigned before = inside[lock];

        if (unit_random_below(&random, 2) == 0)
            task_yield();
        CHECK(inside[lock] == before);
        inside[lock] = before + 1;
        if (unit_random_below(&random, 40) == 0)
            return 0; /* and the next one has it */
        CHECK(unlock_at(lock) == 0);
    }
    return 0;
}

static int crowds(void *arg)
{
    static const int numbers[CROWD] = { WORLD_NORMAL, WORLD_RT_LOW, WORLD_NORMAL, WORLD_URGENT, 70, WORLD_NORMAL };
    struct task *tasks[CROWD];

    (void)arg;
    for (unsigned i = 0; i < CROWD; i++)
        tasks[i] = world_start(world, crowd_main, (void *)(uintptr_t)i, numbers[i]);
    for (unsigned i = 0; i < CROWD; i++)
        CHECK(finish(tasks[i]) == 0);
    return 0;
}

static void in_a_world(int (*entry)(void *))
{
    world = world_create();
    CHECK(finish(world_start(world, entry, NULL, WORLD_NORMAL)) == 0);
    world_bury(world);
}

static void run_errors(void)
{
    in_a_world(errors);
}

static void run_inherits(void)
{
    in_a_world(inherits);
}

static void run_inherits_along_a_chain(void)
{
    in_a_world(inherits_along_a_chain);
}

static void run_times_out(void)
{
    in_a_world(times_out);
}

static void run_owner_ends(void)
{
    in_a_world(owner_ends);
}

static void run_cannot_tell(void)
{
    in_a_world(cannot_tell_the_heir);
    in_a_world(ends_without_a_heir);
}

static void run_requeues(void)
{
    in_a_world(requeues);
}

static void run_crowds(void)
{
    in_a_world(crowds);
}

const struct kernel_test booted_tests[] = {
    { "errors", run_errors },
    { "inherits", run_inherits },
    { "chain", run_inherits_along_a_chain },
    { "timeout", run_times_out },
    { "death", run_owner_ends },
    { "untold", run_cannot_tell },
    { "requeue", run_requeues },
    { "crowd", run_crowds },
    { NULL, NULL },
};

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    booted_run("errors", 8);
}

static void an_owner_inherits_what_waiters_have(void **state)
{
    (void)state;
    booted_run("inherits", 8);
}

static void urgency_goes_along_a_chain_and_a_circle_is_refused(void **state)
{
    (void)state;
    booted_run("chain", 8);
}

static void who_gives_up_takes_its_urgency_along(void **state)
{
    (void)state;
    booted_run("timeout", 8);
}

static void heirs_learn_that_the_owner_ended(void **state)
{
    (void)state;
    booted_run("death", 8);
}

static void who_cannot_write_the_word_stays_the_owner(void **state)
{
    (void)state;
    booted_run("untold", 8);
}

static void conditions_pass_their_waiters_on_to_the_lock(void **state)
{
    (void)state;
    booted_run("requeue", 8);
}

static void a_crowd_owns_one_at_a_time(void **state)
{
    (void)state;
    booted_run("crowd", 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(an_owner_inherits_what_waiters_have),
        cmocka_unit_test(urgency_goes_along_a_chain_and_a_circle_is_refused),
        cmocka_unit_test(who_gives_up_takes_its_urgency_along),
        cmocka_unit_test(heirs_learn_that_the_owner_ended),
        cmocka_unit_test(who_cannot_write_the_word_stays_the_owner),
        cmocka_unit_test(conditions_pass_their_waiters_on_to_the_lock),
        cmocka_unit_test(a_crowd_owns_one_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
