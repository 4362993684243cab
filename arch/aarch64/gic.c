/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller: GICv2 (Arm IHI 0048) or GICv3 and later (IHI 0069), whichever the device tree names. Two
 * interrupts are in use: one SGI, the poke, and the timer's PPI. Everything else is disabled, on every CPU, whatever
 * the firmware left. No lock: distributor set-up is the boot CPU's alone, the rest is each CPU's own.
 */
#include <hal/cpu.h>
#include <k/compiler.h>
#include <k/panic.h>

#include "machine_priv.h"

#define GICD_CTLR 0x0u
#define GICD_TYPER 0x4u
#define GICD_IGROUPR 0x80u
#define GICD_ISENABLER 0x100u
#define GICD_ICENABLER 0x180u
#define GICD_ICPENDR 0x280u
#define GICD_ICACTIVER 0x380u
#define GICD_IPRIORITYR 0x400u
#define GICD_ITARGETSR 0x800u
#define GICD_SGIR 0xf00u
#define GICD_CTLR_V2_ENABLE 0x1u
#define GICD_CTLR_V3_ARE 0x10u          /* affinity routing; the same bit with one security state and with two */
#define GICD_CTLR_V3_GROUP1 0x2u
#define GICD_CTLR_RWP 0x80000000u

#define GICC_CTLR 0x0u
#define GICC_PMR 0x4u
#define GICC_BPR 0x8u
#define GICC_IAR 0xcu
#define GICC_EOIR 0x10u
#define GICC_CTLR_ENABLE 0x1u

#define GICR_CTLR 0x0u
#define GICR_TYPER 0x8u
#define GICR_WAKER 0x14u
#define GICR_SGI_FRAME 0x10000u         /* its registers have the offsets of the distributor's first words */
#define GICR_FRAMES_BYTES 0x20000u
#define GICR_TYPER_VLPIS 0x2u           /* two more frames follow */
#define GICR_TYPER_LAST 0x10u
#define GICR_CTLR_RWP 0x8u
#define GICR_WAKER_SLEEP 0x2u
#define GICR_WAKER_CHILDREN_ASLEEP 0x4u

#define GIC_PRIORITY_ALL 0xa0a0a0a0u    /* one level for everything: handlers do not nest */
#define GIC_PRIORITY_OPEN 0xf0u
#define GIC_PRIORITY_SHUT 0x0u

#define GICV2_CPUS_MAX 8u
#define GICR_REGIONS_MAX 16u

/* The controller answers register writes within some bus cycles; this many reads without it are a broken machine. */
#define GIC_WAIT_READS 1000000u

/* Immutable after init, but for target, which each CPU writes in its own set-up, before anyone pokes it. */
static struct {
    bool is_v3;
    bool is_ready;                                  /* registers are mapped and set up */
    uint32_t interrupt_cells;
    uintptr_t dist;
    uintptr_t cpu_interface;                        /* v2 */
    unsigned redist_count;                          /* v3 */
    struct boot_range redist[GICR_REGIONS_MAX];     /* v3 */
    uint64_t redist_stride;                         /* v3: 0: as each one says */
    uint8_t target[GICV2_CPUS_MAX];                 /* v2: this CPU's bit in target lists */
} gic;

uint32_t gic_interrupt_cells(void)
{
    return gic.interrupt_cells;
}

/* ---- Discovery ---- */

static struct boot_range use_registers(const struct fdt *fdt, fdt_node_t node, unsigned index)
{
    struct boot_range range;

    if (fdt_get_reg(fdt, node, index, &range.base, &range.bytes) != 0)
        panic("device tree: the interrupt controller has no register range %u", index);
    boot_use_device(range.base, range.bytes, "interrupt controller");
    return range;
}

static void discover_v3(const struct fdt *fdt, fdt_node_t node)
{
    uint32_t regions = 1;

    gic.is_v3 = true;
    gic.dist = phys_to_direct(use_registers(fdt, node, 0).base);
    if (fdt_get_cell(fdt, node, "#redistributor-regions", 0, &regions) == 0 && regions > GICR_REGIONS_MAX)
        panic("device tree: %u redistributor regions, at most %u are supported", regions, GICR_REGIONS_MAX);
    if (fdt_get_number(fdt, node, "redistributor-stride", &gic.redist_stride) != 0)
        gic.redist_stride = 0;
    for (gic.redist_count = 0; gic.redist_count < regions; gic.redist_count++)
        gic.redist[gic.redist_count] = use_registers(fdt, node, 1 + gic.redist_count);
}

static void discover_v2(const struct fdt *fdt, fdt_node_t node)
{
    gic.dist = phys_to_direct(use_registers(fdt, node, 0).base);
    gic.cpu_interface = phys_to_direct(use_registers(fdt, node, 1).base);
}

