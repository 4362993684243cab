/* SPDX-License-Identifier: MIT */
/*
 * User address spaces: which regions a process has, and the page tables that faults fill from them.
 *
 * Four things guard a space, in this order of acquisition:
 *
 *   change          mutex     held throughout by whoever changes regions: map, unmap, protect, brk, advise, fork,
 *                             stack growth. So changers see a tree that only they change.
 *   object's lock   LOCK_OBJECT  an object's pages and its list of mappings (vm/object.h)
 *   regions_lock    LOCK_SPACE   the region tree: held by a changer for each edit, by a fault for its look-up
 *   tables[]        LOCK_TABLES  the page-table slots, by address: one lock for each span (2 MiB), hashed
 *
 * A fault takes no mutex unless it has to wait for a changer: it finds its region and a reference to it under
 * regions_lock, gets pages without any lock, and installs under the lock of the span. Two faults of one process
 * share regions_lock for a tree look-up and nothing else, unless they meet in a span.
 *
 * A slot is the page-table entry of a page (level 0), or of a whole span (level 1). It is read for a decision, and
 * written, only under the lock of its span. Its states, and who may change them:
 *
 *   from      to        who                                              and then
 *   EMPTY     PAGE      fault: a zeroed, copied or object's page;        nothing (local flush where the machine
 *                       fork: PAGE or PARKED, into the child             caches invalid entries)
 *   EMPTY     BLOCK     fault: 2 MiB of zeros; fork, into the child      the same
 *   EMPTY     TABLE     pt_make_tables(), by compare-and-swap, no lock   the same
 *   TABLE     EMPTY     unmap, when no entry of the table is in use      flush, then free the table
 *   PAGE, BLOCK  more rights   fault: the only reference, or shared      local flush; others fault and see
 *   PAGE, BLOCK  fewer rights  protect; fork (write goes)                flush before the call returns
 *   PAGE, BLOCK  PARKED    protect to no rights at all                   flush before the call returns
 *   PARKED    PAGE, BLOCK  fault, when rights have come back             as EMPTY to PAGE
 *   PAGE      other PAGE   fault: copy of a shared page                PARKED, flush, PAGE under one hold of the
 *                                                                      lock, then the old reference is dropped
 *   PAGE, PARKED, BLOCK  EMPTY    unmap, advise, truncation              flush, then the references are dropped
 *   BLOCK     TABLE     split: fault, or a change of a part of it      PARKED, flush, TABLE under one hold
 *
 * PAGE and PARKED own one reference of their page, BLOCK one of its block (and so does PARKED in a block's place);
 * after a split each page has a reference of what was the block. A slot of a private region may be writable only if its
 * reference is the only one: then nobody else can get one without the lock of this slot. Fork is the one operation
 * that takes more of them, and it takes the right to write away in the same step.
 *
 * What makes the parts fit together:
 *
 *   stale      A region in a tree never changes. Who changes a range replaces its regions, marks the old ones stale
 *              under regions_lock, and only then goes through the tables, span by span. A fault looks at the mark under
 *              the lock of its span. If it is not set, the changer's visit to that span is still to come and will find
 *              what the fault installs; if the visit is over, the mark is seen, and the fault starts again.
 *   hold       While a fork copies, a fault that would change a slot waits for it. So the child is a picture of one
 *              moment: what a thread stores after it met the fork is not in it, anywhere. And no copy is made of a page
 *              while some CPU may still store to it by an old translation. While a mapping takes the place of
 *              another, a fault that finds nothing waits, too.
 *   code       What a page holds when a slot first lets it be executed is what all CPUs fetch: hal_icache_sync() comes
 *              before the slot, for fresh pages outside of all locks; not again for pages of an object that are as they
 *              were then (vm_object_code_page()). What is stored afterwards is its writer's matter.
 *   reuse      Tables are changed, then TLBs flushed, then pages and tables given back, and only then is `change`
 *              released. So neither an address nor a page is used again while a CPU may reach the old one.
 *   truncate   Who shrinks an object first makes its pages unreachable and counts the cut, then visits the slots of all
 *              its mappings, oldest mapping first (vm/object.h). A fault compares that count, taken before it looked
 *              the page up, under the lock of the span. Fork puts the child's region into its tree, behind the
 *              parent's at the object, before it copies the first slot, and holds the locks of both sides of a slot
 *              while it does, the child's by try: no rank would order them.
 *   skipping   Spans that look empty are passed over without their locks only after the changer has taken each of
 *              the space's table locks once since it marked its regions: whoever was about to fill one, on the word of
 *              the old region, has done so by then.
 *
 * Reading is always possible where any right is: the machines have no write-only or execute-only user pages that would
 * be portable.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/atomic.h>
#include <k/compiler.h>
#include <k/types.h>
#include <sched/mutex.h>
#include <smp/spinlock.h>
#include <smp/tlb.h>
#include <vm/region.h>

struct vm_object;

#define SPACE_ADDRESS_MIN ((vaddr_t)64 << 10) /* nothing below: a null pointer with an offset never hits a mapping */
#define SPACE_STACK_BYTES_MAX ((size_t)8 << 20)
#define SPACE_TABLE_LOCKS 16

