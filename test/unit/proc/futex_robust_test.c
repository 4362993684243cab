/* SPDX-License-Identifier: MIT */
/* core/proc/futex_robust.c: a thread that ends leaves no lock behind that nobody could take, and damage harms nobody.
 * */
#include "futex_world.h"

#define HEAD (WORLD_WORDS + 1024) /* list head, then entries of two words of 8 bytes: link, lock */
#define ENTRY(i) (HEAD + 64 + 16 * (i))
#define LOCK_WORD(i) ((ENTRY(i) + 8 - WORLD_WORDS) / sizeof(uint32_t))

static struct process *world;

static void store64(vaddr_t at, uint64_t value)
{
    CHECK(user_copy_out(at, &value, sizeof value) == 0);
}

static void make_head(uint64_t first, uint64_t pending)
{
    store64(HEAD, first);
    store64(HEAD + 8, 8); /* from an entry to its lock */
    store64(HEAD + 16, pending);
    futex_set_robust_list(HEAD);
}

struct plan {
    uint64_t first, pending;
    void (*fill)(uint32_t tid);
};

static int dies(void *arg)
{
    const struct plan *plan = arg;

    plan->fill((uint32_t)current_task()->tid);
    make_head(plan->first, plan->pending);
    vaddr_t head = 0;

    CHECK(futex_get_robust_list(0, &head) == 0 && head == HEAD);
    CHECK(futex_get_robust_list(current_task()->tid, &head) == 0 && head == HEAD);
    CHECK(futex_get_robust_list(TID_MAX - 1, &head) == -ESRCH);
    return 0;
}

static void run_plan(const struct plan *plan)
{
    CHECK(finish(world_start(world, dies, (void *)plan, WORLD_NORMAL)) == 0);
}

/* Three locks: its own with waiters, its own without, somebody else's. */
static void three_locks(uint32_t tid)
{
    store64(ENTRY(0), ENTRY(1));
    store64(ENTRY(1), ENTRY(2));
    store64(ENTRY(2), HEAD);
    word_set(LOCK_WORD(0), tid | FUTEX_WAITERS);
    word_set(LOCK_WORD(1), tid);
    word_set(LOCK_WORD(2), tid + 1);
}

static int waits_for_the_lock(void *arg)
{
    (void)arg;
    return futex_wait((struct futex_word){ .at = WORLD_WORDS + 4 * LOCK_WORD(0) }, 0, FUTEX_BITSET_ALL, TIME_NEVER);
}

static int marks(void *arg)
{
    const struct plan plan = { ENTRY(0), 0, three_locks };
    struct task *waiter = world_start(world, waits_for_the_lock, NULL, WORLD_NORMAL);

    (void)arg;
    WAIT_FOR(is_blocked(waiter));
    run_plan(&plan);
    CHECK(finish(waiter) == 0);
    CHECK(word_get(LOCK_WORD(0)) == (FUTEX_WAITERS | FUTEX_OWNER_DIED));
    CHECK(word_get(LOCK_WORD(1)) == FUTEX_OWNER_DIED);
    CHECK((word_get(LOCK_WORD(2)) & FUTEX_OWNER_DIED) == 0);
    return 0;
}

static void one_lock(uint32_t tid)
{
    store64(ENTRY(0), ENTRY(0)); /* a circle that never comes to the head */
    word_set(LOCK_WORD(0), tid);
}

static void pending_lock(uint32_t tid)
{
    store64(ENTRY(0), HEAD);
    word_set(LOCK_WORD(0), tid);
    word_set(LOCK_WORD(3), tid);
}

static void wild(uint32_t tid)
{
    store64(ENTRY(0), HAL_USER_END + 8);
    word_set(LOCK_WORD(0), tid);
}

/* It had unlocked and had not woken anybody yet. */
static void unlocked_pending(uint32_t tid)
{
    (void)tid;
    word_set(LOCK_WORD(0), 0);
}

static int survives(void *arg)
{
    const struct plan plans[] = {
        { ENTRY(0), 0, one_lock },
        { HAL_USER_END, HAL_USER_END, one_lock },
        { WORLD_WORDS + 16 * PAGE_BYTES, 1, one_lock },
        { ENTRY(0), 0, wild },
        { UINT64_MAX, UINT64_MAX, one_lock },
        { ENTRY(0) + 2, ENTRY(0) + 3, one_lock },
    };

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(plans); i++) {
        run_plan(&plans[i]);
        if (plans[i].first == ENTRY(0))
            CHECK(word_get(LOCK_WORD(0)) == FUTEX_OWNER_DIED);
    }
    return 0;
}

static int pending(void *arg)
{
    const struct plan plan = { ENTRY(0), ENTRY(3), pending_lock }, unlocked = { HEAD, ENTRY(0), unlocked_pending };

    (void)arg;
    run_plan(&plan);
    CHECK(word_get(LOCK_WORD(0)) == FUTEX_OWNER_DIED && word_get(LOCK_WORD(3)) == FUTEX_OWNER_DIED);
    word_set(LOCK_WORD(0), 0);
    struct task *waiter = world_start(world, waits_for_the_lock, NULL, WORLD_NORMAL);

    WAIT_FOR(is_blocked(waiter));
    run_plan(&unlocked);
    CHECK(finish(waiter) == 0);
    return 0;
}

static int waits_for_the_end(void *arg)
{
    (void)arg;
    int result = futex_wait((struct futex_word){ .at = WORLD_WORDS }, 7, FUTEX_BITSET_ALL, TIME_NEVER);

    CHECK(word_get(0) == 0);
    return result;
}

static int clears(void *arg)
{
    struct thread_futex futex = { 0 };

    (void)arg;
    word_set(0, 7);
    struct task *waiter = world_start(world, waits_for_the_end, NULL, WORLD_NORMAL);

    WAIT_FOR(is_blocked(waiter));
    futex_thread_exit(&futex, current_task()->tid, WORLD_WORDS);
    CHECK(finish(waiter) == 0);
    futex_thread_exit(&futex, current_task()->tid, HAL_USER_END - 2);
    futex_thread_exit(&futex, current_task()->tid, WORLD_WORDS + 16 * PAGE_BYTES);
    return 0;
}

static void in_a_world(int (*entry)(void *))
{
    world = world_create();
    CHECK(finish(world_start(world, entry, NULL, WORLD_NORMAL)) == 0);
    world_bury(world);
}

static void locks_of_the_dead_are_marked(void)
{
    in_a_world(marks);
}

static void damaged_lists_end(void)
{
    in_a_world(survives);
}

static void a_pending_lock_is_looked_at(void)
{
    in_a_world(pending);
}

static void the_word_of_the_dead_is_cleared(void)
{
    in_a_world(clears);
}

const struct kernel_test booted_tests[] = {
    { "marks", locks_of_the_dead_are_marked },
    { "damage", damaged_lists_end },
    { "pending", a_pending_lock_is_looked_at },
    { "clear", the_word_of_the_dead_is_cleared },
    { NULL, NULL },
};

static void a_dead_owner_is_seen_and_one_waiter_woken(void **state)
{
    (void)state;
    booted_run("marks", 8);
    booted_run("pending", 8);
}

static void a_damaged_list_harms_nobody(void **state)
{
    (void)state;
    booted_run("damage", 8);
}

static void who_waits_for_a_threads_end_is_woken(void **state)
{
    (void)state;
    booted_run("clear", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_owner_is_seen_and_one_waiter_woken),
        cmocka_unit_test(a_damaged_list_harms_nobody),
        cmocka_unit_test(who_waits_for_a_threads_end_is_woken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
