/* SPDX-License-Identifier: MIT */
/*
 * Counters as files: eventfd(2). A write adds to the counter, a read takes all of it, or 1 of a semaphore's; either
 * waits while it cannot, or -EAGAIN with O_NONBLOCK; -EINVAL: not 8 bytes, or UINT64_MAX is added. Context of all:
 * task, may sleep.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>

struct file;

/* Flags: O_NONBLOCK (O_CLOEXEC is the table's). A reference. -ENOMEM. */
int eventfd_create(uint64_t count, bool is_semaphore, uint32_t flags, struct file **out) MUST_USE;
