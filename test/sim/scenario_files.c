/* SPDX-License-Identifier: MIT */
/* Files, names, descriptors and pipes, shared by tasks. */
#include "scenario.h"

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/filesystem.h>
#include <fs/path.h>
#include <fs/pipe.h>
#include <fs/record_lock.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>

#define TASKS 4

static struct {
    struct sim_line line;
    struct task *task[TASKS];
    struct file *read_end[TASKS], *write_end[TASKS];
    struct fd_table *table;
    struct fs_context *context;
    _Atomic(uint64_t) bytes_in, bytes_out, sum_in, sum_out;
    _Atomic(int) open_files;
    struct sim_semaphore taken[TASKS]; /* bytes of that task's pipe */
} shared;

static void start(int (*entry)(void *), unsigned count)
{
    sim_line_init(&shared.line);
    store_relaxed(&shared.bytes_in, 0);
    store_relaxed(&shared.bytes_out, 0);
    store_relaxed(&shared.sum_in, 0);
    store_relaxed(&shared.sum_out, 0);
    for (uintptr_t i = 0; i < count; i++)
        shared.task[i] = spawn("user", entry, (void *)i, sim_some_fair_priority(), NULL);
    sim_line_open(&shared.line, count);
}

/* ---- Pipes ---- */

static void write_some(struct file *file, size_t bytes)
{
    unsigned char data[800];
    uint64_t sum = 0;
    struct io_span span;

    for (size_t i = 0; i < bytes; i++)
        sum += data[i] = (unsigned char)sim_random();
    io_span_kernel(&span, data, bytes);
    CHECK(file_write(file, &span) == (int64_t)bytes);
    (void)fetch_add_relaxed(&shared.bytes_in, bytes);
    (void)fetch_add_relaxed(&shared.sum_in, sum);
}

static int64_t read_some(struct file *file, size_t bytes)
{
    unsigned char data[1000];
    struct io_span span;
    uint64_t sum = 0;

    io_span_kernel(&span, data, bytes);
    int64_t got = file_read(file, &span);

    for (int64_t i = 0; i < got; i++)
        sum += data[i];
    if (got > 0) {
        (void)fetch_add_relaxed(&shared.bytes_out, (uint64_t)got);
        (void)fetch_add_relaxed(&shared.sum_out, sum);
    }
    return got;
}

/* Even tasks write, odd ones read to the end. The pipe holds few of the pieces, so both sides wait. */
static int pass_bytes(void *arg)
{
    sim_line_wait(&shared.line);
    if ((uintptr_t)arg % 2 == 0) {
        for (unsigned i = 0; i < 8 * sim_rounds(); i++)
            write_some(shared.write_end[0], 500 + sim_random_below(300));
        file_put(shared.write_end[0]);
        return 0;
    }
    int64_t got;

    while ((got = read_some(shared.read_end[0], 1 + sim_random_below(1000))) > 0)
        continue;
    CHECK(got == 0);
    file_put(shared.read_end[0]);
    return 0;
}

static void pipe_stream(void)
{
    CHECK(pipe_create(0, &shared.read_end[0], &shared.write_end[0]) == 0);
    CHECK(pipe_size_set(shared.write_end[0], PAGE_BYTES) == (int64_t)PAGE_BYTES);
    file_get(shared.write_end[0]);
    file_get(shared.read_end[0]);
    start(pass_bytes, TASKS);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(load_relaxed(&shared.bytes_in) == load_relaxed(&shared.bytes_out));
    CHECK(load_relaxed(&shared.sum_in) == load_relaxed(&shared.sum_out));
}

/* The last task polls the pipes of the others until all have hung up. They go on when their bytes have been taken: if
 * one wake is lost, sooner or later all wait. */
