/* SPDX-License-Identifier: MIT */
/* core/syscall/file_args.c: vectors, paths, timeouts and masks as programs hand them over. */
#include "file_world.h"

#include <fs/iospan.h>
#include <proc/signal.h>
#include <syscall_priv.h>

static int vectors(void)
{
    struct io_piece own[2], *pieces = NULL;
    struct io_span span;

    files_begin();
    put64(DATA, PAGE0);
    put64(DATA + 8, 5);
    put64(DATA + 16, PAGE0);
    put64(DATA + 24, 7);
    CHECK(pieces_copy_in(DATA, 2, own, 2, &pieces, &span) == 0 && pieces == own && own[1].bytes == 7);
    pieces_free(pieces, own);
    CHECK(pieces_copy_in(DATA, 3, own, 2, &pieces, &span) == 0 && pieces != own && pieces[1].bytes == 7);
    pieces_free(pieces, own);
    CHECK(pieces_copy_in(DATA, 1025, own, 2, &pieces, &span) == -EINVAL);
    CHECK(pieces_copy_in(NOWHERE, 1, own, 2, &pieces, &span) == -EFAULT);
    CHECK(pieces_copy_in(NOWHERE, 9, own, 2, &pieces, &span) == -EFAULT);
    CHECK(pieces_copy_in(NOWHERE, 0, own, 2, &pieces, &span) == 0); /* nothing is read */
    return 0;
}

static int paths(void)
{
    struct path_arg arg;

    files_begin();
    int64_t dir = CALL(open, PATH1("/world"), O_RDONLY | syscall_abi.o_directory), fd = file_with("a", "x");

    CHECK(path_arg_begin(&arg, AT_FDCWD, PATH1("a/b")) == 0 && strcmp(arg.text, "a/b") == 0 && arg.at == NULL);
    path_arg_end(&arg);
    CHECK(path_arg_begin(&arg, (int)dir, PATH1("a")) == 0 && arg.at != NULL);
    CHECK(path_arg_place(&arg).at == arg.at && path_arg_place(&arg).context == thread_current()->user.paths);
    path_arg_end(&arg);
    CHECK(path_arg_begin(&arg, 40, PATH1("/a")) == 0 && arg.at == NULL); /* absolute: the descriptor is not looked at */
    path_arg_end(&arg);
    CHECK(path_arg_begin(&arg, 40, PATH1("a")) == -EBADF && path_arg_begin(&arg, -1, PATH1("a")) == -EBADF);
    CHECK(path_arg_begin(&arg, (int)fd, PATH1("")) == 0); /* a file: the walk judges */
    path_arg_end(&arg);
    CHECK(CALL(pipe, DATA) == 0 && path_arg_begin(&arg, (int)get32(DATA), PATH1("a")) == -ENOTDIR);
    CHECK(path_arg_begin(&arg, AT_FDCWD, NOWHERE) == -EFAULT && path_arg_begin(&arg, AT_FDCWD, 0) == -EFAULT);

    static char longest[PATH_BYTES_MAX + 1];

    (void)memset(longest, 'x', PATH_BYTES_MAX);
    CHECK(user_copy_out(PAGE0, longest, PATH_BYTES_MAX) == 0);
    put64(PAGE0 + PATH_BYTES_MAX, 0);
    CHECK(path_arg_begin(&arg, AT_FDCWD, PAGE0) == -ENAMETOOLONG);
    CHECK(path_arg_begin(&arg, AT_FDCWD, PAGE0 + 1) == 0 && strlen(arg.text) == PATH_BYTES_MAX - 1);
    path_arg_end(&arg);
    return 0;
}

static int times(void)
{
    uint64_t deadline = 0, now = clock_ns();

    files_begin();
    put_time(DATA, 2, 5);
    CHECK(timeout_in(DATA, &deadline) == 0 && deadline >= now + 2 * NS_PER_SEC + 5 && deadline < TIME_NEVER);
    put_time(DATA, -2, 5);
    CHECK(timeout_in(DATA, &deadline) == -EINVAL);
    put_time(DATA, 0, (int64_t)NS_PER_SEC);
    CHECK(timeout_in(DATA, &deadline) == -EINVAL);
    put_time(DATA, 0, -1);
    CHECK(timeout_in(DATA, &deadline) == -EINVAL);
    put_time(DATA, INT64_MAX, 0);
    CHECK(timeout_in(DATA, &deadline) == 0 && deadline == TIME_NEVER);
    put_time(DATA, INT64_MIN, 0);
    CHECK(timeout_in(DATA, &deadline) == -EINVAL);
    CHECK(timeout_in(0, &deadline) == 0 && deadline == TIME_NEVER && timeout_in(NOWHERE, &deadline) == -EFAULT);
    return 0;
}

static uint64_t blocked_now(void)
{
    CHECK(CALL(rt_sigprocmask, 0, 0, DATA + 64, 8) == 0);
    return get64(DATA + 64);
}

static int masks(void)
{
    files_begin();
    put64(DATA, 0x6);
    CHECK(mask_begin(0, 3) == 0 && mask_begin(DATA, 4) == -EINVAL && mask_begin(NOWHERE, 8) == -EFAULT);
    CHECK(blocked_now() == 0 && mask_begin(DATA, 8) == 0 && blocked_now() == 0x6);
    CHECK(mask_end(7) == 7 && blocked_now() == 0);
    CHECK(mask_begin(DATA, 8) == 0 && mask_end(-EINTR) == -ERESTARTNOHAND && blocked_now() == 0x6);
    signal_mask_restore(); /* what the delivery does */
    CHECK(blocked_now() == 0);
    CHECK(after_wait(-EINTR) == -ERESTARTSYS && after_wait(-EIO) == -EIO && after_wait(3) == 3 && after_write(4) == 4);
    return 0;
}

STORY(vectors)
STORY(paths)
STORY(times)
STORY(masks)

const struct kernel_test booted_tests[] = {
    { "vectors", run_vectors }, { "paths", run_paths }, { "times", run_times }, { "masks", run_masks }, { NULL, NULL },
};

static void what_programs_hand_over_is_checked(void **state)
{
    (void)state;
    booted_run("vectors", 4);
    booted_run("paths", 4);
    booted_run("times", 4);
    booted_run("masks", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_programs_hand_over_is_checked) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
