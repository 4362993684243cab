/* SPDX-License-Identifier: MIT */
/* Kernel stacks: kmap ranges with guard pages; a few of the default size are kept mapped for reuse. */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

struct kstack {
    vaddr_t base; /* lowest usable byte; base + bytes is the initial stack pointer */
    size_t bytes; /* page multiple */
};

/* bytes is rounded up to pages. -EINVAL: 0 or > STACK_BYTES_MAX. -ENOMEM. Context: task. */
int kstack_alloc(size_t bytes, struct kstack *out) MUST_USE;

/* Nobody runs on it and nobody will. Debug builds poison it. Context: task, interrupts enabled. */
void kstack_free(struct kstack *stack);

/* Unmap all cached stacks, so that page counts can be compared. Context: task. */
void kstack_reclaim(void);

unsigned kstack_used_count(void);

/* Debug builds: the most bytes of the stack that were ever in use. Release builds: 0. */
size_t kstack_high_water(const struct kstack *stack);
