/* SPDX-License-Identifier: MIT */
/*
 * User memory for the rest of the kernel: ranges are checked, faults are errors. A page that is not there yet is
 * brought in by the handler of trap_set_user_fault() (entry/trap.h), which may sleep; with preemption or interrupts
 * disabled nothing is brought in, and such a page is -EFAULT. Other threads of the program may change what is being
 * copied, so nothing that was checked may be read a second time.
 *
 * Context: task. Order: none, but for user_cas32(). -EFAULT: the range is not the user's (it wraps, or ends above
 * HAL_USER_END), or a page of it may not be accessed so; a part may have been copied.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <k/compiler.h>
#include <k/types.h>

/* What a fault wanted to do: one bit. */
#define USER_ACCESS_READ 0x1u
#define USER_ACCESS_WRITE 0x2u
#define USER_ACCESS_EXEC 0x4u

/* Does the range lie in the user's half? Says nothing about what is mapped there. Of no bytes: is `va` below or at the
 * end? */
bool user_range_is_valid(vaddr_t va, size_t bytes);

int user_copy_in(void *dst, vaddr_t src, size_t bytes) MUST_USE;
int user_copy_out(vaddr_t dst, const void *src, size_t bytes) MUST_USE;

/* Store zeros. */
int user_clear(vaddr_t dst, size_t bytes) MUST_USE;

/* Copy a string with its NUL and return its length without. No page behind the one with the NUL is touched.
 * -ENAMETOOLONG: no NUL in the first `room` bytes. dst has nothing to rely on after an error. */
int64_t user_copy_string(char *dst, vaddr_t src, size_t room) MUST_USE;

/* Words, each read or exchanged by one access. -EINVAL: misaligned. user_cas32(): 0, and *expected is what was there,
 * equal: exchanged; the page must be writable in both cases. Order: seq_cst. */
int user_read32(vaddr_t word, uint32_t *out) MUST_USE;
int user_cas32(vaddr_t word, uint32_t *expected, uint32_t desired) MUST_USE;
