/* SPDX-License-Identifier: MIT */
/* The last events of each CPU: for watch.c. */
#pragma once

#include "watch.h"

void sim_events_begin(void);
void sim_event_keep(enum trace_event event, const void *object, uint64_t value);