void gic_discover(const struct fdt *fdt)
{
    static const char *const v2_names[] = { "arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic",
                                            "arm,cortex-a9-gic" };
    fdt_node_t node = fdt_find_compatible(fdt, FDT_NODE_NONE, "arm,gic-v3");

    if (node != FDT_NODE_NONE) {
        discover_v3(fdt, node);
    } else {
        for (unsigned i = 0; i < ARRAY_COUNT(v2_names) && node == FDT_NODE_NONE; i++)
            node = fdt_find_compatible(fdt, FDT_NODE_NONE, v2_names[i]);
        if (node == FDT_NODE_NONE)
            panic("device tree: no GICv2 or GICv3 interrupt controller");
        discover_v2(fdt, node);
    }
    if (fdt_get_cell(fdt, node, "#interrupt-cells", 0, &gic.interrupt_cells) != 0 || gic.interrupt_cells < 3)
        panic("device tree: the interrupt controller's #interrupt-cells are missing or below 3");
}

/* ---- Set-up ---- */

static void wait_clear(uintptr_t address, uint32_t bits, const char *what)
{
    for (unsigned reads = 0; reads < GIC_WAIT_READS; reads++)
        if ((mmio_read32(address) & bits) == 0)
            return;
    panic("GIC: %s does not finish", what);
}

/* The shared interrupts, 32 and up: all off. Nobody drives devices by them. */
static void init_distributor(void)
{
    uint32_t words = (mmio_read32(gic.dist + GICD_TYPER) & 0x1f) + 1;

    mmio_write32(gic.dist + GICD_CTLR, 0);
    for (uint32_t word = 1; word < words; word++) {
        mmio_write32(gic.dist + GICD_ICENABLER + 4 * word, ~0u);
        mmio_write32(gic.dist + GICD_ICPENDR + 4 * word, ~0u);
        mmio_write32(gic.dist + GICD_ICACTIVER + 4 * word, ~0u);
        if (gic.is_v3)
            mmio_write32(gic.dist + GICD_IGROUPR + 4 * word, ~0u);
    }
    if (!gic.is_v3) {
        mmio_write32(gic.dist + GICD_CTLR, GICD_CTLR_V2_ENABLE);
        return;
    }
    wait_clear(gic.dist + GICD_CTLR, GICD_CTLR_RWP, "the distributor's reset");
    /* Affinity routing may change only while both groups are off (IHI 0069, GICD_CTLR). */
    mmio_write32(gic.dist + GICD_CTLR, GICD_CTLR_V3_ARE);
    wait_clear(gic.dist + GICD_CTLR, GICD_CTLR_RWP, "the change to affinity routing");
    mmio_write32(gic.dist + GICD_CTLR, GICD_CTLR_V3_ARE | GICD_CTLR_V3_GROUP1);
    wait_clear(gic.dist + GICD_CTLR, GICD_CTLR_RWP, "the distributor's start");
}

/* Interrupts 0 to 31 are private to each CPU: in the banked first words on v2, in its SGI frame on v3. */
static void init_private(uintptr_t base)
{
    mmio_write32(base + GICD_ICENABLER, ~0u);
    mmio_write32(base + GICD_ICPENDR, ~0u);
    mmio_write32(base + GICD_ICACTIVER, ~0u);
    for (uint32_t i = 0; i < 32; i += 4)
        mmio_write32(base + GICD_IPRIORITYR + i, GIC_PRIORITY_ALL);
    mmio_write32(base + GICD_ISENABLER, 1u << GIC_SGI_POKE | 1u << timer_interrupt());
}

static void init_cpu_v2(cpu_id_t cpu)
{
    if (cpu >= GICV2_CPUS_MAX)
        panic("GICv2 serves %u CPUs, this is CPU %u", GICV2_CPUS_MAX, cpu);
    /* Each byte of the private targets reads as this CPU's own bit; as 0 if there is only one CPU. */
    uint32_t bit = mmio_read32(gic.dist + GICD_ITARGETSR) & 0xff;

    gic.target[cpu] = bit != 0 ? (uint8_t)bit : 1;
    init_private(gic.dist);
    mmio_write32(gic.cpu_interface + GICC_BPR, 0);
    mmio_write32(gic.cpu_interface + GICC_PMR, GIC_PRIORITY_OPEN);
    mmio_write32(gic.cpu_interface + GICC_CTLR, GICC_CTLR_ENABLE);
}

/* MPIDR_EL1's affinity fields as GICR_TYPER's upper half has them. */
static uint32_t packed_affinity(uint64_t mpidr)
{
    return (uint32_t)((mpidr & 0xffffff) | (mpidr >> 8 & 0xff000000));
}

