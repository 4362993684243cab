/* SPDX-License-Identifier: MIT */
/* Costs of files, counted as bench.c does: what a system call would ask of this room, between user memory of
 * threads. */
#include "bench.h"

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/filesystem.h>
#include <fs/path.h>
#include <fs/pipe.h>
#include <time/clock.h>

#include "check.h"
#include "inspace.h"

#define ROUNDS 1000u

static struct file *to[2], *from[2]; /* the pipes there and back */
static _Atomic(uint64_t) spent_ns;

static int64_t move(struct file *file, size_t bytes, bool writes)
{
    struct io_span span;

    io_span_user(&span, USER_VA, bytes);
    return writes ? file_write(file, &span) : file_read(file, &span);
}

static int answer(void *arg)
{
    (void)arg;
    while (move(from[0], 1, false) == 1)
        CHECK(move(to[1], 1, true) == 1);
    return 0;
}

static int ask(void *arg)
{
    uint64_t start = 0;

    (void)arg;
    for (unsigned i = 0; i <= ROUNDS; i++) {
        CHECK(move(to[0], 1, true) == 1 && move(from[1], 1, false) == 1);
        if (i == 0) /* the other side is there, and so are all pages */
            start = clock_ns();
    }
    store_relaxed(&spent_ns, clock_ns() - start);
    file_put(to[0]); /* the other one ends */
    return 0;
}

static struct space *page_of_memory(void)
{
    struct space *space = NULL;

    CHECK(space_create(&space) == 0 && map_at(space, USER_VA, 1, RW, SPACE_PRIVATE) == 0);
    return space;
}

/* Two writes, two reads, and two switches between address spaces. */
void bench_pipe_round_trip(void)
{
    struct process *process[2] = {NULL, NULL};
    struct thread *thread[2];

    for (unsigned i = 0; i < 2; i++)
        CHECK(pipe_create(0, &from[i], &to[i]) == 0);
    thread[0] = start_in(page_of_memory(), answer, NULL, &process[0]);
    thread[1] = start_in(page_of_memory(), ask, NULL, &process[1]);
    finish_process(thread[1], process[1]);
    finish_process(thread[0], process[0]);
    file_put(from[0]);
    file_put(from[1]);
    file_put(to[1]);
    bench_report("pipe_round_trip", load_relaxed(&spent_ns), ROUNDS);
}

/* One task writes and reads; then the same of a file of ramfs, and a look-up of a descriptor. */
static int alone(void *arg)
{
    struct fs_context *context;
    struct fd_table *table;
    struct file *file;
    uint64_t start;

    (void)arg;
    CHECK(pipe_create(0, &from[0], &to[0]) == 0);
    CHECK(move(to[0], 1, true) == 1 && move(from[0], 1, false) == 1);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(move(to[0], 1, true) == 1 && move(from[0], 1, false) == 1);
    bench_report("pipe_write_read", clock_ns() - start, ROUNDS);
    file_put(from[0]);
    file_put(to[0]);

    CHECK(fs_context_create(&context) == 0);
    const struct path_place place = {.context = context, .cred = &cred_root};

    CHECK(path_open(&place, "/bench", O_CREAT | O_RDWR, 0600, &file) == 0 && move(file, PAGE_BYTES, true) > 0);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct io_span span;

        io_span_user(&span, USER_VA, 1);
        CHECK(file_read_at(file, &span, 0) == 1);
    }
    bench_report("file_read_byte", clock_ns() - start, ROUNDS);
    CHECK(fd_table_create(&table) == 0 && fd_add(table, file, 0, 8, false) == 0);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        fd_return(fd_borrow(table, 0));
    bench_report("fd_borrow_return", clock_ns() - start, ROUNDS);
    fd_table_put(table);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK(path_open(&place, "/bench", O_RDONLY, 0, &file) == 0);
        file_put(file);
    }
    bench_report("path_open_close", clock_ns() - start, ROUNDS);
    CHECK(path_unlink(&place, "/bench") == 0);
    fs_context_put(context);
    return 0;
}

void bench_files_alone(void)
{
    run_in(page_of_memory(), alone, NULL);
}
