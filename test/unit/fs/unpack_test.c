/* SPDX-License-Identifier: MIT */
/*
 * core/fs/unpack.c: archives become files; what is damaged, or would lead out of the archive, is an error; pages of a
 * reserved archive become contents, and the others free; failing allocations.
 */
#include "fs_test.h"

#include <boot/program.h>
#include <fs/unpack.h>
#include <hal/boot.h>
#include <mm/phys.h>
#include <vm/object.h>

#include "cpio_build.h"

static struct cpio_build archive;

static struct name *make_root(struct fs_user *user)
{
    struct name *root = NULL;

    CHECK(path_mkdir(&user->place, "/u", 0755) == 0 && path_mount(&user->place, "tmpfs", "/u", NULL, 0) == 0);
    CHECK(path_lookup(&user->place, "/u", 0, &root) == 0);
    return root;
}

static void build_some(void)
{
    cpio_build_begin(&archive, 1);
    (void)cpio_build_add(&archive, ".", 040750, NULL, 0);
    (void)cpio_build_add(&archive, "bin", 040755, NULL, 0);
    (void)cpio_build_add(&archive, "./bin/tool", 0104755, "tool", 4);
    (void)cpio_build_add(&archive, "/bin/link", 0120777, "tool", 4);
    (void)cpio_build_add(&archive, "deep/er/file", 0100600, "deep", 4);
    (void)cpio_build_add(&archive, "null", 020666, NULL, 0);
    (void)cpio_build_add(&archive, "deep/er/file", 0100640, "again", 5);
    /* Two names of one file, of which the last has the contents. */
    size_t first = cpio_build_add(&archive, "one", 0100644, NULL, 0), second;

    cpio_build_field(&archive, first, CPIO_NLINK, 2);
    second = cpio_build_add(&archive, "two", 0100644, "both", 4);
    cpio_build_field(&archive, second, CPIO_NLINK, 2);
    cpio_build_field(&archive, second, CPIO_INO, archive.ino - 1);
    (void)cpio_build_end(&archive);
}

static void files(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place place = user.place;
    struct name *root = make_root(&user);
    struct unpack_result result;
    struct inode_stat stat;

    place.at = root;
    build_some();
    CHECK(unpack_archive(root, archive.data, archive.bytes, &result) == 0 && result.what == NULL);
    CHECK(result.files == 5 && result.directories == 1 && result.others == 2 && result.bytes == 17);
    CHECK(holds(&place, "bin/link", "tool") && holds(&place, "deep/er/file", "again") && holds(&place, "two", "both"));
    CHECK(number_of(&place, "one") == number_of(&place, "two"));
    CHECK(stat_of(&place, "bin/tool", &stat) == 0 && stat.mode == 0104755 && stat.user == 1 && stat.group == 2);
    CHECK(stat.modified_ns == 1003 * (int64_t)NS_PER_SEC);
    CHECK(stat_of(&place, "null", &stat) == 0 && stat.mode == 020666 && stat.device == DEVICE(5, 6));
    CHECK(stat_of(&place, "one", &stat) == 0 && stat.links == 2);
    CHECK(stat_of(&place, "", &stat) == -ENOENT);
    inode_stat_get(root->inode, &stat);
    CHECK(stat.mode == 040750);
    name_put(root);
    fs_test_unmount("/u");
    fs_user_destroy(&user);
}