static uintptr_t find_redistributor(uint64_t mpidr)
{
    for (unsigned i = 0; i < gic.redist_count; i++) {
        uint64_t offset = 0;
        uint64_t type = 0;

        while (offset + GICR_FRAMES_BYTES <= gic.redist[i].bytes && (type & GICR_TYPER_LAST) == 0) {
            uintptr_t redist = phys_to_direct(gic.redist[i].base + offset);

            type = mmio_read64(redist + GICR_TYPER);
            if (type >> 32 == packed_affinity(mpidr))
                return redist;
            if (gic.redist_stride != 0)
                offset += gic.redist_stride;
            else
                offset += (type & GICR_TYPER_VLPIS) != 0 ? 2 * GICR_FRAMES_BYTES : GICR_FRAMES_BYTES;
        }
    }
    panic("GICv3: no redistributor for the CPU with MPIDR %#llx", (unsigned long long)mpidr);
}

static void init_cpu_v3(void)
{
    uintptr_t redist = find_redistributor(SYSREG_READ(mpidr_el1) & MPIDR_AFFINITY_MASK);

    mmio_write32(redist + GICR_WAKER, mmio_read32(redist + GICR_WAKER) & ~GICR_WAKER_SLEEP);
    wait_clear(redist + GICR_WAKER, GICR_WAKER_CHILDREN_ASLEEP, "the redistributor's wake-up");
    mmio_write32(redist + GICR_SGI_FRAME + GICD_IGROUPR, ~0u);
    init_private(redist + GICR_SGI_FRAME);
    wait_clear(redist + GICR_CTLR, GICR_CTLR_RWP, "the redistributor's set-up");

    SYSREG_WRITE(icc_sre_el1, SYSREG_READ(icc_sre_el1) | 1);
    ISB();
    if ((SYSREG_READ(icc_sre_el1) & 1) == 0)
        panic("GICv3: the firmware keeps the CPU interface's system registers off");
    SYSREG_WRITE(icc_ctlr_el1, 0); /* one write ends an interrupt: priority drop and deactivation (EOImode 0) */
    SYSREG_WRITE(icc_bpr1_el1, 0);
    SYSREG_WRITE(icc_pmr_el1, GIC_PRIORITY_OPEN);
    SYSREG_WRITE(icc_igrpen1_el1, 1);
    ISB();
}

void gic_init_cpu(cpu_id_t cpu)
{
    if (cpu == 0) {
        init_distributor();
        gic.is_ready = true;
    }
    if (gic.is_v3)
        init_cpu_v3();
    else
        init_cpu_v2(cpu);
}

/* ---- Use ---- */

/* A parked CPU must sleep: an interrupt that stays pending would end every wfi at once. */
void gic_mask_cpu(void)
{
    if (!gic.is_ready)
        return;
    if (gic.is_v3)
        SYSREG_WRITE(icc_pmr_el1, GIC_PRIORITY_SHUT);
    else
        mmio_write32(gic.cpu_interface + GICC_PMR, GIC_PRIORITY_SHUT);
}

/* ICC_SGI1R_EL1: a target list of 16 within the cluster Aff3.Aff2.Aff1 (IHI 0069, 12.2). */
static uint64_t sgi1r_value(uint64_t mpidr)
{
    uint64_t aff0 = mpidr & 0xff;
    uint64_t aff1 = mpidr >> 8 & 0xff;
    uint64_t aff2 = mpidr >> 16 & 0xff;
    uint64_t aff3 = mpidr >> 32 & 0xff;

    return aff3 << 48 | (aff0 / 16) << 44 | aff2 << 32 | (uint64_t)GIC_SGI_POKE << 24 | aff1 << 16 |
           UINT64_C(1) << (aff0 % 16);
}

/* The write that sends is no memory access: only a dsb orders our stores before it. */
void gic_poke(cpu_id_t cpu)
{
    DSB(ishst);
    if (gic.is_v3) {
        SYSREG_WRITE(icc_sgi1r_el1, sgi1r_value(boot_info.cpu_hw_id[cpu]));
        ISB();
        return;
    }
    mmio_write32(gic.dist + GICD_SGIR, (uint32_t)gic.target[cpu] << 16 | GIC_SGI_POKE);
}

/* The dsb: what the sender stored before the SGI is visible to whatever follows. */
uint32_t gic_acknowledge(void)
{
    uint32_t token = gic.is_v3 ? (uint32_t)SYSREG_READ(icc_iar1_el1) : mmio_read32(gic.cpu_interface + GICC_IAR);

    DSB(sy);
    return token;
}

/* On v2 the bits above say which CPU sent an SGI. */
uint32_t gic_id(uint32_t token)
{
    return token & (gic.is_v3 ? 0xffffffu : 0x3ffu);
}

void gic_end(uint32_t token)
{
    if (gic.is_v3) {
        SYSREG_WRITE(icc_eoir1_el1, token);
        ISB();
        return;
    }
    mmio_write32(gic.cpu_interface + GICC_EOIR, token);
}
