/* SPDX-License-Identifier: MIT */
/* Control of the log: k/log.h is what everybody calls. */
#pragma once

#include <stdbool.h>

#include <k/log.h>

/* Lines above this level are kept in the ring but not printed. Context: boot. */
void log_set_console_level(enum log_level level);

/* The machine is dying: from now on the log waits for whoever is printing within a bound only, and asks nothing of this
 * CPU and its task. Lines stay whole unless that one never ends its own. Context: any. */
void log_enter_panic(void);
