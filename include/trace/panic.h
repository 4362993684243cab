/* SPDX-License-Identifier: MIT */
/* What panic needs to know from rooms above it, as registered facts. */
#pragma once

#include <stdint.h>

#include <k/panic.h>

struct cpu;

/* Describe what a CPU is doing ("task 17 'hog' running, 3 queued") into the log, and give the bounds of the running
 * task's stack. Set by sched at boot; before that panic says only the CPU. */
struct panic_hooks {
    void (*describe_cpu)(struct cpu *cpu);
    void (*stack_bounds)(uintptr_t *low, uintptr_t *high);
};
void panic_set_hooks(const struct panic_hooks *hooks);

/* Another CPU panicked: report this one and park. Context: irq. */
[[noreturn]] void panic_stop_this_cpu(void);
