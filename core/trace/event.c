/* SPDX-License-Identifier: MIT */
/* Who listens to the tracepoints: one word, see k/trace.h. */
#include <k/trace.h>

_Atomic(trace_listener_fn *) trace_listener;
