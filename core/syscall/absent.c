/* SPDX-License-Identifier: MIT */
/* What a number without a handler does. Owns no state, no lock. */
#include <syscall/table.h>

#include <k/errno.h>

SYSCALL(absent)
{
    (void)args;
    return -ENOSYS;
}
