/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables: small numbers for open files. A table belongs to the tasks that share it (CLONE_FILES).
 *
 * Look-up is on the path of every read and write. While a table has one user, that user alone changes it, so a look-up
 * is two loads, and takes no reference: nobody can close the file before the call that borrowed it ends. With more
 * users it takes a reference, in a glance (smp/glance.h): without the table's lock, for which threads that read and
 * write would queue up. Whoever takes a file out of the table, or the places away, waits for glances before the
 * reference or the memory goes. fd_borrow() does the one or the other, fd_return() undoes it.
 * Who borrows is the running task, from its own table, and clones nobody into it before it returns what it borrowed.
 *
 *   entry:  FREE -> RESERVED (fd_reserve) -> OPEN (fd_install) -> FREE (fd_close, fd_close_on_exec, last put)
 *           RESERVED -> FREE (fd_unreserve);  OPEN -> OPEN, another file (fd_replace).  All under `lock`.
 *
 * Context: task. `limit` is RLIMIT_NOFILE: numbers are below it.
 */
#pragma once

#include <fs/file.h>
#include <hal/irq.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <smp/glance.h>
#include <smp/spinlock.h>

#define FD_LIMIT_MAX 524288u /* what RLIMIT_NOFILE may be: a table is one piece of memory */
#define FD_INLINE 64u         /* the numbers that a table has room for from the start */

struct fd_table {
    _Atomic(uint32_t) users; /* PAIRS(fd_users) */
    struct spinlock lock;    /* LOCK_FILES: guards what follows; room and files may be looked at in a glance, too */
    _Atomic(unsigned) room;  /* PAIRS(fd_room): numbers below this have a place */
    _Atomic(struct file *) *_Atomic files; /* PAIRS(fd_file); NULL: free or reserved */
    uint64_t *used;          /* bit: reserved or open */
    uint64_t *cloexec;
    unsigned lowest;         /* no free number below this */
    _Atomic(struct file *) inline_files[FD_INLINE];
    uint64_t inline_used, inline_cloexec;
};

void fd_init(void); /* boot */

/* An empty table with one user. -ENOMEM. */
int fd_table_create(struct fd_table **out) MUST_USE;

/* A table of one's own with the same files: fork(2), unshare(2). -ENOMEM. */
int fd_table_copy(struct fd_table *from, struct fd_table **out) MUST_USE;

/* One more task, or somebody who looks at it from outside. */
void fd_table_get(struct fd_table *table);
/* The last one closes everything. May sleep. */
void fd_table_put(struct fd_table *table);

/* file_held_bytes() of all that is open. Context: any, no spinlock from LOCK_FILES on held. */
uint64_t fd_held_bytes(struct fd_table *table);

struct fd_borrowed {
    struct file *file; /* NULL: -EBADF */
    bool is_counted;
};

/* A counted reference, or NULL: for tables of others, too, and for what outlives the call. Context: task, interrupts
 * enabled. */
struct file *fd_get(struct fd_table *table, unsigned fd);

/* fd_get(), in line. */
static ALWAYS_INLINE struct file *fd_get_here(struct fd_table *table, unsigned fd)
{
    struct file *file = NULL;

    hal_irq_disable();
    struct cpu *cpu = this_cpu();

    glance_begin(cpu, table);
    if (LIKELY(fd < load_acquire(&table->room))) { /* PAIRS(fd_room): places for so many, or newer ones */
        file = load_dependent(&load_dependent(&table->files)[fd]); /* PAIRS(fd_file): the file as it was put there */
        if (LIKELY(file != NULL))
            (void)fetch_add_relaxed(&file->refs, 1); /* file_get(): the table's reference is there */
    }
    glance_end(cpu);
    hal_irq_enable();
    return file;
}

/* Has it one user, the running task? Then nobody else changes it, and what fd_at() finds stays for the call. */
static ALWAYS_INLINE bool fd_is_own(struct fd_table *table)
{
    return load_acquire(&table->users) == 1; /* PAIRS(fd_users): what a user that is gone did to the table */
}

static ALWAYS_INLINE struct file *fd_at(struct fd_table *table, unsigned fd)
{
    return fd < load_relaxed(&table->room) ? load_relaxed(&load_relaxed(&table->files)[fd]) : NULL;
}

static inline struct fd_borrowed fd_borrow(struct fd_table *table, unsigned fd)
{
    if (LIKELY(fd_is_own(table)))
        return (struct fd_borrowed){fd_at(table, fd), false};
    return (struct fd_borrowed){fd_get(table, fd), true};
}

static inline void fd_return(struct fd_borrowed borrowed)
{
    if (UNLIKELY(borrowed.is_counted) && borrowed.file != NULL)
        file_put(borrowed.file);
}

/* The lowest free number that is at least `from`. -EMFILE, -ENOMEM, -EINVAL: from is not below the limit. */
int fd_reserve(struct fd_table *table, unsigned from, unsigned limit, bool cloexec) MUST_USE;
/* A reserved number becomes the file's; the caller's reference is the table's. */
void fd_install(struct fd_table *table, unsigned fd, struct file *file);
void fd_unreserve(struct fd_table *table, unsigned fd);

/* Both at once: the number, or an error, and then the caller keeps its reference. */
int fd_add(struct fd_table *table, struct file *file, unsigned from, unsigned limit, bool cloexec) MUST_USE;

/* close(2). -EBADF. */
int fd_close(struct fd_table *table, unsigned fd) MUST_USE;
/* close_range(2): all open ones in [first, last]. */
void fd_close_range(struct fd_table *table, unsigned first, unsigned last);
void fd_cloexec_range(struct fd_table *table, unsigned first, unsigned last);

/* dup(2), fcntl(F_DUPFD): the new number. -EBADF, -EMFILE, -ENOMEM, -EINVAL. */
int fd_dup(struct fd_table *table, unsigned fd, unsigned from, unsigned limit, bool cloexec) MUST_USE;
/* dup3(2) of two different numbers: `to`. -EBADF, -EBUSY: `to` is reserved, -ENOMEM. dup2(2) of equal ones is the
 * caller's. */
int fd_dup_to(struct fd_table *table, unsigned fd, unsigned to, unsigned limit, bool cloexec) MUST_USE;

/* FD_CLOEXEC. -EBADF. */
int fd_cloexec_get(struct fd_table *table, unsigned fd) MUST_USE;
int fd_cloexec_set(struct fd_table *table, unsigned fd, bool cloexec) MUST_USE;

/* exec: close what is marked. The caller is the table's one user. */
void fd_close_on_exec(struct fd_table *table);

/* Numbers from there on are not open. A hint, if the table has other users. */
unsigned fd_room(struct fd_table *table);

/* The lowest open number at or above `from`, or -ENOENT: for those who list. */
int fd_next(struct fd_table *table, unsigned from) MUST_USE;
