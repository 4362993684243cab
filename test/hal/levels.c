/* SPDX-License-Identifier: MIT */
/* The order of the levels is the order in which a port comes to life: docs/PORTING.md. */
#include "levels.h"

const struct kit_level kit_levels[] = {
    { "console", level_console },
    { "memory", level_memory },
    { "cpu", level_cpu },
    { "entries", level_entries },
    { "context", level_context },
    { "tables", level_tables },
    { "irq", level_irq },
    { "traps", level_traps },
    { "clock", level_clock },
    { "timer", level_timer },
    { "idle", level_idle },
    { "fpu", level_fpu },
    { "preempt", level_preempt },
    { "mmu", level_mmu },
    { "tags", level_tags },
    { "start", level_start },
    { "poke", level_poke },
    { "remote", level_remote },
    { "migrate", level_migrate },
    { "code", level_code },
    { "user", level_user },
    { "park", level_park },
    { "restart", level_restart },
    { NULL, NULL },
};
