/* SPDX-License-Identifier: MIT */
/*
 * Lock order, once. A CPU takes spinlocks in rising rank only; debug builds assert it at every acquisition. The
 * exceptions are two run queues (LOCK_RUNQ), always lower CPU number first, and two futex buckets (LOCK_FUTEX), always
 * the one at the lower address first.
 */
#pragma once

enum lock_rank {
    LOCK_NONE,
    LOCK_PROC_TREE, /* process tree, exit records */
    LOCK_FILES,     /* a descriptor table; root and working directory */
    LOCK_NAMES,     /* where names are in the tree, and what is mounted */
    LOCK_INODE,     /* an inode's attributes */
    LOCK_OBJECT,    /* a memory object: its pages, and who maps it */
    LOCK_SPACE,     /* a space's region tree */
    LOCK_TABLES,    /* a part of a space's page tables */
    LOCK_MM,        /* kernel mappings, stack cache */
    LOCK_SLAB,      /* one slab cache */
    LOCK_DRAIN,     /* one drain of the page caches at a time */
    LOCK_PHYS,      /* buddy allocator */
    LOCK_TID,       /* id allocation */
    LOCK_ADMIT,     /* which CPU has room for which deadline task */
    LOCK_CALL,      /* cross-CPU call slot */
    LOCK_FUTEX,     /* a bucket of futex waiters; user words are read under it, where present */
    LOCK_OWNER,     /* the futexes with inheritance that a thread owns */
    LOCK_DEADLOCK,  /* one check for a circle of mutexes at a time */
    LOCK_MUTEX,     /* a mutex's inner lock */
    LOCK_PI,        /* what a task inherits and lends; a second mutex's inner lock under it by try only */
    LOCK_SIGNAL,    /* a process's signals */
    LOCK_HANDLERS,  /* a table of signal handlers, which processes may share */
    LOCK_TIMERFD,   /* a timer that is a file */
    LOCK_TIMER,     /* a CPU's timer queue */
    LOCK_WAITQ,     /* a wait queue */
    LOCK_EPOLL,     /* an epoll's list of watches that were told of, and who waits for it */
    LOCK_QUIESCE,   /* grace-period bookkeeping */
    LOCK_RUNQ,      /* a run queue */
    LOCK_ANCHORS,   /* which CPU a task's affinity counts on */
    LOCK_ASID,      /* address-space ids: taken inside a switch */
    LOCK_LATENCY,   /* a CPU's latency ledger */
    LOCK_RANDOM,    /* the state of the random-number generator */
    LOCK_LOG,       /* log ring and console: legal under everything else */
    LOCK_RANK_COUNT,
};
