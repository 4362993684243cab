/* SPDX-License-Identifier: MIT */
/*
 * Memory of any size, for what has no type of its own: buffers, tables, names. Small sizes are objects of caches, one
 * for each class of sizes; above them come whole blocks of pages. What is given is aligned to 16 bytes, above 32 bytes
 * to a cache line, above 24 KiB to a page.
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

/* Context: boot, once, after bootmem_finish(). */
void kmalloc_init(void);

/* So many bytes, contents undefined; NULL if there is no memory, or never can be so much in one piece. 0 bytes are as
 * good as 1: something that kfree() takes. Context: task, no lock of rank LOCK_SLAB or above held; above 24 KiB what
 * phys_alloc() says, too. Order: as slab_alloc(). */
void *kmalloc(size_t bytes) MUST_USE;

/* The same, zeroed. */
void *kzalloc(size_t bytes) MUST_USE;

/* count * bytes; NULL, too, if that is more than a size_t holds. */
void *kmalloc_array(size_t count, size_t bytes) MUST_USE;

/* Give it back; NULL is nothing. Panics over what kmalloc() did not give or has back already. Context: as kmalloc(). */
void kfree(void *memory);

/* The bytes that the caller may use: as many as asked for, or more. */
size_t kmalloc_usable(const void *memory);
