/* SPDX-License-Identifier: MIT */
/* core/fs/memfd.c: files without a place, and what seals keep from them; the rules of fcntl(2), "File Sealing". */
#include "fs_test.h"

#include <fs/memfd.h>
#include <vm/object.h>
#include <vm/region.h>

static struct file *made(uint32_t seals)
{
    struct file *file = NULL;

    CHECK(memfd_file_create("name", 0777, seals, &cred_root, &file) == 0);
    return file;
}

static int64_t written(struct file *file, const char *text, size_t bytes, int64_t at)
{
    struct io_span span;

    io_span_kernel(&span, (void *)(uintptr_t)text, bytes);
    return file_write_at(file, &span, at);
}

static void names(void)
{
    char text[NAME_BYTES_MAX + 1], path[NAME_BYTES_MAX + 32];
    struct file *file = made(SEAL_SEAL), *other = NULL;
    struct name *root = fs_root();
    struct inode_stat stat;

    CHECK(name_path(file->name, root, true, path, sizeof path) > 0);
    CHECK(strcmp(path, "/memfd:name (deleted)") == 0);
    name_put(root);
    inode_stat_get(file->inode, &stat);
    CHECK(stat.links == 0 && stat.mode == (S_IFREG | 0777) && stat.bytes == 0);
    CHECK(written(file, "abc", 3, 0) == 3);
    /* Who opens it again by its name has the same file. */
    CHECK(name_open(file->name, &cred_root, O_RDONLY, &other) == 0 && other->inode == file->inode);
    file_put(other);
    file_put(file);
    memset(text, 'x', sizeof text);
    text[MEMFD_NAME_MAX + 1] = 0;
    CHECK(memfd_file_create(text, 0777, 0, &cred_root, &file) == -EINVAL);
    text[MEMFD_NAME_MAX] = 0;
    CHECK(memfd_file_create(text, 0777, 0, &cred_root, &file) == 0);
    file_put(file);
}

static void seals(void)
{
    struct file *file = made(0);

    CHECK(file_seals_get(file) == 0 && written(file, "abcd", 4, 0) == 4);
    CHECK(file_seals_add(file, 0x40) == -EINVAL && file_seals_add(file, SEAL_SHRINK) == 0);
    CHECK(file_truncate(file, 3) == -EPERM && file_truncate(file, 4) == 0 && file_truncate(file, 5000) == 0);
    CHECK(file_seals_add(file, SEAL_GROW) == 0 && file_seals_get(file) == (SEAL_SHRINK | SEAL_GROW));
    CHECK(file_truncate(file, 5001) == -EPERM && file_allocate(file, 0, 0, 5001) == -EPERM);
    CHECK(file_allocate(file, FALLOC_KEEP_SIZE, 0, 5001) == -EPERM && file_allocate(file, 0, 0, 5000) == 0);
    CHECK(written(file, "xy", 2, 4998) == 2 && written(file, "xy", 2, 4999) == -EPERM);
    CHECK(written(file, "xy", 2, 5000) == -EPERM && load_relaxed(&file->inode->bytes) == 5000);
    CHECK(file_allocate(file, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 0, 8) == 0);
    CHECK(file_seals_add(file, SEAL_WRITE) == 0 && written(file, "xy", 2, 0) == -EPERM);
    CHECK(file_allocate(file, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 0, 8) == -EPERM);
    CHECK(file_is_sealed_for_maps(file) && file_seals_add(file, SEAL_SEAL) == 0);
    CHECK(file_seals_add(file, SEAL_GROW) == -EPERM);
    file_put(file);
    file = made(SEAL_SEAL);
    CHECK(file_seals_get(file) == SEAL_SEAL && file_seals_add(file, SEAL_WRITE) == -EPERM);
    file_put(file);
}

/* A write that goes beyond the end is cut at the page that has the end. */
static void growth(void)
{
    static char text[3 * PAGE_BYTES];
    struct file *file = made(0);

    CHECK(file_truncate(file, 2 * PAGE_BYTES + 5) == 0 && file_seals_add(file, SEAL_GROW) == 0);
    CHECK(written(file, text, sizeof text, 0) == 2 * PAGE_BYTES);
    CHECK(written(file, text, 6, 2 * PAGE_BYTES) == -EPERM && written(file, text, 5, 2 * PAGE_BYTES) == 5);
    CHECK(written(file, text, 0, 9 * PAGE_BYTES) == 0);
    file_put(file);
}

static void execution(void)
{
    struct file *file = made(0);

    CHECK(inode_set_mode(file->inode, &cred_root, 0666) == 0 && file_seals_add(file, SEAL_EXEC) == 0);
    CHECK(file_seals_get(file) == SEAL_EXEC && inode_set_mode(file->inode, &cred_root, 0600) == 0);
    CHECK(inode_set_mode(file->inode, &cred_root, 0700) == -EPERM && written(file, "x", 1, 0) == 1);
    file_put(file);
    file = made(0); /* a program: it stays as it is */
    CHECK(file_seals_add(file, SEAL_EXEC) == 0);
    CHECK(file_seals_get(file) == (SEAL_EXEC | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE));
    file_put(file);
}

/* A mapping that could write keeps the seal away, and the seal such mappings; whoever only reads is let in. */
static void mappings(void)
{
    struct file *file = made(0);
    struct region_spec spec = {.start = 0, .end = PAGE_BYTES, .rights = VM_READ, .flags = VM_SHARED,
                               .object = file->inode->object};
    struct region *region;

    CHECK(region_create(&spec, &region) == 0 && file_seals_add(file, SEAL_WRITE) == -EBUSY);
    CHECK(file_seals_get(file) == 0 && file_seals_add(file, SEAL_FUTURE_WRITE) == 0);
    region_put(region);
    CHECK(file_seals_add(file, SEAL_WRITE) == 0 && region_create(&spec, &region) == -EPERM);
    spec.flags = VM_SHARED | VM_NO_WRITE;
    CHECK(region_create(&spec, &region) == 0);
    region_put(region);
    spec.flags = 0;
    spec.rights = VM_READ | VM_WRITE; /* a copy of one's own */
    CHECK(region_create(&spec, &region) == 0);
    region_put(region);
    file_put(file);
}

static int try_create(void *unused)
{
    struct file *file = NULL;
    int error = memfd_file_create("name", 0777, 0, &cred_root, &file);

    (void)unused;
    if (error == 0)
        file_put(file);
    return error;
}

static void memory(void)
{
    fail_each(try_create, NULL);
}

const struct kernel_test booted_tests[] = {
    {"names", names},         {"seals", seals},   {"growth", growth}, {"execution", execution},
    {"mappings", mappings}, {"memory", memory}, {NULL, NULL},
};

BOOTED(a_file_has_a_name_and_no_place, "names", 2)
BOOTED(seals_keep_changes_away, "seals", 2)
BOOTED(what_must_not_grow_is_written_to_its_end, "growth", 2)
BOOTED(the_right_to_execute_is_sealed, "execution", 2)
BOOTED(seals_and_mappings_exclude_each_other, "mappings", 2)
BOOTED(a_file_without_memory_leaves_nothing, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(a_file_has_a_name_and_no_place), cmocka_unit_test(seals_keep_changes_away),
             cmocka_unit_test(what_must_not_grow_is_written_to_its_end),
             cmocka_unit_test(the_right_to_execute_is_sealed),
             cmocka_unit_test(seals_and_mappings_exclude_each_other),
             cmocka_unit_test(a_file_without_memory_leaves_nothing))
