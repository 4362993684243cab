/* SPDX-License-Identifier: MIT */
/*
 * core/fs/procfs.c: files, links and listings of two made-up processes, one of which goes. What the kernel registers at
 * boot stays, before what is registered here: so names here are of their own, and nothing of the kernel's is opened,
 * since it would take a made-up process for one of its own.
 */
#include "fs_test.h"

#include <fs/fd.h>
#include <fs/pipe.h>
#include <fs/procfs.h>
#include <k/atomic.h>
#include <lib/fmt.h>
#include <mm/kmalloc.h>

static struct fd_table *table;
static bool is_gone[8];
static int counts[8]; /* references; one task runs here */

static int next(int from)
{
    for (int number = from; number < 8; number++)
        if ((number == 3 || number == 7) && !is_gone[number])
            return number;
    return -ENOENT;
}

static void *get(int number)
{
    if (next(number) != number)
        return NULL;
    counts[number]++;
    return &counts[number];
}

static void put(void *process)
{
    CHECK(--*(int *)process >= 0);
}

static void owner(void *process, bool is_folder, uint32_t *out_user, uint32_t *out_group)
{
    *out_user = (uint32_t)((int *)process - counts);
    *out_group = is_folder ? 5 : 6;
}

static struct fd_table *files(void *process)
{
    if (process != &counts[3])
        return NULL;
    fd_table_get(table);
    return table;
}

/* Number 3 has threads 3 and 5, and what stands for a thread is a number like those of processes. */
static int next_thread(void *process, int from)
{
    CHECK(process == &counts[3] || process == &counts[5] || process == &counts[7]);
    if (process == &counts[7] || is_gone[3])
        return -ENOENT;
    return from <= 3 ? 3 : from <= 5 ? 5 : -ENOENT;
}

static void *get_thread(void *process, int number)
{
    if (next_thread(process, number) != number)
        return NULL;
    counts[number]++;
    return &counts[number];
}

static uint32_t flags_out(uint32_t flags)
{
    return flags | 04000000u; /* a mark that this has been asked */
}

static const struct procfs_processes processes = {next, get, put, owner, files, next_thread, get_thread};

static int print_status(struct procfs_text *text, void *process)
{
    procfs_print(text, "number %d\n", (int)((int *)process - counts));
    return 0;
}

static int print_long(struct procfs_text *text, void *process)
{
    CHECK(process == NULL);
    for (unsigned i = 0; i < 1000; i++)
        procfs_print(text, "line %03u\n", i);
    return 0;
}

static int64_t self(void *process, char *to, size_t room)
{
    CHECK(process == NULL && room > 1);
    to[0] = '3';
    return 1;
}

static int link_root(void *process, struct name **out)
{
    CHECK(process != NULL);
    *out = fs_root();
    return 0;
}

static const struct procfs_file status = {.name = "made-status", .print = print_status};
static const struct procfs_file root_link = {.name = "made-root", .link = link_root};
static const struct procfs_file long_file = {.name = "made-long", .print = print_long};
static const struct procfs_file in_folder = {.name = "made/one/file", .print = print_long};
static const struct procfs_file also_there = {.name = "made/one/other", .print = print_long};
static const struct procfs_file above = {.name = "made/two", .print = print_long};
static const struct procfs_file attribute = {.name = "made-attr/status", .print = print_status};
static const struct procfs_file self_link = {.name = "made-self", .link_text = self};

/* The names in a directory, each with a blank behind it: the usual two, perhaps the kernel's, and those. */
static void list(const struct path_place *place, const char *path, const char *expected)
{
    struct {
        uint64_t number;
        int64_t next;
        uint16_t bytes;
        uint8_t type;
        char name[237];
    } PACKED record;
    struct io_span span;
    struct file *file;
    static char found[1024];

    found[0] = 0;
    CHECK(path_open(place, path, O_RDONLY, 0, &file) == 0);
    for (;;) {
        io_span_kernel(&span, &record, 40); /* one at a time, and none is larger */
        if (file_read_dir(file, &span) <= 0)
            break;
        (void)str_copy(found + strlen(found), record.name, sizeof found - strlen(found));
        (void)str_copy(found + strlen(found), " ", sizeof found - strlen(found));
    }
    file_put(file);
    size_t bytes = strlen(found), wanted = strlen(expected);

    if (!CHECK(memcmp(found, ". .. ", 5) == 0 && bytes >= 5 + wanted &&
               strcmp(found + bytes - wanted, expected) == 0 && found[bytes - wanted - 1] == ' '))
        log_error("%s has: %s", path, found);
}

