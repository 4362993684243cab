/* SPDX-License-Identifier: MIT */
/* Extended attributes, of a file that has none and can have none: one of /proc. */
#include "check.h"

#include <fcntl.h>
#include <string.h>

#define FILE_ "/proc/self/status"

CHECK(getxattr, there_are_none)
{
    int fd = (int)GOOD(open(FILE_, O_RDONLY));
    char value[8], name[300];

    FAILS(EOPNOTSUPP, syscall(SYS_getxattr, FILE_, "user.a", value, sizeof(value)));
    FAILS(EOPNOTSUPP, syscall(SYS_lgetxattr, FILE_, "user.a", value, sizeof(value)));
    FAILS(EOPNOTSUPP, syscall(SYS_fgetxattr, fd, "user.a", value, sizeof(value)));
    FAILS(ENOENT, syscall(SYS_getxattr, "nothing", "user.a", value, sizeof(value)));
    FAILS(EBADF, syscall(SYS_fgetxattr, 500, "user.a", value, sizeof(value)));
    FAILS(EBADF, syscall(SYS_fgetxattr, (int)GOOD(open(FILE_, O_PATH)), "user.a", value, sizeof(value)));
    FAILS(ERANGE, syscall(SYS_getxattr, FILE_, "", value, sizeof(value)));
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    FAILS(ERANGE, syscall(SYS_getxattr, FILE_, name, value, sizeof(value)));
    BAD_SOURCES(1, syscall(SYS_getxattr, FILE_, bad, value, sizeof(value)));
    BAD_SOURCES(1, syscall(SYS_getxattr, bad, "user.a", value, sizeof(value)));
}

CHECK(listxattr, is_empty)
{
    char names[8];

    EQUAL(syscall(SYS_listxattr, FILE_, names, sizeof(names)), 0);
    EQUAL(syscall(SYS_llistxattr, FILE_, NULL, 0), 0);
    EQUAL(syscall(SYS_flistxattr, (int)GOOD(open(FILE_, O_RDONLY)), names, sizeof(names)), 0);
    FAILS(ENOENT, syscall(SYS_listxattr, "nothing", names, sizeof(names)));
    FAILS(EBADF, syscall(SYS_flistxattr, 500, names, sizeof(names)));
}

CHECK(setxattr, none_are_added)
{
    FAILS(EOPNOTSUPP, syscall(SYS_setxattr, FILE_, "trusted.a", "b", 1, 0));
    FAILS(EOPNOTSUPP, syscall(SYS_lsetxattr, FILE_, "trusted.a", "b", 1, 0));
    FAILS(EOPNOTSUPP, syscall(SYS_removexattr, FILE_, "trusted.a"));
    FAILS(EINVAL, syscall(SYS_setxattr, FILE_, "trusted.a", "b", 1, 4));
    FAILS(ENOENT, syscall(SYS_setxattr, "nothing", "user.a", "b", 1, 0));
    FAILS(EBADF, syscall(SYS_fsetxattr, 500, "user.a", "b", 1, 0));
    FAILS(EBADF, syscall(SYS_fremovexattr, 500, "user.a"));
}
