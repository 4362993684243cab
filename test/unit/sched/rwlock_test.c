/* SPDX-License-Identifier: MIT */
/* core/sched/rwlock.c: who may be inside with whom, the turns of readers and writers, what giving up leaves behind. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <sched/rwlock.h>
#include <time/clock.h>

#define TASKS 6
#define ROUNDS 15

static struct rwlock rwlock = RWLOCK_INIT(rwlock);
static _Atomic(int) readers;
static _Atomic(int) writers;
static unsigned value, copy; /* guarded by rwlock */

/* What a task of the stories below does: come, say so, stay until it is told to go. */
struct visitor {
    bool is_writer;
    uint64_t deadline_ns;
    struct task *task;
    _Atomic(bool) is_inside;
    _Atomic(bool) may_go;
};

static int visit(void *arg)
{
    struct visitor *self = arg;
    int result = self->is_writer ? rwlock_write_lock_until(&rwlock, self->deadline_ns, WAIT_KILLABLE)
                                 : rwlock_read_lock_until(&rwlock, self->deadline_ns, WAIT_KILLABLE);

    if (result != 0)
        return -result;
    CHECK(current_task()->mutexes_held == 1);
    store_relaxed(&self->is_inside, true);
    while (!load_relaxed(&self->may_go))
        (void)task_sleep_for(2000);
    store_relaxed(&self->is_inside, false);
    if (self->is_writer)
        rwlock_write_unlock(&rwlock);
    else
        rwlock_read_unlock(&rwlock);
    return 0;
}

static void come(struct visitor *visitor, bool is_writer, uint64_t deadline_ns)
{
    *visitor = (struct visitor){ .is_writer = is_writer, .deadline_ns = deadline_ns };
    visitor->task = spawn(is_writer ? "writer" : "reader", visit, visitor, PRIORITY_DEFAULT, NULL);
}

static void come_in(struct visitor *visitor, bool is_writer)
{
    come(visitor, is_writer, TIME_NEVER);
    WAIT_FOR(load_relaxed(&visitor->is_inside));
}

static void come_and_wait(struct visitor *visitor, bool is_writer)
{
    come(visitor, is_writer, TIME_NEVER);
    WAIT_FOR(is_blocked(visitor->task));
    CHECK(!load_relaxed(&visitor->is_inside));
}

static void go(struct visitor *visitor)
{
    store_relaxed(&visitor->may_go, true);
    CHECK(finish(visitor->task) == 0);
}

static void alone(void)
{
    rwlock_read_lock(&rwlock);
    CHECK(rwlock_try_read_lock(&rwlock) && !rwlock_try_write_lock(&rwlock));
    CHECK(rwlock_write_lock_until(&rwlock, 0, WAIT_KILLABLE) == -ETIMEDOUT);
    CHECK(rwlock_try_read_lock(&rwlock)); /* nobody waits any more */
    for (unsigned i = 0; i < 3; i++)
        rwlock_read_unlock(&rwlock);
    rwlock_write_lock(&rwlock);
    CHECK(!rwlock_try_read_lock(&rwlock) && !rwlock_try_write_lock(&rwlock));
    CHECK(rwlock_read_lock_until(&rwlock, clock_ns() + 2000, WAIT_KILLABLE) == -ETIMEDOUT);
    rwlock_write_unlock(&rwlock);
    CHECK(rwlock_try_write_lock(&rwlock));
    rwlock_write_unlock(&rwlock);
    CHECK(rwlock.holders == 0 && current_task()->mutexes_held == 0);
}

/* Readers cannot keep a writer out, nor writers a reader: after each phase it is the others' turn. */
static void turns(void)
{
    static struct visitor r1, r2, r3, w1, w2;

    come_in(&r1, false);
    come_and_wait(&w1, true);
    come_and_wait(&r2, false); /* behind the writer that waits, though readers are inside */
    CHECK(!rwlock_try_read_lock(&rwlock));
    come_and_wait(&w2, true);
    come_and_wait(&r3, false);
    go(&r1);
    WAIT_FOR(load_relaxed(&w1.is_inside));
    CHECK(is_blocked(r2.task) && is_blocked(r3.task) && is_blocked(w2.task));
    go(&w1);
    WAIT_FOR(load_relaxed(&r2.is_inside) && load_relaxed(&r3.is_inside)); /* both, the later one before the writer */
    CHECK(is_blocked(w2.task));
    go(&r2);
    CHECK(is_blocked(w2.task));
    go(&r3);
    WAIT_FOR(load_relaxed(&w2.is_inside));
    go(&w2);
    CHECK(rwlock.holders == 0);
}

/* A reader waits behind a writer that gives up while another reader is inside: it comes in. */
static void writer_gives_up(void)
{
    static struct visitor r1, r2, w;

    come_in(&r1, false);
    come_and_wait(&w, true);
    come_and_wait(&r2, false);
    CHECK(task_kill(w.task) == 0);
    CHECK(finish(w.task) == EINTR);
    WAIT_FOR(load_relaxed(&r2.is_inside));
    come(&w, true, clock_ns() + 30 * NS_PER_US);
    CHECK(finish(w.task) == ETIMEDOUT);
    go(&r1);
    go(&r2);
    CHECK(rwlock_try_write_lock(&rwlock));
    rwlock_write_unlock(&rwlock);
}

