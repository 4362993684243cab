/* SPDX-License-Identifier: MIT */
/* core/fs/ramfs.c: reads, writes and sizes beside a plain array; limits of pages; faults in the middle; options. */
#include "fs_test.h"

#include <mm/phys.h>
#include <mm/user.h>

#include "inspace.h"

#define BYTES (6 * PAGE_BYTES)

static unsigned char model_bytes[BYTES], buffer[BYTES];

static bool has_page(struct file *file, size_t index)
{
    paddr_t page;

    if (vm_object_peek(file->inode->object, index, &page) != 0)
        return false;
    phys_put(page);
    return true;
}

static bool has_pages(struct file *file, size_t from, size_t to)
{
    for (size_t at = from; at < to; at++)
        if (!has_page(file, at / PAGE_BYTES))
            return false;
    return true;
}

static bool has_no_whole_pages(struct file *file, size_t from, size_t to)
{
    for (size_t page = ROUND_UP(from, PAGE_BYTES); page + PAGE_BYTES <= to; page += PAGE_BYTES)
        if (has_page(file, page / PAGE_BYTES))
            return false;
    return true;
}

static void contents(void)
{
    struct fs_user user = fs_user_create(0);
    struct unit_random random = {booted_seed()};
    struct io_span span;
    struct file *file;
    size_t size = 0;

    memset(model_bytes, 0, sizeof model_bytes);
    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &file) == 0);
    for (unsigned i = 0; i < 200; i++) {
        size_t at = unit_random_below(&random, BYTES), bytes = unit_random_below(&random, BYTES - at) + 1;

        switch (unit_random_below(&random, 6)) {
        case 4: {
            static const uint32_t modes[] = {0, FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE,
                                             FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE,
                                             FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE};
            uint32_t mode = modes[unit_random_below(&random, ARRAY_COUNT(modes))];

            CHECK(file_allocate(file, mode, (int64_t)at, (int64_t)bytes) == 0);
            if ((mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE)) != 0)
                memset(model_bytes + at, 0, bytes);
            if ((mode & FALLOC_KEEP_SIZE) == 0)
                size = MAX(size, at + bytes);
            CHECK((mode & FALLOC_PUNCH_HOLE) != 0 || has_pages(file, at, MIN(at + bytes, size)));
            CHECK((mode & FALLOC_PUNCH_HOLE) == 0 || has_no_whole_pages(file, at, MIN(at + bytes, size)));
            break;
        }
        case 0:
            for (size_t j = 0; j < bytes; j++)
                buffer[j] = (unsigned char)unit_random_next(&random);
            io_span_kernel(&span, buffer, bytes);
            CHECK(file_write_at(file, &span, (int64_t)at) == (int64_t)bytes);
            memcpy(model_bytes + at, buffer, bytes);
            size = MAX(size, at + bytes);
            break;
        case 1:
            CHECK(file_truncate(file, (int64_t)at) == 0);
            if (at < size)
                memset(model_bytes + at, 0, size - at);
            size = at;
            break;
        default: {
            size_t expected = at >= size ? 0 : MIN(bytes, size - at);

            io_span_kernel(&span, buffer, bytes);
            CHECK(file_read_at(file, &span, (int64_t)at) == (int64_t)expected);
            CHECK(memcmp(buffer, model_bytes + at, expected) == 0);
        }
        }
        CHECK(load_relaxed(&file->inode->bytes) == size);
    }
    CHECK(vm_object_bytes(file->inode->object) == size);
    file_put(file);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

