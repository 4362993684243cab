/* SPDX-License-Identifier: MIT */
/* Control of the log: k/log.h is what everybody calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <k/log.h>

/* Lines above this level are kept in the ring but not printed. Context: any. */
void log_set_console_level(enum log_level level);
enum log_level log_console_level(void);

/* Text to the console as it is, at once and between lines of the log; not into the ring. A newline also returns the
 * carriage. What does not end with one is ended by the next line of the log, which begins on a line of its own.
 * Context: any. */
void log_write(const char *text, size_t bytes);

/* The same without a carriage return before a newline: what a terminal sends. */
void log_write_raw(const char *text, size_t bytes);

/* The machine is dying: from now on the log waits for whoever is printing within a bound only, and asks nothing of this
 * CPU and its task. Lines stay whole unless that one never ends its own. Context: any. */
void log_enter_panic(void);
