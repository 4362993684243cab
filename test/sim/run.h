/* SPDX-License-Identifier: MIT */
/* What the parts of the `sim` program call of each other. Scenarios and checkers need sim.h alone. */
#pragma once

#include <stdio.h>

#include "sim.h"

/* run.c: of the runs that follow. */
void sim_stop_at(uint64_t step);      /* host_stop_here() before this step; 0: never */
void sim_console_echo(bool is_on);    /* the kernel's console to standard output, with its info lines */


void sim_also(void (*step)(void));    /* a recorder, called after each step with the machine quiet; NULL: none */

/* sanitizer.c: what AddressSanitizer and ThreadSanitizer say is kept, for the report of the run that it ended. */
const char *sanitizer_option(void); /* what asks ./verdant sim for this build: " --sanitizer thread", or "" */
void sanitizer_begin(void);
enum sim_promise sanitizer_promise(int status); /* of a run that crashed with this signal or exit status */
void sanitizer_print(FILE *to);             /* what was said in the last run */
