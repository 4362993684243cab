/* SPDX-License-Identifier: MIT */
/* The levels: each returns NULL, or why there was nothing to try. A level may rely on those before it. */
#pragma once

#include "kit.h"

/* levels_boot.c */
const char *level_console(void);
const char *level_memory(void);
const char *level_cpu(void);
const char *level_entries(void);
const char *level_tables(void);

/* levels_task.c */
const char *level_context(void);
const char *level_irq(void);
const char *level_traps(void);
const char *level_fpu(void);
const char *level_mmu(void);

/* levels_time.c */
const char *level_clock(void);
const char *level_timer(void);
const char *level_idle(void);
const char *level_preempt(void);

/* levels_tlb.c */
const char *level_tags(void);
const char *level_remote(void);

/* levels_cpus.c */
const char *level_start(void);
const char *level_poke(void);
const char *level_migrate(void);
const char *level_park(void);
const char *level_restart(void);

/* levels_code.c */
const char *level_code(void);

/* levels_user.c */
const char *level_user(void);
