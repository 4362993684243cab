/* SPDX-License-Identifier: MIT */
/* Where CPUs are: cpu-map, caches and distance-map of a device tree that fdt_open() has checked. Owns no state, no
 * lock. */
#include <parse/fdt_cpus.h>

#include <lib/string.h>

#include <k/errno.h>

#define CACHE_LEVELS_MAX 8 /* more is a circle */

/* "core3" is a core: the word and digits. */
static bool is_called(const char *name, const char *word)
{
    size_t bytes = strlen(word);

    if (strncmp(name, word, bytes) != 0 || name[bytes] == '\0')
        return false;
    for (const char *digit = name + bytes; *digit != '\0'; digit++)
        if (*digit < '0' || *digit > '9')
            return false;
    return true;
}

int fdt_read_cpu_map(const struct fdt *fdt, struct fdt_cpu_map *out)
{
    fdt_node_t root = fdt_find_path(fdt, "/cpus/cpu-map");
    uint32_t cores = 0;
    uint32_t clusters = 0;
    int depth = 0;

    out->count = 0;
    if (root == FDT_NODE_NONE)
        return -ENOENT;
    /* Depth first, so a leaf belongs to the core and the cluster that were entered last. */
    for (fdt_node_t node = fdt_next_node(fdt, root, &depth); node != FDT_NODE_NONE && depth > 0;
         node = fdt_next_node(fdt, node, &depth)) {
        const char *name = fdt_node_name(fdt, node);
        uint32_t phandle;

        cores += is_called(name, "core");
        clusters += is_called(name, "cluster") || is_called(name, "socket");
        if (fdt_get_cell(fdt, node, "cpu", 0, &phandle) != 0 || out->count == FDT_CPU_MAP_MAX)
            continue;
        out->leaf[out->count].phandle = phandle;
        out->leaf[out->count].core = cores;
        out->leaf[out->count].cluster = clusters;
        out->count++;
    }
    return out->count != 0 ? 0 : -ENOENT;
}

int fdt_find_in_cpu_map(const struct fdt *fdt, const struct fdt_cpu_map *map, fdt_node_t cpu)
{
    uint32_t phandle;

    if (fdt_get_cell(fdt, cpu, "phandle", 0, &phandle) != 0)
        return -ENOENT;
    for (unsigned i = 0; i < map->count; i++)
        if (map->leaf[i].phandle == phandle)
            return (int)i;
    return -ENOENT;
}

int fdt_read_caches(const struct fdt *fdt, struct fdt_caches *out)
{
    fdt_node_t node = fdt_find_compatible(fdt, FDT_NODE_NONE, "cache");

    out->count = 0;
    for (; node != FDT_NODE_NONE && out->count < FDT_CACHES_MAX; node = fdt_find_compatible(fdt, node, "cache")) {
        uint32_t phandle;
        uint32_t next;

        if (fdt_get_cell(fdt, node, "phandle", 0, &phandle) != 0)
            continue; /* nobody can name it */
        out->cache[out->count].phandle = phandle;
        out->cache[out->count].next = fdt_get_cell(fdt, node, "next-level-cache", 0, &next) == 0 ? next : 0;
        out->count++;
    }
    return out->count != 0 ? 0 : -ENOENT;
}

int fdt_find_last_cache(const struct fdt *fdt, const struct fdt_caches *caches, fdt_node_t cpu, uint32_t *out)
{
    uint32_t next;

    if (fdt_get_cell(fdt, cpu, "next-level-cache", 0, &next) != 0)
        return -ENOENT;
    for (unsigned levels = 0; levels < CACHE_LEVELS_MAX; levels++) {
        unsigned i = 0;

        while (i < caches->count && caches->cache[i].phandle != next)
            i++;
        if (i == caches->count)
            return -EINVAL;
        *out = next;
        next = caches->cache[i].next;
        if (next == 0)
            return 0;
    }
    return -EINVAL;
}

int fdt_get_distance(const struct fdt *fdt, unsigned index, uint32_t out[3])
{
    fdt_node_t map = fdt_find_compatible(fdt, FDT_NODE_NONE, "numa-distance-map-v1");

    if (map == FDT_NODE_NONE)
        return -ENOENT;
    for (unsigned i = 0; i < 3; i++)
        if (fdt_get_cell(fdt, map, "distance-matrix", 3 * index + i, &out[i]) != 0)
            return -ENOENT;
    return 0;
}
