/* SPDX-License-Identifier: MIT */
/* Control of the log: k/log.h is what everybody calls. */
#pragma once

#include <stdbool.h>

#include <k/log.h>

/* Lines above this level are kept in the ring but not printed. Context: boot. */
void log_set_console_level(enum log_level level);

/* From now on the log takes no lock and waits for nobody: the machine is dying. Context: any. */
void log_enter_panic(void);