static int poll_pipes(void *arg)
{
    uintptr_t self = (uintptr_t)arg;

    sim_line_wait(&shared.line);
    if (self < TASKS - 1) {
        for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
            if (sim_chance(3))
                sim_delay();
            write_some(shared.write_end[self], 3);
            for (unsigned taken = 0; taken < 3; taken++)
                CHECK(sim_down(&shared.taken[self], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        }
        file_put(shared.write_end[self]);
        return 0;
    }
    for (unsigned left = TASKS - 1; left > 0;) {
        struct poll_item items[TASKS - 1];

        for (unsigned i = 0; i < TASKS - 1; i++)
            items[i] = (struct poll_item){.file = shared.read_end[i], .wanted = POLLIN};
        CHECK(poll_wait_for(items, TASKS - 1, TIME_NEVER) > 0);
        for (unsigned i = 0; i < TASKS - 1; i++) {
            int64_t got = items[i].got == 0 ? 0 : read_some(items[i].file, 1 + sim_random_below(4));

            for (int64_t n = 0; n < got; n++)
                sim_up(&shared.taken[i]);
            if (items[i].got == 0 || got > 0)
                continue;
            file_put(shared.read_end[i]);
            shared.read_end[i] = NULL;
            left--;
        }
    }
    return 0;
}

static void pipe_poll(void)
{
    for (unsigned i = 0; i < TASKS - 1; i++) {
        sim_semaphore_init(&shared.taken[i], 0);
        CHECK(pipe_create(0, &shared.read_end[i], &shared.write_end[i]) == 0);
    }
    start(poll_pipes, TASKS);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(load_relaxed(&shared.bytes_in) == load_relaxed(&shared.bytes_out));
    CHECK(load_relaxed(&shared.sum_in) == load_relaxed(&shared.sum_out));
}

/* ---- Names ---- */

static struct path_place place(void)
{
    return (struct path_place){.context = shared.context, .cred = &cred_root};
}

#define DIRS 3

/* A path of so many components of a few letters, in "/s". */
static void some_path(char out[32], unsigned depth)
{
    (void)str_copy(out, "/s", 32);
    for (unsigned i = 0; i < depth; i++) {
        size_t length = strlen(out);

        (void)fmt_print(out + length, 32 - length, "/%c", (int)('a' + sim_random_below(DIRS)));
    }
}

static int move_names(void *arg)
{
    struct path_place here = place();
    char from[32], to[32];

    (void)arg;
    sim_line_wait(&shared.line);
    for (unsigned i = 0; i < 10 * sim_rounds(); i++) {
        /* Mostly into each other: two moves of this kind at once are what could make a circle. */
        some_path(from, sim_chance(4) ? 3 : 2);
        some_path(to, sim_chance(4) ? 2 : 3);
        if (sim_chance(5))
            (void)path_mkdir(&here, to, 0755);
        else if (sim_chance(8))
            (void)path_rmdir(&here, from);
        else
            (void)path_rename(&here, from, &here, to, sim_chance(4) ? RENAME_EXCHANGE : 0);
    }
    return 0;
}

/* Take apart what can be reached; what cannot, in a circle or in a removed directory, is missing in the file system's
 * count of inodes. */
static void remove_names(const struct path_place *here)
{
    char path[64] = "/s";

    for (;;) {
        size_t length = strlen(path);
        struct name *name = NULL;
        bool has_child = false;

        for (char c = 'a'; c < 'a' + DIRS && !has_child; c++) {
            (void)fmt_print(path + length, sizeof path - length, "/%c", c);
            has_child = path_lookup(here, path, 0, &name) == 0;
        }
        if (has_child) {
            name_put(name);
            if (!CHECK(strlen(path) < sizeof path - 3))
                return;
            continue;
        }
        path[length] = 0;
        CHECK(path_rmdir(here, path) == 0);
        if (length == 2)
            return;
        path[length - 2] = 0;
    }
}

static void names_move(void)
{
    struct name *root = fs_root();
    uint64_t before = load_relaxed(&root->inode->fs->inodes);

    CHECK(fs_context_create(&shared.context) == 0);
    struct path_place here = place();

    CHECK(path_mkdir(&here, "/s", 0755) == 0);
    for (unsigned i = 0; i < DIRS * (DIRS + 1); i++) {
        char path[32];

        (void)fmt_print(path, sizeof path, i < DIRS ? "/s/%c" : "/s/%c/%c", (int)('a' + i % DIRS),
                        (int)('a' + i / DIRS - 1));
        CHECK(path_mkdir(&here, path, 0755) == 0);
    }
    start(move_names, TASKS);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    remove_names(&here);
    CHECK(load_relaxed(&root->inode->fs->inodes) == before);
    fs_context_put(shared.context);
    name_put(root);
}

/* ---- Descriptors ---- */

static void count_release(struct file *file)
{
    (void)file;
    (void)fetch_sub_relaxed(&shared.open_files, 1);
}

static const struct file_ops counted_ops = {.release = count_release};

static void add_file(void)
{
    struct name *root = fs_root();
    struct file *file;

    if (CHECK(file_create(root->inode, NULL, &counted_ops, O_RDONLY, &file) == 0)) {
        (void)fetch_add_relaxed(&shared.open_files, 1);
        if (fd_add(shared.table, file, 0, 8, sim_chance(2)) < 0)
            file_put(file);
    }
    name_put(root);
}

static int use_table(void *arg)
{
    (void)arg;
    sim_line_wait(&shared.line);
    for (unsigned i = 0; i < 12 * sim_rounds(); i++) {
        unsigned fd = (unsigned)sim_random_below(4), to = (unsigned)sim_random_below(4);
        struct fd_borrowed borrowed;
        struct fd_table *copy;

        switch (sim_random_below(9)) {
        case 0:
            add_file();
            break;
        case 1:
            (void)fd_close(shared.table, fd);
            break;
        case 2:
            if (fd != to)
                (void)fd_dup_to(shared.table, fd, to, 8, false);
            break;
        case 4: /* the table becomes larger, now and then */
            to = FD_INLINE << sim_random_below(6);
            if (fd_dup_to(shared.table, fd, to, FD_LIMIT_MAX, false) >= 0)
                (void)fd_close(shared.table, to);
            break;
        case 3:
            if (CHECK(fd_table_copy(shared.table, &copy) == 0))
                fd_table_put(copy);
            break;
        default:
            borrowed = fd_borrow(shared.table, fd);
            sim_delay();
            CHECK(borrowed.file == NULL || borrowed.file->ops == &counted_ops);
            fd_return(borrowed);
        }
    }
    fd_table_put(shared.table);
    return 0;
}

static void fd_share(void)
{
    store_relaxed(&shared.open_files, 0);
    CHECK(fd_table_create(&shared.table) == 0);
    for (unsigned i = 0; i < TASKS; i++)
        fd_table_get(shared.table);
    start(use_table, TASKS);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    fd_table_put(shared.table);
    CHECK(load_relaxed(&shared.open_files) == 0);
}

/* ---- Locks of ranges ---- */

#define BYTES 3

static struct {
    struct inode *inode;
    int owner[TASKS]; /* addresses */
    _Atomic(uint32_t) readers[BYTES], writers[BYTES];
} locked;

static int lock_byte(unsigned self, unsigned byte, bool is_writer)
{
    struct record_lock_request request = {
        .owner = &locked.owner[self],
        .kind = is_writer ? RECORD_EXCLUSIVE : RECORD_SHARED,
        .first = byte,
        .last = byte,
    };

    return record_lock_set(locked.inode, &request, true);
}

static void use_byte(unsigned byte, bool is_writer)
{
    _Atomic(uint32_t) *mine = is_writer ? &locked.writers[byte] : &locked.readers[byte];
    uint32_t beside = fetch_add_acq_rel(mine, 1);

    CHECK(load_relaxed(&locked.writers[byte]) == (is_writer ? 1 : 0));
    CHECK(!is_writer || (beside == 0 && load_relaxed(&locked.readers[byte]) == 0));
    if (sim_chance(2))
        sim_delay();
    (void)fetch_sub_acq_rel(mine, 1);
}

/* Two bytes in any order: who would close a circle is told, lets go, and goes on. */
static int lock_bytes(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;

    sim_line_wait(&shared.line);
    for (unsigned i = 0; i < 5 * sim_rounds(); i++) {
        unsigned first = (unsigned)sim_random_below(BYTES), second = (unsigned)sim_random_below(BYTES);
        bool is_writer = sim_chance(2);

        CHECK(lock_byte(self, first, is_writer) == 0); /* it has none yet, and is in no circle */
        use_byte(first, is_writer);
        int error = second == first ? -EDEADLK : lock_byte(self, second, true);

        if (error == 0)
            use_byte(second, true);
        CHECK(error == 0 || error == -EDEADLK);
        record_lock_drop(locked.inode, &locked.owner[self]);
    }
    return 0;
}

static void record_locks(void)
{
    struct name *root = fs_root();

    locked.inode = root->inode;
    start(lock_bytes, TASKS);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(load_relaxed(&locked.inode->record_locks) == 0);
    name_put(root);
}

const struct sim_scenario sim_scenarios_files[] = {
    { .name = "pipe-stream", .aim = "bytes of a pipe are lost or doubled, or one side waits for what has come",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = pipe_stream },
    { .name = "pipe-poll", .aim = "a poller of several pipes sleeps beside one that is ready",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = pipe_poll },
    { .name = "names-move", .aim = "directories move into each other and are lost, or two movers wait for each other",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = names_move },
    { .name = "fd-share", .aim = "a descriptor is closed or replaced while another task uses its file",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = fd_share },
    { .name = "record-locks", .aim = "two have what excludes the other, or wait in a circle or for what is free",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = record_locks },
    { .name = NULL },
};