static bool link_is(const struct path_place *place, const char *path, const char *expected)
{
    char text[64];
    int64_t bytes = path_read_link(place, path, text, sizeof text);

    return bytes == (int64_t)strlen(expected) && memcmp(text, expected, (size_t)bytes) == 0;
}

static void contents(struct path_place *place)
{
    static char text[10000];
    struct inode_stat stat;
    struct file *file;

    CHECK(holds(place, "/proc/3/made-status", "number 3\n") && holds(place, "/proc/7/made-status", "number 7\n"));
    CHECK(holds(place, "/proc/made-self/made-status", "number 3\n") && link_is(place, "/proc/made-self", "3"));
    CHECK(number_of(place, "/proc/4") == 0 && number_of(place, "/proc/03") == 0 && number_of(place, "/proc/3/x") == 0);
    CHECK(path_open(place, "/proc/made-long", O_RDONLY, 0, &file) == 0);
    CHECK(file_seek(file, 0, SEEK_END) == 9000 && file_seek(file, 4500, SEEK_SET) == 4500);
    CHECK(read_into(file, text, sizeof text) == 4500 && memcmp(text, "line 500\n", 9) == 0);
    file_put(file);
    CHECK(path_open(place, "/proc/made-long", O_RDWR, 0, &file) == -EACCES);
    CHECK(stat_of(place, "/proc/7", &stat) == 0 && stat.user == 7 && stat.group == 5 && stat.mode == (S_IFDIR | 0555));
    CHECK(link_is(place, "/proc/3/made-root", "/") &&
          number_of(place, "/proc/3/made-root/proc") == number_of(place, "/proc"));
    CHECK(path_mkdir(place, "/proc/new", 0755) == -EACCES && path_unlink(place, "/proc/made-long") == -EPERM);
    list(place, "/proc", "made-long made-self made 3 7 ");
    list(place, "/proc/3", "made-status made-root made-attr fd fdinfo task ");
}

static void folders(struct path_place *place)
{
    struct inode_stat stat;
    struct file *file;

    list(place, "/proc/made", "one two ");
    list(place, "/proc/made/one", "file other ");
    CHECK(stat_of(place, "/proc/made/one", &stat) == 0 && stat.mode == (S_IFDIR | 0555));
    CHECK(path_open(place, "/proc/made/one/file", O_RDONLY, 0, &file) == 0 && file_seek(file, 0, SEEK_END) == 9000);
    file_put(file);
    CHECK(number_of(place, "/proc/made/one/../two") != 0 && number_of(place, "/proc/made/one/two") == 0);
    CHECK(number_of(place, "/proc/made/on") == 0 && number_of(place, "/proc/made/file") == 0);
    CHECK(number_of(place, "/proc/made/3") == 0 && number_of(place, "/proc/made/one/file/x") == 0);
    list(place, "/proc/3/made-attr", "status ");
    CHECK(holds(place, "/proc/3/made-attr/status", "number 3\n") && number_of(place, "/proc/3/made-attr/fd") == 0);
}

static void threads(struct path_place *place)
{
    list(place, "/proc/3/task", "3 5 ");
    list(place, "/proc/3/task/5", "made-attr fd fdinfo ");
    CHECK(holds(place, "/proc/3/task/5/made-status", "number 5\n"));
    CHECK(holds(place, "/proc/3/task/3/made-attr/status", "number 3\n"));
    CHECK(number_of(place, "/proc/3/task/4") == 0 && number_of(place, "/proc/3/task/5/task") == 0);
    CHECK(number_of(place, "/proc/7/task/5") == 0 && number_of(place, "/proc/3/task/5/fd") != 0);
}

