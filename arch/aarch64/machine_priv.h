/* SPDX-License-Identifier: MIT */
/* What the files of this machine share: register access, addresses, and the discovery step of each driver. */
#pragma once

#include <stdbool.h>

#include <hal/boot.h>
#include <k/types.h>
#include <machine_layout.h>
#include <parse/fdt.h>

#define SYSREG_READ(name)                                                \
    ({                                                                   \
        uint64_t value_;                                                 \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");     \
        value_;                                                          \
    })
#define SYSREG_WRITE(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define ISB() __asm__ volatile("isb" ::: "memory")
#define DSB(domain) __asm__ volatile("dsb " #domain ::: "memory")

/* At the beginning of a CPU's area. Owned by its CPU, interrupts off. */
struct machine_cpu {
    enum machine_unit { UNIT_OFF, UNIT_FP, UNIT_VECTOR } unit; /* what does not trap: CPACR_EL1 and VBAR_EL1, too */
    struct machine_fpu *area; /* of the running task; NULL: none */
    struct machine_fpu *held; /* while the unit is off: whose state the registers hold, if its `held_by` says so, too */
};

/* The affinity fields of MPIDR_EL1: what a CPU node's reg holds (ARM D17.2.101). */
#define MPIDR_AFFINITY_MASK UINT64_C(0xff00ffffff)

/* Device registers. Plain loads and stores by hand: a hypervisor cannot emulate the forms with write-back, which the
 * compiler is free to choose. */
static inline uint32_t mmio_read32(uintptr_t address)
{
    uint32_t value;

    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline uint64_t mmio_read64(uintptr_t address)
{
    uint64_t value;

    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void mmio_write32(uintptr_t address, uint32_t value)
{
    __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline uintptr_t phys_to_direct(paddr_t pa)
{
    return LAYOUT_DIRECT_MAP_BASE + pa;
}

/* mmu.c */
/* Where a symbol of the image is in memory. */
paddr_t mmu_image_paddr(uintptr_t address);
/* Add [pa, pa + bytes) to the boot code's direct map, rounded out to pages; what is mapped already stays as it is.
 * Returns the bytes mapped from pa on: less than `bytes` when the boot code's tables are used up. */
uint64_t mmu_map_early(paddr_t pa, uint64_t bytes, unsigned prot);

/* Address-space ids that this CPU can tell apart. */
unsigned mmu_asid_count(void);

/* fpu.c. The unit is off on this CPU, and holds nobody's state; the boot CPU says what there is. Then: the running task
 * uses the unit, which traps. 0: not for it to use; else to be tried again. Context: interrupts disabled. */
void fpu_init_cpu(bool may_store);
unsigned fpu_use(unsigned wants_vectors);
/* Of a vector area: the bytes of the record with the registers of such a length. What of it is a frame's end. */
size_t fpu_vector_record_bytes(size_t length);
#define VECTOR_END_BYTES 48u
/* Linux's PR_SVE_SET_VL and PR_SVE_GET_VL: bytes, or -EINVAL. */
int64_t fpu_set_vector_length(struct machine_fpu *area, uint64_t length);
int64_t fpu_get_vector_length(const struct machine_fpu *area);

/* user.c: where to go on when the access to user memory at pc fails; 0: there is none at pc. */
uintptr_t user_failed_pc(uintptr_t pc);

/* cpu.c, for user.S: is PSTATE.PAN there, and set? */
extern bool cpu_has_pan;

/* boot.c. The boot code stops with panic(): it works before kmain(), too, on whatever console there is. */
extern struct boot_info boot_info;
/* Append to boot_info.device; `what` is for the panic when the list is full. */
void boot_use_device(paddr_t base, uint64_t bytes, const char *what);

/* uart.c: registers from the device tree, mapped early. */
void uart_discover(const struct fdt *fdt);

/* gic.c */
#define GIC_PPI_BASE 16u
#define GIC_PPI_COUNT 16u
#define GIC_SGI_POKE 0u
#define GIC_NONE 1020u /* this and above: nothing was pending */
void gic_discover(const struct fdt *fdt);
uint32_t gic_interrupt_cells(void); /* in one interrupt specifier */
void gic_init_cpu(cpu_id_t cpu);
void gic_mask_cpu(void);
void gic_poke(cpu_id_t cpu);
uint32_t gic_acknowledge(void); /* a token for gic_end(); gic_id() says which interrupt it is */
uint32_t gic_id(uint32_t token);
void gic_end(uint32_t token);

/* timer.c */
void timer_discover(const struct fdt *fdt);
uint32_t timer_interrupt(void); /* its id at the GIC */

/* psci.c */
void psci_discover(const struct fdt *fdt);
unsigned psci_version(void); /* major << 16 | minor; 0 without PSCI */
int psci_cpu_on(uint64_t mpidr, paddr_t entry, uint64_t argument) MUST_USE;
int psci_cpu_is_off(uint64_t mpidr) MUST_USE; /* 0; -EAGAIN: no; -ENODEV: there is nobody to ask */
void psci_cpu_off(void); /* this CPU; returns if the firmware cannot */
void psci_system_off(void); /* returns if the firmware cannot */

/* trap.c: Arm semihosting, QEMU's and debuggers'. Nothing happens where there is none. */
void semihost_exit(int code);
void semihost_put(char c);
