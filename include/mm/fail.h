/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: make the n-th allocation from now fail, whichever allocator it meets (pages, objects, mappings).
 * In every build, because the boot tests use it: an idle switch costs one load and a branch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Fail the nth allocation (1 = the next one) made by the calling task only; 0 disarms. Context: task. */
void mm_fail_at(uint32_t nth);

/* How many allocations the calling task has tried since it armed, the failed one included: an operation that is tried
 * with MM_FAIL_NEVER says how many sites it has. 0 if nothing is armed. */
#define MM_FAIL_NEVER UINT32_MAX
uint32_t mm_fail_count(void);

/* Did the armed failure happen? Disarms. */
bool mm_fail_fired(void);

/* For allocators: must this allocation fail? Context: task. */
bool mm_should_fail(void);