/* The file of number 0 has been read up to 1. */
static void file_info(struct path_place *place)
{
    struct file *file = fd_get(table, 0);
    struct inode_stat stat;
    char expected[128], byte;

    CHECK(read_into(file, &byte, 1) == 1 && byte == 'f');
    inode_stat_get(file->inode, &stat);
    (void)fmt_print(expected, sizeof expected, "pos:\t1\nflags:\t04000000\nmnt_id:\t%u\nino:\t%llu\n",
                    (unsigned)stat.on_device, (unsigned long long)stat.number);
    procfs_set_flags_out(flags_out);
    CHECK(holds(place, "/proc/3/fdinfo/0", expected));
    procfs_set_flags_out(NULL);
    CHECK(path_open(place, "/proc/3/fdinfo/0", O_WRONLY, 0, &(struct file *){NULL}) == -EACCES);
    CHECK(file_seek(file, 0, SEEK_SET) == 0);
    file_put(file);
}

static void descriptors(struct path_place *place)
{
    struct file *file = NULL, *read_end = NULL, *write_end = NULL;
    char byte = 'p';

    CHECK(make_file(place, "/f", "f") == 0 && path_open(place, "/f", O_RDONLY, 0, &file) == 0);
    CHECK(pipe_create(0, &read_end, &write_end) == 0);
    CHECK(fd_add(table, file, 0, 8, false) == 0 && fd_add(table, read_end, 5, 8, false) == 5);
    list(place, "/proc/made-self/fd", "0 5 ");
    CHECK(link_is(place, "/proc/3/fd/0", "/f") && holds(place, "/proc/3/fd/0", "f"));
    CHECK(path_lookup(place, "/proc/3/fd/1", PATH_FOLLOW, &(struct name *){NULL}) == -ENOENT);
    list(place, "/proc/3/fdinfo", "0 5 ");
    CHECK(path_lookup(place, "/proc/3/fdinfo/1", PATH_FOLLOW, &(struct name *){NULL}) == -ENOENT);
    file_info(place);
    /* A pipe has no path, and can be opened all the same. */
    CHECK(path_open(place, "/proc/3/fd/5", O_RDONLY | O_NONBLOCK, 0, &file) == 0);
    CHECK(write_from(write_end, &byte, 1) == 1);
    byte = 0;
    CHECK(read_into(file, &byte, 1) == 1 && byte == 'p');
    file_put(file);
    file_put(write_end);
    CHECK(path_unlink(place, "/f") == 0 && link_is(place, "/proc/3/fd/0", "/f (deleted)"));
}

static void all(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *dir;
    struct io_span span;
    char record[64];

    CHECK(fd_table_create(&table) == 0);
    procfs_register(&long_file);
    procfs_register(&self_link);
    procfs_register_process(&status);
    procfs_register_process(&root_link);
    procfs_register(&in_folder);
    procfs_register(&also_there);
    procfs_register(&above);
    procfs_register_process(&attribute);
    procfs_set_processes(&processes);
    folders(&user.place);
    threads(&user.place);
    contents(&user.place);
    descriptors(&user.place);
    /* It goes while somebody stands in its directory. */
    CHECK(path_open(&user.place, "/proc/3", O_RDONLY, 0, &dir) == 0);
    is_gone[3] = true;
    user.place.at = dir->name;
    CHECK(number_of(&user.place, "made-status") == 0 &&
          number_of(&user.place, "..") == number_of(&user.place, "/proc"));
    io_span_kernel(&span, record, sizeof record);
    CHECK(file_read_dir(dir, &span) > 0);
    file_put(dir);
    user.place.at = NULL;
    list(&user.place, "/proc", "made-long made-self made 7 ");
    CHECK(counts[3] == 0 && counts[5] == 0 && counts[7] == 0);
    fd_table_put(table);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"all", all}, {NULL, NULL}};

BOOTED(what_providers_say_is_what_is_read, "all", 2)

FS_TEST_MAIN(cmocka_unit_test(what_providers_say_is_what_is_read))
