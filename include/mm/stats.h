/* SPDX-License-Identifier: MIT */
/* Where the memory is: pages in use by kind. */
#pragma once

#include <k/types.h>

enum mm_kind {
    MM_STACKS,  /* kernel stacks, and whatever else is mapped in the kmap window */
    MM_TABLES,  /* page tables; not the kernel's own first ones, which are boot memory */
    MM_SLABS,   /* slabs of object caches */
    MM_KMALLOC, /* memory without a type */
    MM_ANON,    /* user memory that belongs to no object, copies of objects' pages included; see phys_alloc_user() */
    MM_OBJECT,  /* user memory of memory objects; see there, too */
    MM_OTHER,   /* never given to mm_stat_add(): what is allocated and of none of the kinds above */
    MM_KIND_COUNT,
};

struct mm_stats {
    uint64_t pages[MM_KIND_COUNT];
    uint64_t total;    /* in the page allocator's care */
    uint64_t free;     /* of these */
    uint64_t cached;   /* of these, in the CPUs' caches */
    uint64_t reserve;  /* of these, what user memory leaves to the kernel */
    uint64_t reserved; /* RAM never handed out: firmware, image, boot allocations */
};

/* Of a NUMA node, in pages. */
struct mm_node_stats {
    uint64_t total;  /* in the page allocator's care */
    uint64_t free;   /* of these; caches of its CPUs included */
    uint64_t local;  /* ever taken off its free lists by CPUs that are nearest to it: into their caches or at once; */
    uint64_t remote; /* and by CPUs of other nodes, which had none left of the size */
};

/* At least 1. A machine whose firmware tells no nodes of memory has one. */
unsigned mm_node_count(void);

/* node < mm_node_count(). The same promise as that of mm_stats_get(). Context: task. */
void mm_node_stats_get(unsigned node, struct mm_node_stats *out);

/* So many pages more (less: negative) are in use as `kind`. A few instructions, no lock. Not for user memory, which the
 * page allocator counts by itself. Context: task. */
void mm_stat_add(enum mm_kind kind, int64_t pages);

/* Exact while nobody allocates or frees; otherwise each number was right at some moment. Context: task. */
void mm_stats_get(struct mm_stats *out);

/* To the log, all of it. Context: task. */
void mm_stats_log(void);
