/* SPDX-License-Identifier: MIT */
/* core/fs/record_lock.c: whose bytes are whose, how locks are cut and grow together, who waits, and what a close gives
 * back. */
#include "fs_test.h"

#include <fs/fd.h>
#include <fs/record_lock.h>
#include <k/atomic.h>

static struct fs_user user;
static struct inode *inode;
static int owner[4]; /* addresses are all that counts */

static void begin(void)
{
    struct name *name = NULL;

    user = fs_user_create(0);
    CHECK(make_file(&user.place, "/one", "") == 0 && path_lookup(&user.place, "/one", 0, &name) == 0);
    inode = name->inode;
    inode_get(inode);
    name_put(name);
}

static void end(void)
{
    CHECK(load_relaxed(&inode->record_locks) == 0);
    inode_put(inode);
    CHECK(path_unlink(&user.place, "/one") == 0);
    fs_user_destroy(&user);
}

static struct record_lock_request request_of(unsigned who, enum record_lock_kind kind, uint64_t first, uint64_t last)
{
    return (struct record_lock_request){.owner = &owner[who], .kind = kind, .first = first, .last = last, .pid = who};
}

static int set(unsigned who, enum record_lock_kind kind, uint64_t first, uint64_t last)
{
    struct record_lock_request request = request_of(who, kind, first, last);

    return record_lock_set(inode, &request, false);
}

static int wait_for(unsigned who, enum record_lock_kind kind, uint64_t first, uint64_t last)
{
    struct record_lock_request request = request_of(who, kind, first, last);

    return record_lock_set(inode, &request, true);
}

/* Who is in the way of an exclusive lock of the last owner on the byte: its number and kind, or -1. */
static int at(uint64_t byte, enum record_lock_kind kind, uint64_t first, uint64_t last)
{
    struct record_lock_request request = request_of(3, RECORD_EXCLUSIVE, byte, byte);

    record_lock_find(inode, &request);
    if (request.kind == RECORD_NONE)
        return -1;
    return request.kind == kind && request.first == first && request.last == last ? (int)request.pid : -2;
}

static uint32_t count(void)
{
    return load_relaxed(&inode->record_locks);
}

static void ranges(void)
{
    begin();
    CHECK(set(0, RECORD_EXCLUSIVE, 10, 19) == 0 && set(1, RECORD_EXCLUSIVE, 20, 29) == 0);
    CHECK(set(1, RECORD_SHARED, 19, 19) == -EAGAIN && set(1, RECORD_SHARED, 9, 9) == 0);
    CHECK(set(0, RECORD_SHARED, 9, 12) == 0); /* shared with the other on 9, no longer exclusive on 10 to 12 */
    CHECK(at(10, RECORD_SHARED, 9, 12) == 0 && at(13, RECORD_EXCLUSIVE, 13, 19) == 0 && count() == 4);
    CHECK(set(0, RECORD_EXCLUSIVE, 10, 12) == 0); /* grows together with its neighbour */
    CHECK(at(11, RECORD_EXCLUSIVE, 10, 19) == 0);
    CHECK(set(0, RECORD_EXCLUSIVE, 9, 9) == -EAGAIN); /* the other one reads there */
    CHECK(set(1, RECORD_NONE, 0, 15) == 0 && set(0, RECORD_EXCLUSIVE, 9, 9) == 0);
    CHECK(at(9, RECORD_EXCLUSIVE, 9, 19) == 0 && count() == 2);
    CHECK(set(0, RECORD_NONE, 12, 13) == 0); /* in two */
    CHECK(at(11, RECORD_EXCLUSIVE, 9, 11) == 0 && at(12, RECORD_NONE, 0, 0) == -1 && count() == 3);
    CHECK(at(14, RECORD_EXCLUSIVE, 14, 19) == 0);
    CHECK(set(0, RECORD_SHARED, 10, 10) == 0 && count() == 5); /* in three */
    CHECK(set(2, RECORD_EXCLUSIVE, 30, RECORD_LOCK_END) == 0);
    CHECK(set(0, RECORD_SHARED, UINT64_C(1) << 40, UINT64_C(1) << 40) == -EAGAIN);
    record_lock_drop(inode, &owner[0]);
    CHECK(count() == 2 && set(1, RECORD_EXCLUSIVE, 0, 19) == 0 && at(0, RECORD_EXCLUSIVE, 0, 29) == 1);
    CHECK(set(1, RECORD_NONE, 0, RECORD_LOCK_END) == 0 && set(2, RECORD_NONE, 0, RECORD_LOCK_END) == 0);
    end();
}

/* A change that has no memory changes nothing; giving all back needs none. */
static void memory(void)
{
    begin();
    CHECK(set(0, RECORD_EXCLUSIVE, 10, 19) == 0);
    for (unsigned n = 1; n <= 2; n++) {
        mm_fail_at(n);
        CHECK(set(0, RECORD_SHARED, 12, 13) == -ENOLCK);
        mm_fail_at(0);
        CHECK(at(12, RECORD_EXCLUSIVE, 10, 19) == 0 && count() == 1);
    }
    mm_fail_at(1);
    CHECK(set(0, RECORD_NONE, 0, RECORD_LOCK_END) == 0);
    mm_fail_at(0);
    end();
}

/* A descriptor that goes gives back what its table has, whichever of the file's it is; an open file that goes what it
 * has. */
