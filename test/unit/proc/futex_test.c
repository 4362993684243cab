/* SPDX-License-Identifier: MIT */
/* core/proc/futex.c: nobody sleeps through a wake, no wake is lost or counted twice, whatever else happens to the
 * waiters. */
#include "futex_world.h"

static struct process *world;

/* ---- One thread ---- */

static int errors(void *arg)
{
    const struct futex_word odd = { .at = WORLD_WORDS + 2, .is_private = true };
    const struct futex_word none = { .at = WORLD_WORDS + 2 * PAGE_BYTES, .is_private = true };
    const struct futex_word kernels = { .at = HAL_USER_END, .is_private = true };
    const uint32_t other = 8;

    (void)arg;
    word_set(0, 7);
    CHECK(futex_wait(odd, 7, 1, TIME_NEVER) == -EINVAL);
    CHECK(futex_wake(odd, 1, 1) == -EINVAL);
    CHECK(futex_wait(none, 7, 1, TIME_NEVER) == -EFAULT);
    CHECK(futex_wait(kernels, 7, 1, TIME_NEVER) == -EFAULT);
    CHECK(futex_wake(kernels, 1, 1) == -EFAULT);
    CHECK(futex_wake(none, 1, 1) == 0); /* nothing is read */
    CHECK(futex_wake((struct futex_word){ .at = none.at }, 1, 1) == -EFAULT);
    CHECK(futex_wait(word_at(0), 7, 0, TIME_NEVER) == -EINVAL);
    CHECK(futex_wake(word_at(0), 1, 0) == -EINVAL);
    CHECK(futex_wait(word_at(0), 8, FUTEX_BITSET_ALL, TIME_NEVER) == -EAGAIN);
    CHECK(futex_wake(word_at(0), 1, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_requeue(word_at(0), word_at(1), 1, 1, &other) == -EAGAIN);
    CHECK(futex_requeue(word_at(0), none, 1, 1, NULL) == 0);
    CHECK(futex_requeue(none, word_at(0), 1, 1, &other) == -EFAULT);
    CHECK(futex_wake_op(word_at(0), none, 1, 1, 0) == -EFAULT);
    CHECK(futex_wake_op(word_at(0), word_at(1), 1, 1, 5u << 28) == -ENOSYS);
    CHECK(futex_wake_op(word_at(0), word_at(1), 1, 1, 6u << 24) == -ENOSYS);
    return 0;
}

static void damaged_calls_are_refused(void)
{
    world_run(errors);
}

static int times_out(void *arg)
{
    uint64_t deadline = clock_ns() + 50 * NS_PER_US;

    (void)arg;
    CHECK(futex_wait(word_at(0), 0, FUTEX_BITSET_ALL, deadline) == -ETIMEDOUT);
    CHECK(clock_ns() >= deadline);
    CHECK(futex_wait(word_at(0), 0, FUTEX_BITSET_ALL, 1) == -ETIMEDOUT); /* long ago */
    return 0;
}

static void a_wait_ends_at_its_deadline_and_not_before(void)
{
    world_run(times_out);
}

/* FUTEX_OP(op, oparg, cmp, cmparg). */
static uint32_t op_word(uint32_t op, int arg, uint32_t compare, int compared)
{
    return op << 28 | compare << 24 | ((uint32_t)arg & 0xfff) << 12 | ((uint32_t)compared & 0xfff);
}

static int operates(void *arg)
{
    static const struct {
        uint32_t op;
        int arg;
        uint32_t before, after;
    } cases[] = {
        { 0, -1, 5, UINT32_MAX }, { 1, -3, 5, 2 },      { 2, 8, 5, 13 },        { 3, 4, 5, 1 },
        { 4, 1, 5, 4 },           { 8 | 2, 9, 1, 513 }, { 8 | 0, 31, 1, 1u << 31 },
    };

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        word_set(1, cases[i].before);
        CHECK(futex_wake_op(word_at(0), word_at(1), 1, 1, op_word(cases[i].op, cases[i].arg, 0, 0)) == 0);
        CHECK(word_get(1) == cases[i].after);
    }
    return 0;
}

