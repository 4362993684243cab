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
    assert_true(HAL_TRAP_PC(trap) != 0);
    if (scratch.on_exit != NULL)
        scratch.on_exit();
}

/* Exit code 40 + kind: a fault ends these scratch kernels as a panic ends the real one. */
bool trap_fault(struct hal_trap *trap, const struct fault_info *fault)
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

uint64_t *table_at(paddr_t pa)
{
    return (uint64_t *)(HAL_DIRECT_MAP_BASE + pa);
}

paddr_t page_take(void)
{
    scratch.next_page += PAGE_BYTES;
    return scratch.next_page - PAGE_BYTES;
}

uint64_t *pte_at(paddr_t root, vaddr_t va, unsigned want)
{
    paddr_t table = root;

    for (unsigned level = HAL_PT_LEVELS - 1; level > want; level--) {
        uint64_t *pte = &table_at(table)[va >> (PAGE_SHIFT + level * HAL_PT_INDEX_BITS) & 511];

        if ((*pte & HAL_PTE_VALID) == 0)
            *pte = hal_pte_table(page_take());
        table = hal_pte_paddr(*pte);
    }
    return &table_at(table)[va >> (PAGE_SHIFT + want * HAL_PT_INDEX_BITS) & 511];
}

uint64_t *pte_of(paddr_t root, vaddr_t va)
{
    return pte_at(root, va, 0);
}

void memory_prepare(const struct boot_info *boot)
{
    /* The middle of the low range: no firmware and no image there. */
    scratch.next_page = ROUND_UP(boot->memory[1].base + boot->memory[1].bytes / 2, PAGE_BYTES);
}

paddr_t memory_start(const struct boot_info *boot)
{
    paddr_t root;

    boot_cpu_start();
    memory_prepare(boot);
    root = page_take();
    hal_mmu_activate_kernel(root);
    return root;
}