/* What is refused; what fails leaves the size; what goes over many pages. */
static void allocations(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file, *input, *dir;
    uint64_t pages = 3 * VM_OBJECT_ZERO_PAGES;

    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &file) == 0);
    CHECK(path_open(&user.place, "/f", O_RDONLY, 0, &input) == 0 && path_open(&user.place, "/", 0, 0, &dir) == 0);
    CHECK(file_allocate(file, 0, -1, 1) == -EINVAL && file_allocate(file, 0, 0, 0) == -EINVAL);
    CHECK(file_allocate(file, FALLOC_PUNCH_HOLE, 0, 1) == -EOPNOTSUPP && file_allocate(file, 8, 0, 1) == -EOPNOTSUPP);
    CHECK(file_allocate(input, 0, 0, 1) == -EBADF && file_allocate(dir, 0, 0, 1) == -EBADF);
    CHECK(file_allocate(file, 0, INT64_MAX, INT64_MAX) == -EFBIG);
    for (unsigned n = 1; n < 4; n++) {
        mm_fail_at(n);
        CHECK(file_allocate(file, 0, 5, 4 * PAGE_BYTES) == -ENOMEM && load_relaxed(&file->inode->bytes) == 0);
        mm_fail_at(0);
        CHECK(vm_object_page_count(file->inode->object) == 0);
    }
    CHECK(file_allocate(file, 0, 5, (int64_t)(pages * PAGE_BYTES - 5)) == 0);
    CHECK(load_relaxed(&file->inode->bytes) == pages * PAGE_BYTES);
    CHECK(vm_object_page_count(file->inode->object) == pages);
    CHECK(file_allocate(file, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 1, (int64_t)(pages * PAGE_BYTES)) == 0);
    CHECK(vm_object_page_count(file->inode->object) == 1); /* its first byte is kept */
    CHECK(file_allocate(file, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 0, INT64_C(1) << 62) == 0);
    CHECK(vm_object_page_count(file->inode->object) == 0 && load_relaxed(&file->inode->bytes) == pages * PAGE_BYTES);
    file_put(file);
    file_put(input);
    file_put(dir);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

static void limits(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place *place = &user.place;
    struct filesystem_stat stat;
    struct file *file;
    struct io_span span;

    CHECK(path_mkdir(place, "/m", 0755) == 0);
    CHECK(path_mount(place, "tmpfs", "/m", "size=x", 0) == -EINVAL);
    CHECK(path_mount(place, "none", "/m", NULL, 0) == -ENODEV);
    CHECK(path_mount(place, "tmpfs", "/m", "size=8k,nr_inodes=3,mode=700", 0) == 0);
    CHECK(path_open(place, "/m/f", O_CREAT | O_RDWR, 0644, &file) == 0);
    filesystem_stat_get(file->inode->fs, &stat);
    CHECK(stat.blocks == 2 && stat.blocks_free == 2 && stat.inodes == 3 && stat.inodes_free == 1);
    memset(buffer, 1, sizeof buffer);
    CHECK(write_from(file, buffer, 3 * PAGE_BYTES) == 2 * PAGE_BYTES && write_from(file, buffer, 1) == -ENOSPC);
    CHECK(load_relaxed(&file->inode->bytes) == 2 * PAGE_BYTES);
    filesystem_stat_get(file->inode->fs, &stat);
    CHECK(stat.blocks_free == 0);
    CHECK(file_truncate(file, 100) == 0);
    io_span_kernel(&span, buffer, 10);
    CHECK(file_write_at(file, &span, 10 * (int64_t)PAGE_BYTES) == 10); /* a hole takes nothing */
    filesystem_stat_get(file->inode->fs, &stat);
    CHECK(stat.blocks_free == 0 && make_file(place, "/m/g", "") == 0 && make_file(place, "/m/h", "") == -ENOSPC);
    file_put(file);
    CHECK(path_unlink(place, "/m/f") == 0 && make_file(place, "/m/h", "fits") == 0);
    CHECK(path_unlink(place, "/m/h") == 0 && path_unlink(place, "/m/g") == 0);
    fs_test_unmount("/m");
    fs_user_destroy(&user);
}

static struct file *target;

/* Two pages of user memory, then nothing: exactly what could be read of it is in the file. */
static int meet_hole(void *arg)
{
    struct io_span span;
    vaddr_t edge = USER_VA + 2 * PAGE_BYTES;

    (void)arg;
    io_span_user(&span, edge - 5000, 6000);
    CHECK(file_write(target, &span) == 5000 && load_relaxed(&target->inode->bytes) == 5000);
    io_span_user(&span, edge, 10);
    CHECK(file_write(target, &span) == -EFAULT && vm_object_bytes(target->inode->object) == 5000);
    CHECK(file_seek(target, 0, SEEK_SET) == 0);
    io_span_user(&span, edge - 100, 200);
    CHECK(file_read(target, &span) == 100 && file_seek(target, 0, SEEK_CUR) == 100);
    io_span_user(&span, edge, 200);
    CHECK(file_read(target, &span) == -EFAULT && file_seek(target, 0, SEEK_CUR) == 100);
    return 0;
}