static void inside_as(bool is_writer, uint64_t stay_ns)
{
    int others = is_writer ? fetch_add_relaxed(&writers, 1) : fetch_add_relaxed(&readers, 1);

    CHECK(load_relaxed(&writers) == is_writer);
    if (is_writer) {
        CHECK(others == 0 && load_relaxed(&readers) == 0);
        value++;
    } else {
        CHECK(value == copy);
    }
    if (!task_is_killed())
        (void)task_sleep_for(stay_ns);
    if (is_writer)
        copy = value;
    (void)(is_writer ? fetch_sub_relaxed(&writers, 1) : fetch_sub_relaxed(&readers, 1));
}

static int come_often(void *arg)
{
    uint64_t random = booted_seed() * TASKS + (uintptr_t)arg + 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        bool is_writer = random_next(&random) % 3 == 0;
        uint64_t deadline = random_next(&random) % 2 == 0 ? TIME_NEVER : clock_ns() + random_next(&random) % 6000;
        int result = is_writer ? rwlock_write_lock_until(&rwlock, deadline, WAIT_KILLABLE)
                               : rwlock_read_lock_until(&rwlock, deadline, WAIT_KILLABLE);

        if (result != 0)
            continue;
        inside_as(is_writer, random_next(&random) % 2000);
        if (is_writer)
            rwlock_write_unlock(&rwlock);
        else
            rwlock_read_unlock(&rwlock);
    }
    return 0;
}

static void crowd(void)
{
    struct task *task[TASKS];

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("crowd", come_often, (void *)i, 10 + 10 * (int)i, NULL);
    (void)task_sleep_for(10 * NS_PER_US);
    int killed = task_kill(task[3]);

    CHECK(killed == 0 || killed == -ESRCH);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(rwlock.holders == 0 && list_is_empty(&rwlock.writers) && list_is_empty(&rwlock.readers.waiters));
}

static _Atomic(bool) is_done;

/* Two of them overlap, so that there is a reader inside at every moment. */
static int read_all_the_time(void *arg)
{
    (void)arg;
    while (!load_relaxed(&is_done)) {
        rwlock_read_lock(&rwlock);
        (void)task_sleep_for(3000);
        rwlock_read_unlock(&rwlock);
    }
    return 0;
}

static int write_all_the_time(void *arg)
{
    (void)arg;
    while (!load_relaxed(&is_done)) {
        rwlock_write_lock(&rwlock);
        (void)task_sleep_for(1000);
        rwlock_write_unlock(&rwlock);
    }
    return 0;
}

/* Who would starve never ends the story. */
static void nobody_starves(void)
{
    struct task *task[TASKS];

    for (unsigned i = 0; i < TASKS; i++)
        task[i] = spawn("storm", i % 2 == 0 ? read_all_the_time : write_all_the_time, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        rwlock_write_lock(&rwlock);
        rwlock_write_unlock(&rwlock);
        rwlock_read_lock(&rwlock);
        rwlock_read_unlock(&rwlock);
    }
    store_relaxed(&is_done, true);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
}

static void unlock_free(void)
{
    rwlock_read_unlock(&rwlock);
}

static void unlock_other(void)
{
    rwlock_read_lock(&rwlock);
    rwlock_write_unlock(&rwlock);
}

static void exit_holding(void)
{
    rwlock_read_lock(&rwlock);
    task_exit(0);
}

const struct kernel_test booted_tests[] = {
    { "alone", alone },       { "turns", turns },         { "gives-up", writer_gives_up }, { "crowd", crowd },
    { "starve", nobody_starves }, { "unlock-free", unlock_free }, { "unlock-other", unlock_other },
    { "exit-holding", exit_holding }, { NULL, NULL },
};

static void readers_share_and_a_writer_is_alone(void **state)
{
    (void)state;
    booted_run("alone", 8);
}

static void readers_and_writers_take_turns(void **state)
{
    (void)state;
    booted_run("turns", 80);
}

static void a_writer_that_gives_up_lets_the_readers_in(void **state)
{
    (void)state;
    booted_run("gives-up", 80);
}

static void deadlines_and_kills_lose_nobody(void **state)
{
    (void)state;
    booted_run("crowd", 200);
}

static void neither_kind_starves_the_other(void **state)
{
    (void)state;
    booted_run("starve", 60);
}

static void wrong_releases_panic(void **state)
{
    (void)state;
    booted_panics(2, "unlock-free", "but no reader holds it", 3);
    booted_panics(2, "unlock-other", "but no writer holds it", 3);
    booted_panics(2, "exit-holding", "exits while it holds 1 mutexes", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_share_and_a_writer_is_alone),
        cmocka_unit_test(readers_and_writers_take_turns),
        cmocka_unit_test(a_writer_that_gives_up_lets_the_readers_in),
        cmocka_unit_test(deadlines_and_kills_lose_nobody),
        cmocka_unit_test(neither_kind_starves_the_other),
        cmocka_unit_test(wrong_releases_panic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
