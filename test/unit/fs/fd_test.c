/* SPDX-License-Identifier: MIT */
/* core/fs/fd.c: random operations beside a plain array; tasks that share a table; failing allocations. */
#include "fs_test.h"

#include <fs/fd.h>
#include <fs/pipe.h>
#include <k/atomic.h>

static _Atomic(int) open_files;

static void count_release(struct file *file)
{
    (void)file;
    (void)fetch_sub_relaxed(&open_files, 1);
}

static const struct file_ops counted_ops = {.release = count_release};

static struct file *some_file(void)
{
    struct name *root = fs_root();
    struct file *file = NULL;

    if (CHECK(file_create(root->inode, NULL, &counted_ops, O_RDONLY, &file) == 0))
        (void)fetch_add_relaxed(&open_files, 1);
    name_put(root);
    return file;
}

/* ---- A plain array ---- */

#define NUMBERS 200

static struct {
    struct file *file[NUMBERS];
    bool cloexec[NUMBERS];
} model;

static int model_lowest(unsigned from, unsigned limit)
{
    for (unsigned fd = from; fd < limit; fd++)
        if (model.file[fd] == NULL)
            return (int)fd;
    return -EMFILE;
}

static void change(struct fd_table *table, struct unit_random *random)
{
    unsigned fd = (unsigned)unit_random_below(random, NUMBERS), to = (unsigned)unit_random_below(random, NUMBERS);
    unsigned from = (unsigned)unit_random_below(random, 80), limit = 64 + (unsigned)unit_random_below(random, 136);
    bool cloexec = unit_random_below(random, 2) == 0;
    int expected;

    switch (unit_random_below(random, 5)) {
    case 0: {
        struct file *file = some_file();
        expected = from < limit ? model_lowest(from, limit) : -EINVAL;
        CHECK(fd_add(table, file, from, limit, cloexec) == expected);
        if (expected < 0) {
            file_put(file);
        } else {
            model.file[expected] = file;
            model.cloexec[expected] = cloexec;
        }
        break;
    }
    case 1:
        CHECK(fd_close(table, fd) == (model.file[fd] != NULL ? 0 : -EBADF));
        model.file[fd] = NULL;
        break;
    case 2:
        expected = model.file[fd] == NULL ? -EBADF : from >= limit ? -EINVAL : model_lowest(from, limit);
        CHECK(fd_dup(table, fd, from, limit, cloexec) == expected);
        if (expected >= 0) {
            model.file[expected] = model.file[fd];
            model.cloexec[expected] = cloexec;
        }
        break;
    case 3:
        if (fd == to)
            break;
        expected = model.file[fd] == NULL || to >= limit ? -EBADF : (int)to;
        CHECK(fd_dup_to(table, fd, to, limit, cloexec) == expected);
        if (expected >= 0) {
            model.file[to] = model.file[fd];
            model.cloexec[to] = cloexec;
        }
        break;
    default:
        CHECK(fd_cloexec_set(table, fd, cloexec) == (model.file[fd] != NULL ? 0 : -EBADF));
        if (model.file[fd] != NULL)
            model.cloexec[fd] = cloexec;
    }
}

static void compare(struct fd_table *table)
{
    int next = fd_next(table, 0);

    for (unsigned fd = 0; fd < NUMBERS; fd++) {
        struct fd_borrowed borrowed = fd_borrow(table, fd);

        CHECK(borrowed.file == model.file[fd]);
        fd_return(borrowed);
        CHECK(fd_cloexec_get(table, fd) == (model.file[fd] == NULL ? -EBADF : (int)model.cloexec[fd]));
        if (model.file[fd] != NULL) {
            CHECK(next == (int)fd && fd < fd_room(table));
            next = fd_next(table, fd + 1);
        }
    }
    CHECK(next == -ENOENT);
}

static void random_operations(void)
{
    struct unit_random random = {booted_seed()};
    struct fd_table *table, *copy;

    memset(&model, 0, sizeof model);
    CHECK(fd_table_create(&table) == 0);
    for (unsigned i = 0; i < 400; i++)
        change(table, &random);
    compare(table);
    CHECK(fd_table_copy(table, &copy) == 0);
    compare(copy);
    fd_table_get(copy); /* the way of those who share */
    compare(copy);
    fd_table_put(copy);
    fd_close_on_exec(copy);
    fd_table_put(table);
    for (unsigned fd = 0; fd < NUMBERS; fd++)
        if (model.cloexec[fd])
            model.file[fd] = NULL;
    compare(copy);
    fd_close_range(copy, 10, 90);
    for (unsigned fd = 10; fd <= 90; fd++)
        model.file[fd] = NULL;
    compare(copy);
    fd_table_put(copy);
    CHECK(load_relaxed(&open_files) == 0);
}