static void faults(void)
{
    struct fs_user user = fs_user_create(0);
    struct space *space = NULL;

    CHECK(space_create(&space) == 0 && map_at(space, USER_VA, 2, RW, SPACE_PRIVATE) == 0);
    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &target) == 0);
    run_in(space, meet_hole, NULL);
    file_put(target);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

/* A shared mapping and read(2) and write(2) see the same bytes. */
static int look_both_ways(void *arg)
{
    uint64_t word = 0;
    struct io_span span;

    (void)arg;
    CHECK(load_word(USER_VA, &word) && word == 0x1111);
    CHECK(store_word(USER_VA + 8, 0x2222));
    io_span_kernel(&span, &word, 8);
    CHECK(file_read_at(target, &span, 8) == 8 && word == 0x2222);
    CHECK(file_truncate(target, 4) == 0 && load_word(USER_VA, &word) && word == 0x1111);
    CHECK(!load_word(USER_VA + PAGE_BYTES, &word));
    return 0;
}

static void mapped(void)
{
    struct fs_user user = fs_user_create(0);
    struct space *space = NULL;
    struct vm_object *object = NULL;
    uint64_t word = 0x1111;
    vaddr_t va;

    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &target) == 0);
    CHECK(write_from(target, &word, 8) == 8 && file_truncate(target, 2 * PAGE_BYTES) == 0);
    CHECK(file_map(target, true, true, &object) == 0 && space_create(&space) == 0);
    const struct space_request request = {
        .at = USER_VA, .bytes = 2 * PAGE_BYTES, .rights = RW, .flags = SPACE_SHARED | SPACE_FIXED, .object = object};

    CHECK(space_map(space, &request, &va) == 0);
    vm_object_put(object);
    run_in(space, look_both_ways, NULL);
    file_put(target);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

static int allow_ten(uint64_t at, uint64_t *end)
{
    *end = MIN(*end, 10u);
    return at >= 10 ? -EFBIG : 0;
}

static int64_t write_eight(struct file *file)
{
    struct io_span span;

    io_span_kernel(&span, buffer, 8);
    return file_write(file, &span);
}

/* Whoever is asked may let less be written, or nothing; shorter, or as long as it is, a file may always be. */
static void growth(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file;

    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &file) == 0);
    inode_set_growth_check(allow_ten);
    CHECK(write_eight(file) == 8 && write_eight(file) == 2 && write_eight(file) == -EFBIG);
    CHECK(load_relaxed(&file->inode->bytes) == 10 && vm_object_bytes(file->inode->object) == 10);
    CHECK(file_truncate(file, 11) == -EFBIG && file_allocate(file, 0, 0, 11) == -EFBIG);
    CHECK(load_relaxed(&file->inode->bytes) == 10);
    CHECK(file_allocate(file, FALLOC_KEEP_SIZE, 0, 20) == 0 && file_truncate(file, 10) == 0);
    CHECK(file_truncate(file, 5) == 0 && file_truncate(file, 9) == 0 && file_allocate(file, 0, 0, 10) == 0);
    inode_set_growth_check(NULL);
    CHECK(file_truncate(file, 11) == 0 && write_eight(file) == 8);
    inode_set_growth_check(allow_ten);
    CHECK(file_truncate(file, 16) == 0 && load_relaxed(&file->inode->bytes) == 16);
    file_put(file);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {
    {"contents", contents}, {"allocations", allocations}, {"growth", growth},
    {"limits", limits}, {"faults", faults}, {"mapped", mapped}, {NULL, NULL}};

BOOTED(contents_agree_with_an_array, "contents", 20)
BOOTED(allocations_are_all_or_nothing, "allocations", 2)
BOOTED(limits_hold, "limits", 2)
BOOTED(who_is_asked_ends_growth, "growth", 2)
BOOTED(a_fault_ends_a_transfer_at_its_byte, "faults", 8)
BOOTED(mappings_and_calls_see_the_same_bytes, "mapped", 8)

FS_TEST_MAIN(cmocka_unit_test(contents_agree_with_an_array), cmocka_unit_test(limits_hold),
             cmocka_unit_test(who_is_asked_ends_growth),
             cmocka_unit_test(allocations_are_all_or_nothing),
             cmocka_unit_test(a_fault_ends_a_transfer_at_its_byte),
             cmocka_unit_test(mappings_and_calls_see_the_same_bytes))
