/* SPDX-License-Identifier: MIT */
/* core/fs/iospan.c: pieces of any size beside a plain copy; a hole in user memory ends a copy at the exact byte. */
#include "fs_test.h"

#include <mm/user.h>

#include "inspace.h"

#define BYTES 3000

static unsigned char kernel[BYTES], back[BYTES];

/* Random pieces of two user pages; copies of random lengths; the bytes come back in order. */
static int copy_pieces(void *arg)
{
    struct unit_random random = {booted_seed() + 7};
    struct io_piece pieces[40];
    size_t count = 0, total = 0;
    struct io_span to, from;

    (void)arg;
    for (size_t i = 0; i < BYTES; i++)
        kernel[i] = (unsigned char)unit_random_next(&random);
    for (vaddr_t at = USER_VA; count < 40 && total < BYTES - 100; count++) {
        size_t bytes = unit_random_below(&random, 5) == 0 ? 0 : unit_random_below(&random, 400);

        bytes = MIN(bytes, BYTES - total);
        pieces[count] = (struct io_piece){at, bytes};
        at += bytes + unit_random_below(&random, 50);
        total += bytes;
    }
    CHECK(io_span_pieces(&to, pieces, count) == 0 && io_span_pieces(&from, pieces, count) == 0);
    CHECK(to.left == total && (to.piece_left & IO_KERNEL) == 0);
    for (size_t done = 0, part; done < total; done += part) {
        part = unit_random_below(&random, 500) + 1;
        part = MIN(part, total - done);
        CHECK(io_copy_to(&to, kernel + done, part) == part);
        CHECK(io_copy_from(&from, back + done, part) == part);
    }
    CHECK(to.left == 0 && io_copy_to(&to, kernel, 10) == 0);
    CHECK(memcmp(kernel, back, total) == 0);
    return 0;
}

/* The second page is missing: 10 bytes before it are the last ones. */
static int meet_hole(void *arg)
{
    vaddr_t edge = USER_VA + 2 * PAGE_BYTES;
    struct io_span span;

    (void)arg;
    io_span_user(&span, edge - 10, 100);
    CHECK(io_copy_to(&span, kernel, 4) == 4 && io_copy_to(&span, kernel, 50) == 6);
    CHECK(span.left == 90 && io_copy_to(&span, kernel, 1) == 0);
    io_span_user(&span, edge - 10, 100);
    CHECK(io_zero(&span, 100) == 10);
    io_span_user(&span, edge - 10, 100);
    CHECK(io_copy_from(&span, back, 100) == 10);
    io_span_user(&span, UINTPTR_MAX - 50, 100);
    CHECK(io_copy_to(&span, kernel, 100) == 0 && io_copy_from(&span, back, 100) == 0);
    return 0;
}

static void in_space(int (*entry)(void *))
{
    struct space *space = NULL;

    CHECK(space_create(&space) == 0);
    CHECK(map_at(space, USER_VA, 2, RW, SPACE_PRIVATE) == 0);
    run_in(space, entry, NULL);
}

static void pieces(void)
{
    in_space(copy_pieces);
}

static void hole(void)
{
    in_space(meet_hole);
}

static void limits(void)
{
    const struct io_piece huge[] = {{0, (size_t)INT64_MAX}, {0, 1}}, large[] = {{0, (size_t)1 << 40}};
    struct io_span span;

    CHECK(io_span_pieces(&span, huge, 2) == -EINVAL);
    CHECK(io_span_pieces(&span, large, 1) == 0 && span.left == IO_BYTES_MAX);
    io_span_kernel(&span, kernel, 10);
    memset(kernel, 1, 20);
    CHECK(io_zero(&span, 20) == 10 && kernel[9] == 0 && kernel[10] == 1);
    CHECK(io_result(0, -EFAULT) == -EFAULT && io_result(3, -EFAULT) == 3 && io_result(0, 0) == 0);
}

const struct kernel_test booted_tests[] = {{"pieces", pieces}, {"hole", hole}, {"limits", limits}, {NULL, NULL}};

BOOTED(bytes_pass_through_any_pieces, "pieces", 20)
BOOTED(a_copy_ends_at_the_byte_that_faults, "hole", 8)
BOOTED(sums_of_pieces_are_checked, "limits", 1)

FS_TEST_MAIN(cmocka_unit_test(bytes_pass_through_any_pieces), cmocka_unit_test(a_copy_ends_at_the_byte_that_faults),
             cmocka_unit_test(sums_of_pieces_are_checked))
