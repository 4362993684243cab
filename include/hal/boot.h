/* SPDX-License-Identifier: MIT */
/*
 * What the firmware said, in one struct. The machine fills it before kmain() from the device tree or ACPI alone; core
 * never sees either. Everything here is untrusted until mm has clipped and sorted it.
 */
#pragma once

#include <stdbool.h>

#include <k/limits.h>
#include <k/types.h>

struct boot_range {
    paddr_t base;
    uint64_t bytes;
};

struct boot_node_memory {
    paddr_t base;
    uint64_t bytes;
    uint32_t node;
};

/* Numbers that are equal for CPUs that share the thing, and for no others. */
struct boot_cpu_place {
    uint32_t core;  /* unique over the machine, as is `cache` */
    uint32_t cache; /* the last level that several cores share */
    uint32_t node;  /* below node_count */
};

struct boot_info {
    /* Names for the log: what booted us ("PVH, ACPI"; "OpenSBI 1.6, device tree") and the board. */
    char firmware[64];
    char machine[64];

    /* RAM as the firmware lists it: any order, may overlap, need not be page aligned. */
    struct boot_range memory[BOOT_RANGES_MAX];
    unsigned memory_count;

    /* Never to be handed out: firmware, reserved-memory nodes, the tables themselves. May lie in or out of RAM.
     * The kernel image and the initrd are listed here by the machine, too. */
    struct boot_range reserved[BOOT_RANGES_MAX];
    unsigned reserved_count;

    /* Device registers that the machine's drivers use; mapped by mm at phys_to_virt() as device memory. */
    struct boot_range device[BOOT_RANGES_MAX];
    unsigned device_count;

    /* CPUs: cpu_hw_id[0] is the boot CPU (APIC id, MPIDR affinity, hart id). cpu_listed counts what the firmware lists,
     * also beyond CPU_MAX. */
    uint64_t cpu_hw_id[CPU_MAX];
    unsigned cpu_count;
    unsigned cpu_listed;

    /* Where each CPU is; has_places false: nothing is known of cores and caches. node_count 0: nor of nodes.
     * node_distance is 10 from a node to itself; 0: not given. */
    bool has_places;
    struct boot_cpu_place cpu_place[CPU_MAX];
    uint8_t node_distance[NODES_MAX][NODES_MAX];
    unsigned node_count;

    /* For the log: whose word cpu_place[].cache is; NULL: nobody's. If that of another would have been better, which,
     * and why it is not taken; NULL: it is. */
    const char *cache_source, *cache_wanted, *cache_problem;

    /* Which memory is which node's, in any order; need not be RAM. Where ranges overlap the first counts; what is in
     * none, or in one of a node out of range, counts as node 0's. */
    struct boot_node_memory node_memory[BOOT_RANGES_MAX];
    unsigned node_memory_count;

    paddr_t image_paddr; /* where __image_start really is */
    struct boot_range initrd;
    uint64_t clock_hz;   /* rate of hal_clock_ticks() */
    uint64_t wall_ns, wall_at_ticks; /* the time of day, since 1970, at those ticks; 0: nobody says */
    unsigned asid_count; /* address-space ids that every CPU can tell apart, 0 included; 1: the TLBs have no tags */
    char cmdline[CMDLINE_BYTES];
    bool cmdline_truncated;
    uint8_t entropy[64]; /* from the firmware or the CPU; entropy_bytes may be 0 */
    unsigned entropy_bytes;
    bool is_slide_weak;  /* the image's virtual place was chosen without them: it can be guessed */
};
