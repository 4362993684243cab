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