/* The lock of every 16th span; alone in its cache line, because faults of different CPUs take different ones. */
struct space_tables {
    struct spinlock lock;
} CACHE_ALIGNED;

enum space_hold { SPACE_HOLD_NONE, SPACE_HOLD_FORK, SPACE_HOLD_REPLACE };

struct space_counts {
    _Atomic(uint64_t) resident_pages; /* slots that own a page, parked ones too; 512 for a block */
    /* Each fault that ended well is one of these. */
    _Atomic(uint64_t) zeroed;         /* a page of zeros was installed */
    _Atomic(uint64_t) copied;         /* a page was copied on write */
    _Atomic(uint64_t) taken_over;     /* the only reference: the page became writable */
    _Atomic(uint64_t) given;          /* an object's page, or rights that had come */
    _Atomic(uint64_t) spurious;       /* the slot said yes already */
    _Atomic(uint64_t) blocks;         /* a block of 2 MiB was installed */

    _Atomic(uint64_t) splits;         /* of blocks */
};

struct space {
    struct tlb_space tlb; /* root, id, who may hold translations */

    _Atomic(uint32_t) refs; /* PAIRS(space_ref) */
    bool uses_huge;         /* immutable after space_create(): 2 MiB pages where they fit */
    _Atomic(bool) uses_barriers; /* its program has said so: membarrier(2) */

    struct mutex change;

    /* Owned by the holder of `change`; faults read the tree under regions_lock, which its holder takes to edit it. */
    struct spinlock regions_lock;
    struct region_tree regions;
    vaddr_t map_top;    /* mappings without an address go below, highest first */
    vaddr_t heap_start; /* 0: none yet */
    vaddr_t heap_end;   /* as the program asked: need not be the end of a page */
    size_t stack_bytes_max;

    /* Written by the holder of `change`. PAIRS is not needed: FORK is set before the fork takes its first lock of
     * tables, and read under that of the slot; REPLACE is set, cleared and read under regions_lock. */
    _Atomic(uint8_t) hold;

    struct space_counts counts;
    struct space_tables tables[SPACE_TABLE_LOCKS];
};

struct space_stats {
    unsigned regions;
    uint64_t mapped_bytes;
    uint64_t data_bytes; /* of those: region_is_data() */
    uint64_t resident_pages;
    uint64_t faults; /* the sum of the next six */
    uint64_t zeroed, copied, taken_over, given, spurious, blocks;
    uint64_t splits;
};

/* Boot: caches, and what objects and traps call. */
void space_init(void);

/* Boot option: do spaces that are created from now on use 2 MiB pages where they fit? At first not. */
void space_set_huge(bool use_huge);

/* A new space without regions, with one reference, or -ENOMEM. Context of all that follow: task, may sleep. */
int space_create(struct space **out) MUST_USE;

