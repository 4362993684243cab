/* SPDX-License-Identifier: MIT */
/* core/fs/flock.c: who excludes whom, who waits, and what a close gives back. */
#include "fs_test.h"

#include <fs/flock.h>
#include <k/atomic.h>

static struct fs_user user;

static struct file *opened(const char *path)
{
    struct file *file = NULL;

    CHECK(path_open(&user.place, path, O_RDONLY, 0, &file) == 0);
    return file;
}

static void begin(void)
{
    user = fs_user_create(0);
    CHECK(make_file(&user.place, "/one", "") == 0 && make_file(&user.place, "/two", "") == 0);
}

static void end(void)
{
    CHECK(path_unlink(&user.place, "/one") == 0 && path_unlink(&user.place, "/two") == 0);
    fs_user_destroy(&user);
}

static void kinds(void)
{
    begin();
    struct file *a = opened("/one"), *b = opened("/one"), *c = opened("/two");

    CHECK(flock_set(a, FLOCK_SHARED, false) == 0 && flock_set(b, FLOCK_SHARED, false) == 0);
    CHECK(flock_set(a, FLOCK_EXCLUSIVE, false) == -EAGAIN); /* and what it had is gone */
    CHECK(flock_set(b, FLOCK_EXCLUSIVE, false) == 0 && flock_set(a, FLOCK_SHARED, false) == -EAGAIN);
    CHECK(flock_set(b, FLOCK_EXCLUSIVE, true) == 0); /* it has it */
    CHECK(flock_set(c, FLOCK_EXCLUSIVE, false) == 0); /* another file */
    CHECK(flock_set(b, FLOCK_SHARED, false) == 0 && flock_set(a, FLOCK_SHARED, false) == 0);
    CHECK(flock_set(a, FLOCK_NONE, false) == 0 && flock_set(a, FLOCK_NONE, false) == 0);
    CHECK(flock_set(a, FLOCK_EXCLUSIVE, false) == -EAGAIN);
    file_get(b);
    file_put(b); /* not the last one */
    CHECK(flock_set(a, FLOCK_EXCLUSIVE, false) == -EAGAIN);
    file_put(b);
    CHECK(flock_set(a, FLOCK_EXCLUSIVE, false) == 0);
    file_put(a);
    file_put(c);
    end();
}

/* ---- Many tasks, one file: an exclusive one is alone, shared ones are with each other. ---- */

static _Atomic(uint32_t) shared, exclusive, turns;

static int lock_and_unlock(void *arg)
{
    struct file *file = opened("/one");
    bool is_exclusive = (uintptr_t)arg % 2 == 0;
    _Atomic(uint32_t) *mine = is_exclusive ? &exclusive : &shared;

    for (unsigned i = 0; i < 20; i++) {
        CHECK(flock_set(file, is_exclusive ? FLOCK_EXCLUSIVE : FLOCK_SHARED, true) == 0);
        uint32_t beside = fetch_add_acq_rel(mine, 1);

        if (is_exclusive)
            CHECK(beside == 0 && load_relaxed(&shared) == 0);
        else
            CHECK(load_relaxed(&exclusive) == 0);
        task_yield();
        (void)fetch_sub_acq_rel(mine, 1);
        (void)fetch_add_relaxed(&turns, 1);
        if (i % 3 != 0)
            CHECK(flock_set(file, FLOCK_NONE, true) == 0);
        if (i % 5 == 0) { /* the close unlocks */
            file_put(file);
            file = opened("/one");
        }
    }
    file_put(file);
    return 0;
}

static void race(void)
{
    struct task *task[4];

    begin();
    for (uintptr_t i = 0; i < 4; i++)
        task[i] = spawn("locker", lock_and_unlock, (void *)i, 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&turns) == 80);
    end();
}

const struct kernel_test booted_tests[] = {{"kinds", kinds}, {"race", race}, {NULL, NULL}};

BOOTED(an_exclusive_lock_is_alone, "kinds", 2)
BOOTED(who_waits_gets_its_turn, "race", 32)

FS_TEST_MAIN(cmocka_unit_test(an_exclusive_lock_is_alone), cmocka_unit_test(who_waits_gets_its_turn))
