/* SPDX-License-Identifier: MIT */
/*
 * The debug console: commands typed on the serial line. A task looks for keys and sleeps in between, because the HAL
 * has no interrupt for them; without the boot options init=console or console=on there is no such task, and nothing
 * runs.
 */
#pragma once

#include <k/compiler.h>

/* The boot program "console": prompt, read, answer until "exit CODE", whose code it returns. Context: task. */
int console_main(const char *argument);

/* The same in a task of its own, beside what init= names; its "exit" ends the machine. 0 or a negative errno. Context:
 * task, also one that may not sleep. */
int console_start(void);

/* The terminal's input, for user programs. -EAGAIN, -ENOMEM. Context: boot, before user programs. */
int keyboard_start(void) MUST_USE;