static void each_operation_changes_the_word_as_it_says(void)
{
    world_run(operates);
}

/* ---- Several threads ---- */

struct sleeper {
    unsigned word;
    uint32_t bitset;
    _Atomic(int) result; /* 1: not back */
    _Atomic(unsigned) place; /* in the order in which they came back */
};

static _Atomic(unsigned) back;

static int sleeper_main(void *arg)
{
    struct sleeper *self = arg;
    int result = futex_wait(word_at(self->word), 0, self->bitset, TIME_NEVER);

    store_relaxed(&self->place, fetch_add_relaxed(&back, 1));
    store_relaxed(&self->result, result);
    return 0;
}

/* It waits, when this returns. */
static struct task *sleep_at(struct sleeper *sleeper, unsigned word, uint32_t bitset, int number)
{
    sleeper->word = word;
    sleeper->bitset = bitset;
    store_relaxed(&sleeper->result, 1);
    struct task *task = world_start(world, sleeper_main, sleeper, number);

    WAIT_FOR(is_blocked(task));
    return task;
}

#define SLEEPERS 6
static struct sleeper sleepers[SLEEPERS];
static struct task *tasks[SLEEPERS];

static void sleep_all(const int numbers[SLEEPERS])
{
    store_relaxed(&back, 0);
    for (unsigned i = 0; i < SLEEPERS; i++)
        tasks[i] = sleep_at(&sleepers[i], 0, 1u << i, numbers[i]);
}

static const int all_normal[SLEEPERS] = { WORLD_NORMAL, WORLD_NORMAL, WORLD_NORMAL,
                                          WORLD_NORMAL, WORLD_NORMAL, WORLD_NORMAL };

static void finish_all_sleepers(void)
{
    for (unsigned i = 0; i < SLEEPERS; i++) {
        CHECK(finish(tasks[i]) == 0);
        CHECK(load_relaxed(&sleepers[i].result) == 0);
    }
}

static int wakes_in_order(void *arg)
{
    static const int numbers[SLEEPERS] = { WORLD_NORMAL, WORLD_RT_LOW, WORLD_NORMAL, WORLD_URGENT, WORLD_RT_LOW,
                                           WORLD_NORMAL };
    static const unsigned order[SLEEPERS] = { 3, 1, 4, 0, 2, 5 };

    (void)arg;
    sleep_all(numbers);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        CHECK(futex_wake(word_at(0), 1, FUTEX_BITSET_ALL) == 1);
        WAIT_FOR(load_relaxed(&back) == i + 1);
        CHECK(load_relaxed(&sleepers[order[i]].place) == i && load_relaxed(&sleepers[order[i]].result) == 0);
    }
    CHECK(futex_wake(word_at(0), 1, FUTEX_BITSET_ALL) == 0);
    finish_all_sleepers();
    return 0;
}

