/* SPDX-License-Identifier: MIT */
/*
 * Device tree -> struct boot_info, for every machine that boots with one. Facts of one ISA (timers, interrupt
 * controllers, which CPUs can be started) stay with that machine. Boot CPU only, before kmain(); no lock.
 */
#pragma once

#include <stdbool.h>

#include <hal/boot.h>
#include <k/compiler.h>
#include <parse/fdt.h>

/* Append to a list of boot_info. An empty range is left out. -EOVERFLOW: it wraps; -E2BIG: the list is full. */
int boot_add_reserved(struct boot_info *boot, paddr_t base, uint64_t bytes) MUST_USE;
int boot_add_device(struct boot_info *boot, paddr_t base, uint64_t bytes) MUST_USE;

/*
 * Fill in what every device tree says the same way: board name, memory, reservations (the /reserved-memory nodes, the
 * memory reservation block, the tree itself at dtb_paddr), command line, initrd (also reserved) and entropy.
 * fdt comes from fdt_open(). 0, or -Exxx with *out_problem saying in words what is wrong with the tree.
 */
int boot_fdt_read(const struct fdt *fdt, paddr_t dtb_paddr, struct boot_info *boot, const char **out_problem) MUST_USE;

/*
 * Choose the image's slide (shared/slide.h) for the image linked at [start, end) from /chosen: its command line and its
 * seeds, or, if it has none, from `clock`. Leaves the command line and is_slide_weak in `boot`.
 */
uint64_t boot_fdt_choose_slide(const struct fdt *fdt, uintptr_t start, uintptr_t end, uint64_t clock,
                               struct boot_info *boot);

/*
 * List the CPUs of /cpus that are enabled and that is_usable() (NULL: all) accepts: boot_hw_id first, the others in
 * tree order. Those beyond CPU_MAX are only counted in cpu_listed. The same errors; -ENODEV if
 * boot_hw_id is not listed.
 */
int boot_fdt_read_cpus(const struct fdt *fdt, uint64_t boot_hw_id, bool (*is_usable)(const struct fdt *, fdt_node_t),
                       struct boot_info *boot, const char **out_problem) MUST_USE;

/* Where those CPUs are: cores, what shares the last cache (by next-level-cache, else clusters are taken for that), NUMA
 * nodes and distances, as far as the tree says so. After boot_fdt_read_cpus(). */
void boot_fdt_read_places(const struct fdt *fdt, struct boot_info *boot);

/* The node that /chosen stdout-path names, directly or through /aliases; FDT_NODE_NONE if there is none. */
fdt_node_t boot_fdt_find_stdout(const struct fdt *fdt);
