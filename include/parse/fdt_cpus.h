/* SPDX-License-Identifier: MIT */
/*
 * Where CPUs are, as device trees say it: /cpus/cpu-map (Documentation/devicetree/bindings/cpu/cpu-topology.txt of
 * Linux), numa-node-id, and the distance map of the same project's numa.txt. Nothing is allocated; every walk is
 * bounded by the tree.
 */
#pragma once

#include <parse/fdt.h>

#define FDT_CPU_MAP_MAX 1024 /* leaves kept; further ones are left out */

/* The leaves of cpu-map in tree order. Cores and clusters are numbered over the machine. A cluster is the innermost one
 * or, where there is none, the socket. */
struct fdt_cpu_map {
    struct {
        uint32_t phandle; /* of the CPU's node */
        uint32_t core, cluster;
    } leaf[FDT_CPU_MAP_MAX];
    unsigned count;
};

/* 0; -ENOENT: there is no cpu-map, or it has no leaf. */
int fdt_read_cpu_map(const struct fdt *fdt, struct fdt_cpu_map *out) MUST_USE;

/* The leaf of a CPU's node: its index, or -ENOENT. */
int fdt_find_in_cpu_map(const struct fdt *fdt, const struct fdt_cpu_map *map, fdt_node_t cpu) MUST_USE;

/* Entry `index` of the distance map: from, to, distance. -ENOENT: no map, or past its end. */
int fdt_get_distance(const struct fdt *fdt, unsigned index, uint32_t out[3]) MUST_USE;
