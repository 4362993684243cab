/* SPDX-License-Identifier: MIT */
/* CPUs: who am I, idle, start, poke, and the end of the machine. */
#pragma once

#include <k/types.h>

struct task;

/* The task running on this CPU, from a register. Context: any, after hal_cpu_init(). Order: none.
 * Correct at every instruction, also across a migration: the register is switched with the task. */
static inline struct task *hal_current(void);

/* Spin-wait hint. Context: any. Order: none. It need not sleep, and on riscv64 under QEMU it does not. */
static inline void hal_cpu_relax(void);

/* Wait for an interrupt and take it. Context: task, interrupts DISABLED; returns with them disabled, after every
 * interrupt that was pending has been handled. Atomic: one that arrives after the caller's last check ends the wait. */
static inline void hal_cpu_idle(void);

/* First HAL call on each CPU: current = task; trap vectors, interrupt controller, timer (disarmed), extended state off.
 * `area` is HAL_CPU_AREA_BYTES (0: none needed) of zeroed, page-aligned memory that this CPU keeps for
 * ever. The boot CPU calls twice: at once with NULL, for a static area that only has to carry it until
 * there is memory, then with its own.
 * Context: boot, interrupts disabled; leaves them disabled. */
void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area);

/* Start `cpu` (not yet started, or parked): it takes on the kernel page table `root` and enters task's hal_context as
 * if switched to it, interrupts disabled; its first call must be hal_cpu_init(). Context: task. Order: release,
 * everything stored before is visible there. 0, or -EIO/-ENODEV/-EINVAL if the firmware refuses at once; -EAGAIN: it
 * runs, perhaps on its way into hal_cpu_park(), if the machine can tell; that the CPU answers is for the caller to
 * wait for. Without a task nothing is started: the answer is whether it could be, and 0 says that no context or stack
 * of its last life is of any use to it. What hal_cpu_init() was given is gone with that life; the CPU zeroes the area
 * before it calls again. */
int hal_cpu_start(cpu_id_t cpu, paddr_t root, struct task *task);

/* Make `cpu` call trap_ipi() soon. Context: any, also interrupts disabled. Order: release; stores before it are visible
 * to that trap_ipi(). Coalesces with a poke that is still pending. May be self. Never waits for the target. */
void hal_cpu_poke(cpu_id_t cpu);

/* This CPU leaves: interrupts off, sleep, until hal_cpu_start() starts it again with another task, if somebody does. It
 * stands on its stack until that call succeeds, and takes no poke and no timer: what is pending is lost, or comes late,
 * as a poke that nobody asked for. Context: any. */
[[noreturn]] void hal_cpu_park(void);

/* Leave the machine; code 0 is success. QEMU's exit device if there is one, else power off, else park. Context: any. */
[[noreturn]] void hal_machine_exit(int code);

#include <hal_machine.h>