void space_get(struct space *space);

/* Drop a reference; the last one gives back pages, tables, regions and the id. No CPU may have it active then. */
void space_put(struct space *space);

/* The running task's space, or NULL. Valid as long as the task does not leave it. */
struct space *space_current(void);

static inline struct space *space_of_tlb(struct tlb_space *tlb)
{
    return container_of(tlb, struct space, tlb);
}

/* ---- Changes ---- */

/* How to map. One of SHARED and PRIVATE. */
#define SPACE_PRIVATE 0x01u         /* stores are seen by this space alone */
#define SPACE_SHARED 0x02u          /* stores go to the object; without one, to a new one that children share */
#define SPACE_FIXED 0x04u           /* at that address, in place of what is there */
#define SPACE_FIXED_NOREPLACE 0x08u /* at that address, or -EEXIST */
#define SPACE_GROWS_DOWN 0x10u      /* a stack: private, no object */
#define SPACE_POPULATE 0x20u        /* fault all pages in; running out of memory is no error */
#define SPACE_HUGE 0x40u            /* use 2 MiB pages if the space does */
#define SPACE_NO_HUGE 0x80u         /* never */
#define SPACE_NO_WRITE 0x100u       /* it may never become writable: a shared mapping of what is open for reading */

struct space_request {
    vaddr_t at;     /* with FIXED*: the address; else a hint, taken if it is free, 0: anywhere */
    size_t bytes;   /* rounded up to pages */
    unsigned rights; /* VM_READ, VM_WRITE, VM_EXEC; 0: reserved, no access */
    unsigned flags;
    struct vm_object *object; /* NULL: zeros. The region takes a reference of its own */
    uint64_t offset;          /* of the first byte in the object, page-aligned */
};

/* Map; *out_va is where. -EINVAL: 0 bytes, misaligned, neither or both of SHARED and PRIVATE, flags that exclude each
 * other or are unknown. -EPERM: a fixed address below SPACE_ADDRESS_MIN. -ENOMEM: no
 * gap, beyond the user's half, too many regions, out of memory. -EEXIST: see above. -EOVERFLOW: the offset's end. */
int space_map(struct space *space, const struct space_request *request, vaddr_t *out_va) MUST_USE;

/* Unmap whatever is mapped there; nothing is fine, too. -EINVAL: misaligned, 0 bytes, wraps, beyond the user's half.
 * -ENOMEM: a region would have to be cut and cannot; nothing is changed then. */
int space_unmap(struct space *space, vaddr_t va, size_t bytes) MUST_USE;

/* Give the whole range these rights. When it returns no CPU uses rights that were taken away; rights that were given
 * are found by faults. -EINVAL: range or rights; -ENOMEM: a hole in the range, or out of memory; -EACCES:
 * SPACE_NO_WRITE. Unlike Linux's mprotect(2), which stops in the middle, an error changes nothing. */
int space_protect(struct space *space, vaddr_t va, size_t bytes, unsigned rights) MUST_USE;

/* mremap(2): old_bytes at `at`, of one region, become `bytes`, there or elsewhere; out of memory and -ENOMEM mean that
 * nothing has changed but with FIXED, where what was at `to` is gone. -EFAULT: no region covers it. -EINVAL: alignment,
 * nothing, flags, an overlap, old_bytes 0 of a private region (of a shared one: a second mapping). -ENOMEM: no place,
 * or large pages would have to move. */
#define SPACE_REMAP_MAY_MOVE 0x1u
#define SPACE_REMAP_FIXED 0x2u /* to `to`, in place of what is there */
#define SPACE_REMAP_KEEP 0x4u  /* the old range stays mapped, and is empty: private anonymous memory only */
#define SPACE_REMAP_FLAGS (SPACE_REMAP_MAY_MOVE | SPACE_REMAP_FIXED | SPACE_REMAP_KEEP)
struct space_remap {
    vaddr_t at;
    size_t old_bytes, bytes;
    unsigned flags;
    vaddr_t to;
};
int space_remap(struct space *space, const struct space_remap *remap, vaddr_t *out_va) MUST_USE;