static void reserved(void)
{
    struct fd_table *table, *copy;

    CHECK(fd_table_create(&table) == 0);
    CHECK(fd_reserve(table, 0, 8, true) == 0 && fd_reserve(table, 0, 8, false) == 1);
    CHECK(fd_borrow(table, 0).file == NULL && fd_close(table, 0) == -EBADF);
    fd_install(table, 1, some_file());
    CHECK(fd_dup_to(table, 1, 0, 8, false) == -EBUSY);
    CHECK(fd_table_copy(table, &copy) == 0 && fd_reserve(copy, 0, 8, false) == 0);
    fd_unreserve(table, 0);
    CHECK(fd_dup_to(table, 1, 0, 8, false) == 0 && fd_dup_to(table, 1, 8, 8, false) == -EBADF);
    fd_table_put(copy);
    fd_table_put(table);
    CHECK(load_relaxed(&open_files) == 0);
}

/* ---- Tasks that share a table ---- */

static struct fd_table *shared;

static int use_shared(void *arg)
{
    struct unit_random random = {booted_seed() * 8 + (uintptr_t)arg};
    struct fd_table *copy;

    for (unsigned i = 0; i < 30; i++) {
        unsigned fd = (unsigned)unit_random_below(&random, 6), to = (unsigned)unit_random_below(&random, 70);
        int added;

        switch (unit_random_below(&random, 6)) {
        case 0:
            (void)fd_close(shared, fd);
            break;
        case 1:
            if (fd != to)
                (void)fd_dup_to(shared, fd, to, 80, false);
            break;
        case 2:
            if (fd_table_copy(shared, &copy) == 0)
                fd_table_put(copy);
            break;
        case 3: {
            struct file *file = some_file();

            added = fd_add(shared, file, 0, 80, unit_random_below(&random, 2) == 0);
            if (added < 0)
                file_put(file);
            break;
        }
        default: {
            struct fd_borrowed borrowed = fd_borrow(shared, fd);

            if (borrowed.file != NULL) {
                task_yield();
                CHECK(borrowed.file->ops == &counted_ops && load_relaxed(&borrowed.file->refs) > 0);
            }
            fd_return(borrowed);
        }
        }
    }
    fd_table_put(shared);
    return 0;
}

static void sharing(void)
{
    struct task *task[4];

    CHECK(fd_table_create(&shared) == 0);
    for (uintptr_t i = 0; i < 4; i++) {
        fd_table_get(shared);
        task[i] = spawn("user", use_shared, (void *)i, 60, NULL);
    }
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&shared->users) == 1);
    fd_table_put(shared);
    CHECK(load_relaxed(&open_files) == 0);
}

static int try_far(void *arg)
{
    struct fd_table *table, *copy = NULL;
    int error = fd_table_create(&table);

    (void)arg;
    if (error != 0)
        return error;
    struct file *file = NULL;
    struct name *root = fs_root();

    error = file_create(root->inode, NULL, &counted_ops, O_RDONLY, &file);
    name_put(root);
    if (error == 0) {
        (void)fetch_add_relaxed(&open_files, 1);
        int fd = fd_add(table, file, 300, 400, false);

        if (fd < 0) {
            error = fd;
            file_put(file);
        } else {
            error = fd_table_copy(table, &copy);
        }
    }
    if (copy != NULL) {
        CHECK(fd_next(copy, 0) == 300);
        fd_table_put(copy);
    }
    fd_table_put(table);
    CHECK(load_relaxed(&open_files) == 0);
    return error;
}

static void memory(void)
{
    fail_each(try_far, NULL);
}

const struct kernel_test booted_tests[] = {
    {"random", random_operations}, {"reserved", reserved}, {"sharing", sharing}, {"memory", memory}, {NULL, NULL},
};

BOOTED(random_operations_agree_with_an_array, "random", 40)
BOOTED(a_reserved_number_is_nobodys_file, "reserved", 2)
BOOTED(tasks_share_a_table_and_no_file_is_lost, "sharing", 100)
BOOTED(without_memory_nothing_changes, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(random_operations_agree_with_an_array),
             cmocka_unit_test(a_reserved_number_is_nobodys_file),
             cmocka_unit_test(tasks_share_a_table_and_no_file_is_lost),
             cmocka_unit_test(without_memory_nothing_changes))
