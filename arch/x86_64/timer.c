/* SPDX-License-Identifier: MIT */
/*
 * Time. The clock is the TSC; its rate comes from CPUID where the CPU states it, else from a measurement against the
 * HPET, the ACPI power-management timer or the 8254, the first that runs. One-shot interrupts come from the local APIC:
 * by TSC deadline where CPUID offers that, else by its counter, whose rate the same measurement gives. Everything here
 * is written during boot and read-only afterwards.
 */
#include <hal/clock.h>
#include <hal/cpu.h>
#include <k/atomic.h>

#include "machine.h"
#include "x86.h"

/* Long enough that reading the reference late by 200 ns on either side is an error below 100 ppm. */
#define CALIBRATE_NS (5 * NS_PER_MS)
#define CALIBRATE_READS 5        /* the quickest of so many readings counts: an interrupted one is late */
#define CALIBRATE_CHUNK 50000u   /* loops between two looks at the reference: port and device reads are slow */
#define CALIBRATE_CHUNKS_MAX 20000u /* 10^9 loops: more than 5 ms on any CPU, so the reference stands still */

#define HPET_CAPABILITIES_LOW 0x000u
#define HPET_CAPABILITIES_HIGH 0x004u /* the period in femtoseconds */
#define HPET_CONFIGURATION 0x010u
#define HPET_COUNTER 0x0f0u
#define HPET_ENABLE 0x1u
#define HPET_PERIOD_FS_MAX 100000000u /* IA-PC HPET specification 1.0a, 2.3.4 */
#define FS_PER_SEC UINT64_C(1000000000000000)

#define PM_TIMER_HZ 3579545u /* ACPI 6.5, 4.8.3.3 */
#define PM_TIMER_MASK 0xffffffu /* all that every implementation has */

#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_LATCH_CHANNEL2 0x80
#define PIT_CHANNEL2_MODE0 0xb0 /* count down once, low byte then high byte */
#define PIT_GATE_PORT 0x61
#define PIT_GATE_BITS 0x03
#define PIT_GATE_ON_SPEAKER_OFF 0x01

#define CPUID_TSC_LEAF 0x15u

/* A counter of known rate that counts up modulo mask + 1. */
struct reference {
    uint32_t (*read)(void);
    uint32_t mask;
    uint64_t hz;
};

/* One look at everything at (nearly) the same time. */
struct sample {
    uint32_t reference;
    uint64_t tsc;
    uint32_t apic; /* counts down */
};

static RO_AFTER_INIT struct {
    uintptr_t hpet;
    uint16_t pm_timer_port;
    uint64_t tsc_hz;
    uint64_t apic_per_tsc; /* local APIC counts per TSC tick, 32.32 fixed point */
} timer;

static uint32_t hpet_read(void)
{
    return mmio_read32(timer.hpet + HPET_COUNTER);
}

static bool hpet_open(struct reference *out)
{
    if (timer.hpet == 0)
        return false;
    uint32_t period_fs = mmio_read32(timer.hpet + HPET_CAPABILITIES_HIGH);

    if (period_fs == 0 || period_fs > HPET_PERIOD_FS_MAX)
        return false;
    mmio_write32(timer.hpet + HPET_CONFIGURATION, mmio_read32(timer.hpet + HPET_CONFIGURATION) | HPET_ENABLE);
    *out = (struct reference){ hpet_read, UINT32_MAX, FS_PER_SEC / period_fs };
    return true;
}

static uint32_t pm_timer_read(void)
{
    return in32(timer.pm_timer_port);
}

static bool pm_timer_open(struct reference *out)
{
    *out = (struct reference){ pm_timer_read, PM_TIMER_MASK, PM_TIMER_HZ };
    return timer.pm_timer_port != 0;
}

static uint32_t pit_read(void)
{
    out8(PIT_COMMAND, PIT_LATCH_CHANNEL2);
    uint32_t low = in8(PIT_CHANNEL2);

    return 0xffff - (low | (uint32_t)in8(PIT_CHANNEL2) << 8);
}

/* The speaker's channel, because its gate is ours to open; 65536 ticks are 55 ms. */
static bool pit_open(struct reference *out)
{
    out8(PIT_GATE_PORT, (uint8_t)((in8(PIT_GATE_PORT) & ~PIT_GATE_BITS) | PIT_GATE_ON_SPEAKER_OFF));
    out8(PIT_COMMAND, PIT_CHANNEL2_MODE0);
    out8(PIT_CHANNEL2, 0xff);
    out8(PIT_CHANNEL2, 0xff);
    *out = (struct reference){ pit_read, 0xffff, PIT_HZ };
    return true;
}

static struct sample sample_take(const struct reference *reference)
{
    struct sample best = { 0 };
    uint64_t best_width = UINT64_MAX;

    for (unsigned i = 0; i < CALIBRATE_READS; i++) {
        uint64_t before = hal_clock_ticks();
        uint32_t count = reference->read();
        uint32_t apic = apic_read(APIC_TIMER_CURRENT);
        uint64_t width = hal_clock_ticks() - before;

        if (width < best_width) {
            best_width = width;
            best = (struct sample){ count, before + width / 2, apic };
        }
    }
    return best;
}