enum space_advice {
    SPACE_DONTNEED, /* forget the pages: private ones read as zeros or as the object says. Until it returns, other
                       threads may find old and new pages there */
    SPACE_FREE,     /* the contents may go: they go at once. -EINVAL where an object is mapped or it is shared */
    SPACE_USE_HUGE, /* for faults to come */
    SPACE_USE_SMALL,
};
/* -EINVAL: range, advice. -ENOMEM: a hole in the range (the rest is done for DONTNEED and FREE), or out of memory. */
int space_advise(struct space *space, vaddr_t va, size_t bytes, enum space_advice advice) MUST_USE;

/* Fault the whole range in, so that later accesses do not wait: nothing here takes pages away again, so that is all
 * that locking them in memory means. -EINVAL: range. -ENOMEM: a hole, or out of memory. Others as space_fault(). */
int space_pin(struct space *space, vaddr_t va, size_t bytes) MUST_USE;

/* Where the heap begins, empty. -EINVAL: there is one, or no user address. */
int space_set_heap(struct space *space, vaddr_t start) MUST_USE;

/* Where mappings without an address go: below. Rounded down to a page. */
void space_set_map_top(struct space *space, vaddr_t top);

/* How much a region that grows down may grow to; what is larger already stays. */
void space_set_stack_max(struct space *space, size_t bytes);

/* Where the heap is; both 0: there is none. */
void space_heap_get(struct space *space, vaddr_t *out_start, vaddr_t *out_end);

/* Move the heap's end; *out_end is where it is afterwards, moved or not. end 0 only asks. -EINVAL: no heap, or below
 * its start. -ENOMEM: something is in the way, or out of memory. */
int space_brk(struct space *space, vaddr_t end, vaddr_t *out_end) MUST_USE;

/* A copy, with one reference: private pages are shared until one side writes, shared ones stay shared. Costs by table
 * page, not by byte. -ENOMEM: nothing is left behind. Other threads of the space may go on. */
int space_fork(struct space *parent, struct space **out) MUST_USE;

/* ---- Faults and questions ---- */

/* Make an access possible: VM_READ, VM_WRITE or VM_EXEC. 0: try again. -EFAULT: nothing is mapped, or a stack would
 * come too near to what is below it. -EACCES: not with these rights. -ENXIO: beyond the object's end. -ENOMEM. No
 * mutex of a space may be held. */
int space_fault(struct space *space, vaddr_t va, unsigned access) MUST_USE;

/* The same in the running task's space, for trap_set_user_fault(). -EFAULT: it has none. */
int space_fault_current(vaddr_t va, unsigned access) MUST_USE;

/* The first region that ends above va. -ENOENT: none. */
struct space_region {
    vaddr_t start, end;
    unsigned rights, flags;
    bool has_object;
    const struct vm_object *object; /* to be compared with others, not to be used */
    uint64_t offset;
};
int space_query(struct space *space, vaddr_t va, struct space_region *out) MUST_USE;

/* mincore(2): 1 for each page that an access would not have to bring in, else 0. -EINVAL; -ENOMEM: a hole. */
int space_look(struct space *space, vaddr_t va, size_t pages, uint8_t *out) MUST_USE;

/* Is all of it mapped, with whatever rights? False, too, of nothing and of what is not the user's. */
bool space_is_mapped(struct space *space, vaddr_t va, size_t bytes);

/* What a word of shared memory is known by in every space that maps it: its object, with a reference for the caller,
 * and the offset in it. *out_object NULL: it is this space's own, *out_offset is untouched. -EFAULT: nothing that may
 * be accessed is mapped there. */
int space_shared_place(struct space *space, vaddr_t va, struct vm_object **out_object, uint64_t *out_offset) MUST_USE;

void space_stats_get(struct space *space, struct space_stats *out);
