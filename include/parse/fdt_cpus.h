/* SPDX-License-Identifier: MIT */
/*
 * Where CPUs are, as device trees say it: /cpus/cpu-map (Documentation/devicetree/bindings/cpu/cpu-topology.txt of
 * Linux), next-level-cache (Devicetree Specification 0.4, 3.8.3), numa-node-id, and the distance map of Linux's
 * numa.txt. Nothing is allocated; every walk is bounded by the tree.
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

#define FDT_CACHES_MAX 2048 /* caches kept; further ones are left out */

/* The nodes that are "cache"s, in tree order. */
struct fdt_caches {
    struct {
        uint32_t phandle;
        uint32_t next; /* the phandle of its next-level-cache; 0: it is the last */
    } cache[FDT_CACHES_MAX];
    unsigned count;
};

/* 0; -ENOENT: there is no cache that anybody could name. */
int fdt_read_caches(const struct fdt *fdt, struct fdt_caches *out) MUST_USE;

/* The phandle of the last cache on the way from a CPU's node over next-level-cache. -ENOENT: the CPU names none;
 * -EINVAL: it, or a cache on the way, names what is not there, or the way is a circle. */
int fdt_find_last_cache(const struct fdt *fdt, const struct fdt_caches *caches, fdt_node_t cpu, uint32_t *out) MUST_USE;

/* Entry `index` of the distance map: from, to, distance. -ENOENT: no map, or past its end. */
int fdt_get_distance(const struct fdt *fdt, unsigned index, uint32_t out[3]) MUST_USE;
