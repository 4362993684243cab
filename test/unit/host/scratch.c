/* SPDX-License-Identifier: MIT */
/* Upcalls and helpers of the scratch kernels; see scratch.h. */
#include "scratch.h"

/* Apart from the state that each test clears: a dead task's frames stay poisoned until its stack is used again. */
static ALIGNED(16) char stack[SCRATCH_STACK_BYTES];

struct scratch scratch;
struct host_result result;

void trap_timer(void)
{
    fetch_add_relaxed(&scratch.timers, 1);
    if (scratch.on_timer != NULL)
        scratch.on_timer();
}

void trap_ipi(void)
{
    fetch_add_relaxed(&scratch.ipis, 1);
    if (scratch.on_ipi != NULL)
        scratch.on_ipi();
}

void trap_exit(struct hal_trap *trap)
{
    assert_true(hal_trap_pc(trap) != 0);
    if (scratch.on_exit != NULL)
        scratch.on_exit();
}

/* Exit code 40 + kind: a fault ends these scratch kernels as a panic ends the real one. */
void trap_fault(struct hal_trap *trap, const struct fault_info *fault)
{
    (void)trap;
    scratch.fault = *fault;
    hal_machine_exit(40 + (int)fault->kind);
}

int scratch_reset(void **state)
{
    (void)state;
    memset(&scratch, 0, sizeof scratch);
    return 0;
}

struct host_config config_of(unsigned cpus, uint64_t seed)
{
    return (struct host_config){ .cpus = cpus, .seed = seed, .memory_bytes = 4 << 20, .max_steps = 2000000 };
}

int run(const struct host_config *config)
{
    (void)scratch_reset(NULL);
    return host_machine_run(config, &result);
}

int run_entry(unsigned cpus, uint64_t seed, void (*entry)(struct boot_info *))
{
    struct host_config config = config_of(cpus, seed);

    config.entry = entry;
    return run(&config);
}

void boot_cpu_start(void)
{
    hal_cpu_init(0, &scratch.task[0], NULL);
}

void context_of(struct task *task, void (*entry)(void *), void *arg)
{
    hal_context_init(&task->context, (vaddr_t)stack + sizeof stack, sizeof stack, entry, arg);
}