static void damage(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place place = user.place;
    struct name *root = make_root(&user);
    struct unpack_result result;

    place.at = root;
    cpio_build_begin(&archive, 1);
    (void)cpio_build_add(&archive, "good", 0100644, "good", 4);
    (void)cpio_build_add(&archive, "a/../../evil", 0100644, "evil", 4);
    (void)cpio_build_end(&archive);
    CHECK(unpack_archive(root, archive.data, archive.bytes, &result) == -EINVAL && result.what != NULL);
    CHECK(strcmp(result.path, "a/../../evil") == 0 && holds(&place, "good", "good"));
    /* A symlink to "/" leads to where it is unpacked. */
    cpio_build_begin(&archive, 1);
    (void)cpio_build_add(&archive, "out", 0120777, "/", 1);
    (void)cpio_build_add(&archive, "out/in", 0100644, "in", 2);
    (void)cpio_build_add(&archive, "good/file", 0100644, "x", 1);
    (void)cpio_build_end(&archive);
    CHECK(unpack_archive(root, archive.data, archive.bytes, &result) == -ENOTDIR && holds(&place, "in", "in"));
    CHECK(number_of(&user.place, "/in") == 0);
    size_t whole = archive.bytes;

    for (size_t bytes = 0; bytes < whole; bytes += 37) {
        int error = unpack_archive(root, archive.data, bytes, &result);

        CHECK(error != 0 ? result.what != NULL : bytes == 0);
    }
    name_put(root);
    fs_test_unmount("/u");
    fs_user_destroy(&user);
}

/* The archive lies so that the contents begin with a page. */
static void reserved(void)
{
    static char contents[PAGE_BYTES + 100];
    struct fs_user user = fs_user_create(0);
    struct path_place place = user.place;
    const struct boot_range *range = &boot_report.info->reserved[0]; /* what would be firmware's */
    struct name *root = make_root(&user), *name;
    struct unpack_result result;
    struct phys_stats before, after;
    paddr_t page;

    place.at = root;
    memset(contents, 'c', sizeof contents);
    cpio_build_begin(&archive, 1);
    size_t header = cpio_build_add(&archive, "file", 0100644, contents, sizeof contents);
    size_t data = archive.bytes - ROUND_UP(sizeof contents, 4);

    CHECK(header == 0);
    (void)cpio_build_end(&archive);
    paddr_t at = range->base + PAGE_BYTES - data;

    memcpy(phys_to_virt(at), archive.data, archive.bytes);
    phys_stats_get(&before);
    CHECK(unpack_reserved(root, at, archive.bytes, &result) == 0);
    CHECK(result.shared_bytes == PAGE_BYTES && result.bytes == sizeof contents);
    CHECK(path_lookup(&place, "file", 0, &name) == 0);
    CHECK(vm_object_peek(name->inode->object, 0, &page) == 0 && page == range->base + PAGE_BYTES);
    phys_put(page);
    name_put(name);
    phys_stats_get(&after);
    CHECK(after.total_pages == before.total_pages + (archive.bytes - data) / PAGE_BYTES);
    name_put(root);
    fs_test_unmount("/u");
    /* What the machine has got more of is kept, so that the counts agree with those from before. */
    for (uint64_t i = before.total_pages; i < after.total_pages; i++)
        CHECK(phys_alloc(0) != 0);
    fs_user_destroy(&user);
}

static int try_unpack(void *arg)
{
    struct unpack_result result;
    int error = unpack_archive(arg, archive.data, archive.bytes, &result);

    return error == -ENOSPC ? -ENOMEM : error; /* a short write does not say why */
}

static void memory(void)
{
    struct fs_user user = fs_user_create(0);
    struct name *root = make_root(&user);

    build_some();
    for (uint32_t nth = 1; nth < 400; nth++) {
        mm_fail_at(nth);
        int error = try_unpack(root);
        bool fired = mm_fail_fired();

        CHECK(error == 0 || (fired && error == -ENOMEM));
        if (!fired)
            break;
        CHECK(nth < 399);
    }
    CHECK(try_unpack(root) == 0);
    name_put(root);
    fs_test_unmount("/u");
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {
    {"files", files}, {"damage", damage}, {"reserved", reserved}, {"memory", memory}, {NULL, NULL}};

BOOTED(an_archive_becomes_files, "files", 2)
BOOTED(damage_is_an_error_and_nothing_gets_out, "damage", 2)
BOOTED(pages_of_the_archive_become_contents, "reserved", 2)
BOOTED(without_memory_it_fails_and_can_be_done_again, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(an_archive_becomes_files), cmocka_unit_test(damage_is_an_error_and_nothing_gets_out),
             cmocka_unit_test(pages_of_the_archive_become_contents),
             cmocka_unit_test(without_memory_it_fails_and_can_be_done_again))