static int wakes_by_bits(void *arg)
{
    (void)arg;
    sleep_all(all_normal);
    CHECK(futex_wake(word_at(0), SLEEPERS, 1u << SLEEPERS) == 0);
    CHECK(futex_wake(word_at(1), SLEEPERS, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_wake(word_at(0), SLEEPERS, 1u << 2 | 1u << 4) == 2);
    WAIT_FOR(load_relaxed(&back) == 2);
    CHECK(load_relaxed(&sleepers[2].result) == 0 && load_relaxed(&sleepers[4].result) == 0);
    CHECK(futex_wake(word_at(0), 0, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_wake(word_at(0), UINT32_MAX, FUTEX_BITSET_ALL) == SLEEPERS - 2);
    finish_all_sleepers();
    return 0;
}

static int requeues(void *arg)
{
    const uint32_t zero = 0;

    (void)arg;
    sleep_all(all_normal);
    CHECK(futex_requeue(word_at(0), word_at(1), 1, 2, &zero) == 3);
    WAIT_FOR(load_relaxed(&back) == 1);
    CHECK(load_relaxed(&sleepers[0].result) == 0);
    CHECK(futex_wake(word_at(1), UINT32_MAX, FUTEX_BITSET_ALL) == 2);
    WAIT_FOR(load_relaxed(&back) == 3);
    CHECK(load_relaxed(&sleepers[1].result) == 0 && load_relaxed(&sleepers[2].result) == 0);
    CHECK(futex_requeue(word_at(0), word_at(0), 0, UINT32_MAX, NULL) == 3); /* to where they are */
    CHECK(futex_requeue(word_at(0), word_at(2), 0, UINT32_MAX, NULL) == 3);
    CHECK(futex_wake(word_at(0), UINT32_MAX, FUTEX_BITSET_ALL) == 0);
    /* the word was 0, which is below 3 */
    CHECK(futex_wake_op(word_at(2), word_at(2), 1, 1, op_word(1, 1, 2, 3)) == 2);
    CHECK(word_get(2) == 1);
    CHECK(futex_wake_op(word_at(0), word_at(2), 1, 1, op_word(1, 1, 0, 3)) == 0);
    CHECK(futex_wake_op(word_at(0), word_at(2), 1, 1, op_word(1, 1, 0, 2)) == 1);
    finish_all_sleepers();
    return 0;
}

static int is_told_of_signals(void *arg)
{
    (void)arg;
    sleep_all(all_normal);
    CHECK(task_notify(tasks[0], TASK_NOTICE_SIGNAL) == 0);
    WAIT_FOR(load_relaxed(&back) == 1);
    CHECK(load_relaxed(&sleepers[0].result) == -ERESTARTSYS);
    CHECK(finish(tasks[0]) == 0);
    CHECK(futex_wake(word_at(0), UINT32_MAX, FUTEX_BITSET_ALL) == SLEEPERS - 1);
    tasks[0] = sleep_at(&sleepers[0], 1, 1, WORLD_NORMAL);
    CHECK(futex_wake(word_at(1), 1, FUTEX_BITSET_ALL) == 1);
    finish_all_sleepers();
    return 0;
}

static void in_a_world(int (*entry)(void *))
{
    world = world_create();
    CHECK(finish(world_start(world, entry, NULL, WORLD_NORMAL)) == 0);
    world_bury(world);
}

static void urgent_ones_are_woken_first(void)
{
    in_a_world(wakes_in_order);
}

static void bits_choose_who_is_woken(void)
{
    in_a_world(wakes_by_bits);
}

static void requeued_ones_wait_elsewhere(void)
{
    in_a_world(requeues);
}

static void signals_end_waits(void)
{
    in_a_world(is_told_of_signals);
}

/* ---- Two spaces ---- */

#define HERE ((vaddr_t)0x20000000)
#define THERE ((vaddr_t)0x30000000)

static void map_shared(struct process *process, struct vm_object *object, vaddr_t va)
{
    vaddr_t at = 0;
    struct space_request request = {
        .at = va, .bytes = PAGE_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_SHARED | SPACE_FIXED,
        .object = object,
    };

    CHECK(space_map(process->space, &request, &at) == 0);
}

static int waits_shared(void *arg)
{
    CHECK(futex_wait((struct futex_word){ .at = (vaddr_t)arg + 12 }, 0, FUTEX_BITSET_ALL, TIME_NEVER) == 0);
    return 0;
}

static int wakes_shared(void *arg)
{
    vaddr_t at = (vaddr_t)arg;

    CHECK(futex_wake((struct futex_word){ .at = at + 12, .is_private = true }, 1, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_wake((struct futex_word){ .at = at + 8 }, 1, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_requeue((struct futex_word){ .at = at + 12 }, (struct futex_word){ .at = at }, 0, 1, NULL) == 1);
    CHECK(futex_wake((struct futex_word){ .at = at + 12 }, 1, FUTEX_BITSET_ALL) == 0);
    CHECK(futex_requeue((struct futex_word){ .at = at }, (struct futex_word){ .at = WORLD_WORDS }, 0, 1, NULL) == 1);
    CHECK(futex_wake((struct futex_word){ .at = WORLD_WORDS, .is_private = true }, 1, FUTEX_BITSET_ALL) == 1);
    return 0;
}

static void spaces_meet_at_a_shared_word(void)
{
    struct process *here = world_create(), *there = world_create();
    struct vm_object *object = NULL;

    CHECK(vm_object_create(PAGE_BYTES, &object) == 0);
    map_shared(here, object, HERE);
    map_shared(there, object, THERE);
    vm_object_put(object);
    struct task *waiter = world_start(here, waits_shared, (void *)HERE, WORLD_NORMAL);

    WAIT_FOR(is_blocked(waiter));
    CHECK(finish(world_start(there, wakes_shared, (void *)THERE, WORLD_NORMAL)) == 0);
    CHECK(finish(waiter) == 0);
    world_bury(here);
    world_bury(there);
}

/* ---- Everything at once: a wake is one wait that returns 0 ---- */

#define CROWD 6
#define CROWD_WAITS 30
#define CROWD_WORDS 3

static struct {
    _Atomic(uint64_t) returned; /* waits that were woken */
    _Atomic(uint64_t) woken;    /* what wakes said */
    _Atomic(unsigned) running;
    struct task *task[CROWD];
} crowd;

static int crowd_main(void *arg)
{
    uint64_t state = booted_seed() * 1000 + (uintptr_t)arg + 1;

    for (unsigned i = 0; i < CROWD_WAITS; i++) {
        uint64_t chance = random_next(&state);
        uint64_t deadline = chance % 3 == 0 ? TIME_NEVER : clock_ns() + chance / 3 % 20 * NS_PER_US;
        int result = futex_wait(word_at(chance / 64 % CROWD_WORDS), 0, FUTEX_BITSET_ALL, deadline);

        if (task_is_killed()) {
            (void)fetch_add_relaxed(&crowd.returned, result == 0);
            break;
        }
        if (result == 0)
            (void)fetch_add_relaxed(&crowd.returned, 1);
        else
            CHECK(result == -ETIMEDOUT || result == -ERESTARTSYS || result == -EINTR);
        task_notice_clear(TASK_NOTICE_SIGNAL);
    }
    (void)fetch_sub_relaxed(&crowd.running, 1);
    return 0;
}

static void disturb(uint64_t *state)
{
    uint64_t chance = random_next(state);
    unsigned word = chance / 8 % CROWD_WORDS, other = chance / 32 % CROWD_WORDS;
    struct task *task = crowd.task[chance / 128 % CROWD];
    int64_t woken = 0;

    switch (chance % 8) {
    case 0:
    case 1:
        woken = futex_wake(word_at(word), 1, FUTEX_BITSET_ALL);
        break;
    case 2:
        woken = futex_wake(word_at(word), UINT32_MAX, FUTEX_BITSET_ALL);
        break;
    case 3: /* nobody woken: only moved */
        CHECK(futex_requeue(word_at(word), word_at(other), 0, 1 + chance / 1024 % 3, NULL) >= 0);
        break;
    case 4:
        woken = futex_wake_op(word_at(word), word_at(CROWD_WORDS), 1, 1, op_word(1, 1, 0, 0));
        break;
    case 5:
        if (chance / 4096 % 16 == 0)
            (void)!task_kill(task);
        break;
    default:
        (void)!task_notify(task, TASK_NOTICE_SIGNAL);
        break;
    }
    CHECK(woken >= 0);
    (void)fetch_add_relaxed(&crowd.woken, (uint64_t)woken);
}

static unsigned crowd_left(void)
{
    unsigned left = 0;

    for (unsigned i = 0; i < CROWD; i++) {
        struct task_snapshot snapshot;

        task_get_snapshot(crowd.task[i], &snapshot);
        left += snapshot.state != TASK_DEAD;
    }
    return left;
}

static int crowd_disturber(void *arg)
{
    uint64_t state = booted_seed() * 77 + 5;

    (void)arg;
    store_relaxed(&crowd.returned, 0);
    store_relaxed(&crowd.woken, 0);
    for (uintptr_t i = 0; i < CROWD; i++)
        crowd.task[i] = world_start(world, crowd_main, (void *)i, i == 0 ? WORLD_URGENT : WORLD_NORMAL);
    while (crowd_left() > 0) {
        disturb(&state);
        if (random_next(&state) % 4 == 0)
            CHECK(task_sleep_for(NS_PER_US) == 0);
    }
    for (unsigned i = 0; i < CROWD; i++)
        (void)finish(crowd.task[i]);
    CHECK(load_relaxed(&crowd.returned) == load_relaxed(&crowd.woken));
    for (unsigned i = 0; i < CROWD_WORDS; i++)
        CHECK(futex_wake(word_at(i), UINT32_MAX, FUTEX_BITSET_ALL) == 0);
    return 0;
}

static void every_wake_is_one_wait(void)
{
    in_a_world(crowd_disturber);
}

/* ---- A lock as libraries build it: 0 free, 1 held, 2 held and waited for ---- */

#define LOCKERS 4
#define LOCK_ROUNDS 25

static uint32_t exchange(unsigned word, uint32_t value)
{
    uint32_t seen = word_get(word), before;

    do {
        before = seen;
        CHECK(user_cas32(word_at(word).at, &seen, value) == 0);
    } while (seen != before);
    return before;
}

static int locker_main(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < LOCK_ROUNDS; i++) {
        uint32_t seen = 0;

        CHECK(user_cas32(word_at(0).at, &seen, 1) == 0);
        while (seen != 0) {
            if (exchange(0, 2) == 0)
                break;
            int result = futex_wait(word_at(0), 2, FUTEX_BITSET_ALL, TIME_NEVER);

            CHECK(result == 0 || result == -EAGAIN);
        }
        word_set(1, word_get(1) + 1);
        if (exchange(0, 0) == 2)
            CHECK(futex_wake(word_at(0), 1, FUTEX_BITSET_ALL) >= 0);
    }
    return 0;
}

static int lockers(void *arg)
{
    struct task *locker[LOCKERS];

    (void)arg;
    for (unsigned i = 0; i < LOCKERS; i++)
        locker[i] = world_start(world, locker_main, NULL, WORLD_NORMAL);
    for (unsigned i = 0; i < LOCKERS; i++)
        CHECK(finish(locker[i]) == 0);
    CHECK(word_get(1) == LOCKERS * LOCK_ROUNDS && word_get(0) == 0);
    return 0;
}

static void a_lock_made_of_futexes_loses_nobody(void)
{
    in_a_world(lockers);
}

const struct kernel_test booted_tests[] = {
    { "errors", damaged_calls_are_refused },
    { "timeout", a_wait_ends_at_its_deadline_and_not_before },
    { "operations", each_operation_changes_the_word_as_it_says },
    { "order", urgent_ones_are_woken_first },
    { "bits", bits_choose_who_is_woken },
    { "requeue", requeued_ones_wait_elsewhere },
    { "signals", signals_end_waits },
    { "shared", spaces_meet_at_a_shared_word },
    { "crowd", every_wake_is_one_wait },
    { "lock", a_lock_made_of_futexes_loses_nobody },
    { NULL, NULL },
};

static void what_each_operation_does(void **state)
{
    static const char *const names[] = { "errors", "timeout", "operations", "order", "bits", "requeue", "signals",
                                         "shared" };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++)
        booted_run(names[i], 8);
}

static void as_many_waits_are_woken_as_wakes_say(void **state)
{
    (void)state;
    booted_run("crowd", 48);
}

static void a_library_lock_excludes_and_loses_nobody(void **state)
{
    (void)state;
    booted_run("lock", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_each_operation_does),
        cmocka_unit_test(as_many_waits_are_woken_as_wakes_say),
        cmocka_unit_test(a_library_lock_excludes_and_loses_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
