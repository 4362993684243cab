/* SPDX-License-Identifier: MIT */
/* core/syscall/xattr.c: no file has attributes, and the calls say so, of files that are there. */
#include "file_world.h"

static int nothing(void)
{
    files_begin();
    int64_t fd = file_with("f", "abc");
    vaddr_t name = text_at(TEXT2, "user.a");

    CHECK(CALL(getxattr, PATH1("f"), name, DATA, 8) == -EOPNOTSUPP && CALL(lgetxattr, PATH1("f"), name) == -EOPNOTSUPP);
    CHECK(CALL(fgetxattr, U(fd), name, DATA, 8) == -EOPNOTSUPP && CALL(fgetxattr, 40, name, DATA, 8) == -EBADF);
    CHECK(CALL(getxattr, PATH1("x"), name, DATA, 8) == -ENOENT && CALL(getxattr, NOWHERE, name, DATA, 8) == -EFAULT);
    CHECK(CALL(getxattr, PATH1("f"), NOWHERE, DATA, 8) == -EFAULT);
    CHECK(CALL(setxattr, PATH1("f"), name, DATA, 1, 0) == -EOPNOTSUPP);
    CHECK(CALL(lsetxattr, PATH1("f"), name, DATA, 1, 4) == -EINVAL);
    CHECK(CALL(fsetxattr, U(fd), name, DATA, 65537, 0) == -E2BIG && CALL(fremovexattr, U(fd), name) == -EOPNOTSUPP);
    CHECK(CALL(removexattr, PATH1("f"), name) == -EOPNOTSUPP && CALL(lremovexattr, PATH1("x"), name) == -ENOENT);
    CHECK(CALL(listxattr, PATH1("f"), DATA, 8) == 0 && CALL(llistxattr, PATH1("x"), DATA, 8) == -ENOENT);
    CHECK(CALL(flistxattr, U(fd), DATA, 8) == 0 && CALL(flistxattr, 40, DATA, 8) == -EBADF);
    CHECK(CALL(getxattr, PATH1("f"), text_at(TEXT2, ""), DATA, 8) == -ERANGE);
    return 0;
}

STORY(nothing)

const struct kernel_test booted_tests[] = { { "nothing", run_nothing }, { NULL, NULL } };

static void no_file_has_attributes(void **state)
{
    (void)state;
    booted_run("nothing", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_file_has_attributes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