static void spin_loops(unsigned loops)
{
    __asm__ volatile("1: dec %0; jnz 1b" : "+r"(loops)::"cc");
}

/* Rates of TSC and local APIC counter against one reference. False: it does not run. */
static bool measure(const struct reference *reference, uint64_t *out_tsc_hz, uint64_t *out_apic_hz)
{
    uint64_t wanted = reference->hz * CALIBRATE_NS / NS_PER_SEC;
    struct sample first = sample_take(reference);

    for (unsigned chunk = 0; chunk < CALIBRATE_CHUNKS_MAX; chunk++) {
        spin_loops(CALIBRATE_CHUNK);
        if (((reference->read() - first.reference) & reference->mask) < wanted)
            continue;
        struct sample last = sample_take(reference);
        uint64_t passed = (last.reference - first.reference) & reference->mask;

        *out_tsc_hz = (last.tsc - first.tsc) * reference->hz / passed;
        *out_apic_hz = (uint64_t)(first.apic - last.apic) * reference->hz / passed;
        return *out_tsc_hz != 0;
    }
    return false;
}

/* The crystal and its ratio to the TSC, where the CPU states both: SDM vol. 3, 19.7.3. 0 if not. Leaf 0x16 is a
 * marketing figure, off by as much as a measurement is exact. */
static uint64_t tsc_hz_from_cpuid(void)
{
    if (cpuid(0, 0).eax < CPUID_TSC_LEAF)
        return 0;
    struct cpuid_result r = cpuid(CPUID_TSC_LEAF, 0);

    return r.eax == 0 || r.ebx == 0 || r.ecx == 0 ? 0 : (uint64_t)r.ecx * r.ebx / r.eax;
}

uint64_t timer_calibrate(paddr_t hpet, uint16_t pm_timer_port)
{
    static bool (*const open[])(struct reference *) = { hpet_open, pm_timer_open, pit_open };
    uint64_t stated_hz = tsc_hz_from_cpuid();
    uint64_t apic_hz = 0;
    struct reference reference;

    timer.tsc_hz = stated_hz;
    if (stated_hz != 0 && cpu_features.has_tsc_deadline)
        return stated_hz;

    timer.hpet = hpet != 0 ? direct_map(hpet) : 0;
    timer.pm_timer_port = pm_timer_port;
    apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX); /* LVT masked: it only counts */
    for (unsigned i = 0; i < ARRAY_COUNT(open); i++)
        if (open[i](&reference) && measure(&reference, &timer.tsc_hz, &apic_hz))
            break;
    apic_write(APIC_TIMER_INITIAL, 0);
    if (timer.tsc_hz == 0)
        boot_fail("no timer: neither HPET, ACPI timer nor 8254 runs");
    if (apic_hz == 0 && !cpu_features.has_tsc_deadline)
        boot_fail("no timer: the local APIC's counter does not run");
    timer.apic_per_tsc = (apic_hz << 32) / timer.tsc_hz;
    if (stated_hz != 0)
        timer.tsc_hz = stated_hz;
    return timer.tsc_hz;
}

void timer_init_cpu(void)
{
    if (cpu_features.has_tsc_deadline) {
        apic_write(APIC_LVT_TIMER, APIC_LVT_TSC_DEADLINE | VECTOR_TIMER);
        /* In xAPIC mode the store to the LVT must not pass the first WRMSR: SDM vol. 3, 11.5.4.1. */
        __asm__ volatile("mfence" ::: "memory");
    } else {
        apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
        apic_write(APIC_LVT_TIMER, VECTOR_TIMER); /* one-shot */
    }
    x86_timer_arm(TIME_NEVER);
}

/* Counts until the deadline: at least 1, because 0 would stop the counter, and rounded up. */
static uint32_t apic_counts_until(uint64_t deadline_ticks)
{
    uint64_t now = hal_clock_ticks();

    if (deadline_ticks <= now)
        return 1;
    unsigned __int128 counts = ((unsigned __int128)(deadline_ticks - now) * timer.apic_per_tsc >> 32) + 1;

    return counts > UINT32_MAX ? UINT32_MAX : (uint32_t)counts;
}

void x86_timer_arm(uint64_t deadline_ticks)
{
    if (cpu_features.has_tsc_deadline)
        wrmsr(MSR_TSC_DEADLINE, deadline_ticks == TIME_NEVER ? 0 : MAX(deadline_ticks, 1)); /* 0 disarms */
    else
        apic_write(APIC_TIMER_INITIAL, deadline_ticks == TIME_NEVER ? 0 : apic_counts_until(deadline_ticks));
}

void timer_spin_us(uint64_t us)
{
    uint64_t end = hal_clock_ticks() + us * timer.tsc_hz / (NS_PER_SEC / NS_PER_US);

    /* No hal_cpu_relax(): an emulator that runs its CPUs in turn would run the others first, and the wait is short. */
    while (hal_clock_ticks() < end)
        compiler_barrier();
}
