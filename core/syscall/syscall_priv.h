/* SPDX-License-Identifier: MIT */
/* What handlers share. */
#pragma once

#include <stddef.h>

#include <k/compiler.h>
#include <k/types.h>

struct process_usage;

/* A struct that has grown over the versions of Linux, of `user_bytes` bytes: what the user has not is zero here; what
 * it has more must be zero. -E2BIG: it is not, or more than a page. -EFAULT. */
int copy_in_versioned(void *to, size_t bytes, vaddr_t from, size_t user_bytes) MUST_USE;

/* struct rusage of getrusage(2). -EFAULT. limits.c */
int usage_copy_out(vaddr_t to, const struct process_usage *usage) MUST_USE;

/* struct timespec. -EINVAL: negative, or not that many nanoseconds; what would be too far away is TIME_NEVER - 1 at
 * most. -EFAULT. time.c */
int timespec_copy_in(vaddr_t from, uint64_t *out_ns) MUST_USE;
int timespec_copy_out(vaddr_t to, uint64_t ns) MUST_USE;
