/* SPDX-License-Identifier: MIT */
/*
 * Stories that are told in more than one place: by the self-check of the booted kernel, by the simulator's scenarios,
 * and by unit tests that boot the kernel on the simulated machine. They count failed checks and leave nothing behind.
 * No story looks at the time: an emulated machine may stand still.
 */
#pragma once

#include <stdint.h>

/* A task of low priority holds a mutex, on whose CPU there are so many others (at most STORY_HOGS_MAX) that never
 * sleep, and an urgent one wants it: none of the others runs meanwhile. `relaxes`: how long low takes with it. */
#define STORY_HOGS_MAX 6u
void story_inversion(int low_priority, unsigned hogs, unsigned relaxes);

/* Twelve tasks wait for each other in a row, pushed at its end by one that comes, changes, is killed, or times out. */
void story_chain(void);

/* A deadline task waits for a mutex that somebody of owner_priority owns indirectly: both of them have its absolute
 * deadline, whatever changes, until it gets the mutex, gives up, or is killed. */
void story_lend(int owner_priority);

/* A deadline task yields again and again, also where nobody else wants the CPU: each yield is a period. How many there
 * were while so many periods passed; where time does not stand still, as many. */
unsigned story_yields(uint64_t period_ns, unsigned periods);
