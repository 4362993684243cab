/* SPDX-License-Identifier: MIT */
/* The part of sched_priv.h, which includes it, that is about samples of user and system time: cputime.c. */
#pragma once

#include <sched/cputime.h>
#include <time/timer.h>

struct runq;
struct task;

/* Owned by its CPU, interrupts off. */
struct sampler {
    struct timer timer;
    bool is_on;
    bool is_steady_user;         /* what the last sample found: the mode, */
    const struct task *steady;   /* and whom; only to be compared. NULL: nothing yet */
    uint64_t steady_since_ticks; /* since when all samples have found the same */
    uint64_t at_ticks;           /* the last one, or when it was turned on */
    uint32_t chance;
    struct cputime all; /* of all that ran here; guarded by the run queue's lock */
};

/* Context: interrupts disabled, own CPU, no lock; but for init. */
void cputime_init_runq(struct runq *rq);
void cputime_start(struct runq *rq);
void cputime_stop(struct runq *rq);