static void closes(void)
{
    struct fd_table *table;
    struct file *file[2];

    begin();
    CHECK(fd_table_create(&table) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(path_open(&user.place, "/one", O_RDWR, 0, &file[i]) == 0);
        CHECK(fd_add(table, file[i], 0, 8, i == 1) == i);
    }
    struct record_lock_request of_table = {.owner = table, .kind = RECORD_SHARED, .last = 5};
    struct record_lock_request of_file = {
        .owner = file[0], .is_of_file = true, .kind = RECORD_SHARED, .first = 3, .last = 7};

    CHECK(record_lock_set(inode, &of_table, false) == 0 && record_lock_set(inode, &of_file, false) == 0);
    CHECK(fd_dup_to(table, 0, 2, 8, false) == 2 && count() == 2);
    CHECK(fd_close(table, 2) == 0 && count() == 1); /* the table's is gone, the file's is not */
    CHECK(record_lock_set(inode, &of_table, false) == 0 && fd_dup_to(table, 0, 1, 8, true) == 1 && count() == 1);
    CHECK(record_lock_set(inode, &of_table, false) == 0);
    fd_close_on_exec(table);
    CHECK(count() == 1);
    CHECK(record_lock_set(inode, &of_table, false) == 0 && count() == 2);
    fd_table_put(table);
    CHECK(count() == 0);
    end();
}

/* ---- Circles ---- */

static _Atomic(int) refused;

static int takes_two(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg, next = (self + 1) % 3;

    for (unsigned i = 0; i < 10; i++) {
        CHECK(wait_for(self, RECORD_EXCLUSIVE, self, self) == 0); /* it has none: it is in no circle */
        int error = wait_for(self, RECORD_EXCLUSIVE, next, next);

        if (error == -EDEADLK)
            (void)fetch_add_relaxed(&refused, 1);
        else
            CHECK(error == 0);
        record_lock_drop(inode, &owner[self]);
    }
    return 0;
}

/* Three that wait for each other in a circle: one is refused, or they would never end. */
static void circles(void)
{
    struct task *task[3];

    begin();
    for (uintptr_t i = 0; i < 3; i++)
        task[i] = spawn("locker", takes_two, (void *)i, 60, NULL);
    for (unsigned i = 0; i < 3; i++)
        CHECK(finish(task[i]) == 0);
    end();
}

static int takes_second(void *arg)
{
    CHECK(wait_for(1, RECORD_EXCLUSIVE, 0, 0) == 0);
    *(int *)arg = 1;
    record_lock_drop(inode, &owner[1]);
    return 0;
}

/* Two owners, without a race. What waits for an open file is no circle that anybody looks for. */
static void pair(void)
{
    int is_done = 0;

    begin();
    CHECK(set(0, RECORD_EXCLUSIVE, 0, 0) == 0 && set(1, RECORD_EXCLUSIVE, 1, 1) == 0);
    struct task *task = spawn("locker", takes_second, &is_done, 60, NULL);

    while (!is_blocked(task))
        task_yield();
    CHECK(is_done == 0 && wait_for(0, RECORD_SHARED, 1, 1) == -EDEADLK);
    struct record_lock_request of_file = {
        .owner = &owner[0], .is_of_file = true, .kind = RECORD_SHARED, .first = 1, .last = 1};

    CHECK(record_lock_set(inode, &of_file, false) == -EAGAIN);
    record_lock_drop(inode, &owner[0]);
    CHECK(finish(task) == 0 && is_done == 1);
    end();
}

/* ---- Many tasks, few bytes ---- */

static _Atomic(uint32_t) readers[4], writers[4];

static int lock_and_unlock(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < 20; i++) {
        unsigned byte = (self + i) % 4;
        bool is_writer = (self + i) % 3 == 0;

        CHECK(wait_for(self, is_writer ? RECORD_EXCLUSIVE : RECORD_SHARED, byte, byte) == 0);
        CHECK(fetch_add_acq_rel(is_writer ? &writers[byte] : &readers[byte], 1) == 0 || !is_writer);
        CHECK(load_relaxed(is_writer ? &readers[byte] : &writers[byte]) == 0);
        task_yield();
        (void)fetch_sub_acq_rel(is_writer ? &writers[byte] : &readers[byte], 1);
        if (i % 2 == 0)
            record_lock_drop(inode, &owner[self]);
        else
            CHECK(set(self, RECORD_NONE, byte, byte) == 0);
    }
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
    end();
}

const struct kernel_test booted_tests[] = {{"ranges", ranges}, {"memory", memory}, {"closes", closes},
                                           {"circles", circles}, {"pair", pair}, {"race", race}, {NULL, NULL}};

BOOTED(a_byte_has_one_kind_for_each_owner, "ranges", 2)
BOOTED(without_memory_nothing_changes, "memory", 2)
BOOTED(a_close_gives_back, "closes", 2)
BOOTED(a_circle_is_refused, "circles", 32)
BOOTED(an_open_file_is_in_no_circle, "pair", 8)
BOOTED(who_waits_gets_its_turn, "race", 32)

FS_TEST_MAIN(cmocka_unit_test(a_byte_has_one_kind_for_each_owner), cmocka_unit_test(without_memory_nothing_changes),
             cmocka_unit_test(a_close_gives_back), cmocka_unit_test(a_circle_is_refused),
             cmocka_unit_test(an_open_file_is_in_no_circle), cmocka_unit_test(who_waits_gets_its_turn))
