/* SPDX-License-Identifier: MIT */
/* The checkers by name. What each one looks at, and how its bounds are derived, stands at the head of its file. */
#pragma once

#include "sim.h"

extern const struct sim_checker checker_edges;  /* check_edges.c: states, and who changed them; shadows of tasks */
extern const struct sim_checker checker_wait;   /* check_wait.c: waits, settled once and ended by a wake */
extern const struct sim_checker checker_locks;  /* check_locks.c: what is held where; circles of waiters */
extern const struct sim_checker checker_grace;  /* check_grace.c */
extern const struct sim_checker checker_memory; /* check_memory.c: objects and pages */
extern const struct sim_checker checker_tlb;    /* check_memory.c: freed pages that a TLB still knows */
extern const struct sim_checker checker_place;  /* check_place.c: affinity */
extern const struct sim_checker checker_order;  /* check_place.c: urgency */
extern const struct sim_checker checker_urgent; /* check_urgent.c: urgency over all CPUs */
extern const struct sim_checker checker_inherit; /* check_inherit.c */
extern const struct sim_checker checker_deadline; /* check_deadline.c */
extern const struct sim_checker checker_share;  /* check_share.c: what deadline and real-time tasks leave */
extern const struct sim_checker checker_time;   /* check_time.c: timers */
extern const struct sim_checker checker_queue;  /* check_queue.c: lists, counts, who runs where */
extern const struct sim_checker checker_census; /* check_queue.c: sums over the machine */
extern const struct sim_checker checker_idle;   /* check_idle.c: work conservation */
