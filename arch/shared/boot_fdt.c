/* SPDX-License-Identifier: MIT */
/*
 * Reads the parts of a device tree that mean the same on every ISA (Devicetree Specification 0.4, chapter 3, and the
 * /chosen properties that QEMU, U-Boot and Linux agree on). It refuses to guess: a reservation that it cannot read or
 * has no room for fails the boot, because the memory behind it would be handed out.
 * No lock: the boot CPU alone runs this, once.
 */
#include <shared/boot_fdt.h>

#include <k/errno.h>
#include <lib/string.h>
#include <parse/fdt_cpus.h>
#include <shared/boot_caches.h>
#include <shared/slide.h>

#define FDT_ROOT 0u
#define PATH_BYTES_MAX 256 /* of a stdout-path */

static int range_add(struct boot_range *list, unsigned *count, paddr_t base, uint64_t bytes)
{
    if (bytes == 0)
        return 0;
    if (base + bytes < base)
        return -EOVERFLOW;
    if (*count == BOOT_RANGES_MAX)
        return -E2BIG;
    list[(*count)++] = (struct boot_range){ .base = base, .bytes = bytes };
    return 0;
}

int boot_add_reserved(struct boot_info *boot, paddr_t base, uint64_t bytes)
{
    return range_add(boot->reserved, &boot->reserved_count, base, bytes);
}

int boot_add_device(struct boot_info *boot, paddr_t base, uint64_t bytes)
{
    return range_add(boot->device, &boot->device_count, base, bytes);
}

/* All entries of a node's reg; a node without one adds nothing. */
static int node_add_ranges(const struct fdt *fdt, fdt_node_t node, struct boot_range *list, unsigned *count)
{
    for (unsigned i = 0;; i++) {
        uint64_t base;
        uint64_t bytes;
        int err = fdt_get_reg(fdt, node, i, &base, &bytes);

        if (err == -ENOENT)
            return 0;
        if (err == 0)
            err = range_add(list, count, base, bytes);
        if (err != 0)
            return err;
    }
}

/* A memory node says of all its ranges which NUMA node they are of; those that there is no room for are node 0's. */
static void read_memory_node(const struct fdt *fdt, fdt_node_t node, struct boot_info *boot, unsigned from)
{
    uint32_t numa;

    if (fdt_get_cell(fdt, node, "numa-node-id", 0, &numa) != 0 || numa >= NODES_MAX)
        return;
    boot->node_count = MAX(boot->node_count, numa + 1);
    for (; from < boot->memory_count && boot->node_memory_count < BOOT_RANGES_MAX; from++)
        boot->node_memory[boot->node_memory_count++] = (struct boot_node_memory){
            .base = boot->memory[from].base, .bytes = boot->memory[from].bytes, .node = numa,
        };
}

static int read_memory(const struct fdt *fdt, struct boot_info *boot)
{
    fdt_node_t node = fdt_first_child(fdt, FDT_ROOT);

    for (; node != FDT_NODE_NONE; node = fdt_next_sibling(fdt, node)) {
        const char *type = fdt_get_string(fdt, node, "device_type");

        if (type == NULL || strcmp(type, "memory") != 0 || !fdt_is_enabled(fdt, node))
            continue;
        unsigned from = boot->memory_count;
        int err = node_add_ranges(fdt, node, boot->memory, &boot->memory_count);

        if (err != 0)
            return err;
        read_memory_node(fdt, node, boot, from);
    }
    return 0;
}

/* What of the blob holds anything: firmware pads it (QEMU's arm64 tree to 1 MiB), and padding is memory. The memory
 * reservation block lies before the structure block (Devicetree Specification 0.4, 5.1). */
static uint64_t used_bytes(const struct fdt *fdt)
{
    uint64_t structure_end = (uint64_t)fdt->struct_offset + fdt->struct_bytes;
    uint64_t strings_end = (uint64_t)fdt->strings_offset + fdt->strings_bytes;

    return structure_end > strings_end ? structure_end : strings_end;
}

/* A reserved-memory child without reg asks its driver to choose a place: nothing is there yet. */
static int read_reserved_nodes(const struct fdt *fdt, struct boot_info *boot)
{
    fdt_node_t parent = fdt_find_path(fdt, "/reserved-memory");

    if (parent == FDT_NODE_NONE)
        return 0;
    fdt_node_t node = fdt_first_child(fdt, parent);

    for (; node != FDT_NODE_NONE; node = fdt_next_sibling(fdt, node)) {
        if (!fdt_is_enabled(fdt, node))
            continue;
        int err = node_add_ranges(fdt, node, boot->reserved, &boot->reserved_count);

        if (err != 0)
            return err;
    }
    return 0;
}

static int read_reservation_block(const struct fdt *fdt, struct boot_info *boot)
{
    for (unsigned i = 0;; i++) {
        uint64_t base;
        uint64_t bytes;
        int err = fdt_get_reservation(fdt, i, &base, &bytes);

        if (err == -ENOENT)
            return 0;
        if (err == 0)
            err = boot_add_reserved(boot, base, bytes);
        if (err != 0)
            return err;
    }
}

static int read_initrd(const struct fdt *fdt, fdt_node_t chosen, struct boot_info *boot)
{
    uint64_t start;
    uint64_t end;
    int err = fdt_get_number(fdt, chosen, "linux,initrd-start", &start);

    if (err == -ENOENT)
        return 0;
    if (err == 0)
        err = fdt_get_number(fdt, chosen, "linux,initrd-end", &end);
    if (err != 0 || end < start)
        return -EINVAL;
    if (end == start)
        return 0;
    boot->initrd = (struct boot_range){ .base = start, .bytes = end - start };
    return boot_add_reserved(boot, start, end - start);
}

/* bootargs should end in a NUL but need not: it comes from outside. */
static void read_cmdline(const struct fdt *fdt, fdt_node_t chosen, struct boot_info *boot)
{
    struct fdt_property args;

    if (fdt_get_property(fdt, chosen, "bootargs", &args) != 0)
        return;
    size_t length = strnlen((const char *)args.data, args.bytes);
    size_t kept = MIN(length, (size_t)CMDLINE_BYTES - 1);

    memcpy(boot->cmdline, args.data, kept);
    boot->cmdline[kept] = '\0';
    boot->cmdline_truncated = kept < length;
}

static void read_entropy(const struct fdt *fdt, fdt_node_t chosen, const char *name, struct boot_info *boot)
{
    struct fdt_property seed;

    if (fdt_get_property(fdt, chosen, name, &seed) != 0)
        return;
    size_t room = sizeof(boot->entropy) - boot->entropy_bytes;
    size_t taken = MIN(room, (size_t)seed.bytes);

    memcpy(boot->entropy + boot->entropy_bytes, seed.data, taken);
    boot->entropy_bytes += (unsigned)taken;
}

/* What is left in boot->entropy comes again with boot_fdt_read(). */
uint64_t boot_fdt_choose_slide(const struct fdt *fdt, uintptr_t start, uintptr_t end, uint64_t clock,
                               struct boot_info *boot)
{
    fdt_node_t chosen = fdt_find_path(fdt, "/chosen");
    bool is_random = false;

    boot->entropy_bytes = 0;
    if (chosen != FDT_NODE_NONE) {
        read_cmdline(fdt, chosen, boot);
        read_entropy(fdt, chosen, "kaslr-seed", boot);
        read_entropy(fdt, chosen, "rng-seed", boot);
    }
    uint64_t random = slide_mix(clock, boot->entropy, boot->entropy_bytes);
    uint64_t slide = slide_choose(boot->cmdline, start, end, random, &is_random);

    boot->is_slide_weak = is_random && boot->entropy_bytes < SLIDE_SEED_BYTES;
    boot->entropy_bytes = 0;
    return slide;
}

static int read_chosen(const struct fdt *fdt, struct boot_info *boot)
{
    fdt_node_t chosen = fdt_find_path(fdt, "/chosen");

    if (chosen == FDT_NODE_NONE)
        return 0;
    read_cmdline(fdt, chosen, boot);
    read_entropy(fdt, chosen, "rng-seed", boot);
    read_entropy(fdt, chosen, "kaslr-seed", boot);
    return read_initrd(fdt, chosen, boot);
}

static void read_machine_name(const struct fdt *fdt, struct boot_info *boot)
{
    const char *name = fdt_get_string(fdt, FDT_ROOT, "model");

    if (name == NULL)
        name = fdt_get_string(fdt, FDT_ROOT, "compatible");
    str_copy(boot->machine, name != NULL ? name : "unnamed board", sizeof(boot->machine));
}

int boot_fdt_read(const struct fdt *fdt, paddr_t dtb_paddr, struct boot_info *boot, const char **out_problem)
{
    int err;

    read_machine_name(fdt, boot);
    *out_problem = "the memory nodes are malformed or too many";
    err = read_memory(fdt, boot);
    if (err != 0)
        return err;
    *out_problem = "/reserved-memory is malformed or lists too many ranges";
    err = read_reserved_nodes(fdt, boot);
    if (err != 0)
        return err;
    *out_problem = "the memory reservation block is malformed or too long";
    err = read_reservation_block(fdt, boot);
    if (err != 0)
        return err;
    *out_problem = "there is no room to list the tree's own memory as reserved";
    err = boot_add_reserved(boot, dtb_paddr, used_bytes(fdt));
    if (err != 0)
        return err;
    *out_problem = "/chosen names an initrd that cannot be";
    return read_chosen(fdt, boot);
}

int boot_fdt_read_cpus(const struct fdt *fdt, uint64_t boot_hw_id, bool (*is_usable)(const struct fdt *, fdt_node_t),
                       struct boot_info *boot, const char **out_problem)
{
    fdt_node_t cpus = fdt_find_path(fdt, "/cpus");
    bool found_boot_cpu = false;

    *out_problem = "there is no /cpus node";
    if (cpus == FDT_NODE_NONE)
        return -ENOENT;

    boot->cpu_hw_id[0] = boot_hw_id;
    boot->cpu_count = 1;
    boot->cpu_listed = 0;
    *out_problem = "a CPU node has no readable reg";
    for (fdt_node_t node = fdt_first_child(fdt, cpus); node != FDT_NODE_NONE; node = fdt_next_sibling(fdt, node)) {
        const char *type = fdt_get_string(fdt, node, "device_type");
        uint64_t hw_id;

        /* /cpus also holds cpu-map and caches. The address of a CPU is an id: it is not translated by "ranges". */
        if (type == NULL || strcmp(type, "cpu") != 0)
            continue;
        if (fdt_get_number(fdt, node, "reg", &hw_id) != 0)
            return -EINVAL;
        if (!fdt_is_enabled(fdt, node) || (is_usable != NULL && !is_usable(fdt, node)))
            continue;
        boot->cpu_listed++;
        if (hw_id == boot_hw_id)
            found_boot_cpu = true;
        else if (boot->cpu_count < CPU_MAX)
            boot->cpu_hw_id[boot->cpu_count++] = hw_id;
    }
    *out_problem = "the CPU that booted is not an enabled one of /cpus";
    return found_boot_cpu ? 0 : -ENODEV;
}

/* The number of the CPU with this hardware id, or CPU_NONE: one that is not used. */
static cpu_id_t cpu_by_hw_id(const struct boot_info *boot, uint64_t hw_id)
{
    for (cpu_id_t id = 0; id < boot->cpu_count; id++)
        if (boot->cpu_hw_id[id] == hw_id)
            return id;
    return CPU_NONE;
}

static void read_distances(const struct fdt *fdt, struct boot_info *boot)
{
    uint32_t entry[3];

    for (unsigned i = 0; i < NODES_MAX * NODES_MAX && fdt_get_distance(fdt, i, entry) == 0; i++)
        if (entry[0] < NODES_MAX && entry[1] < NODES_MAX && entry[2] <= UINT8_MAX) {
            boot->node_distance[entry[0]][entry[1]] = (uint8_t)entry[2];
            if (boot->node_distance[entry[1]][entry[0]] == 0) /* given for one way only: it is both */
                boot->node_distance[entry[1]][entry[0]] = (uint8_t)entry[2];
        }
}

void boot_fdt_read_places(const struct fdt *fdt, struct boot_info *boot)
{
    static struct fdt_cpu_map map;
    static struct fdt_caches caches;
    static uint32_t last_cache[CPU_MAX];
    fdt_node_t cpus = fdt_find_path(fdt, "/cpus");
    unsigned placed = 0;

    if (fdt_read_cpu_map(fdt, &map) != 0)
        map.count = 0;
    bool has_caches = fdt_read_caches(fdt, &caches) == 0;

    for (fdt_node_t node = fdt_first_child(fdt, cpus); node != FDT_NODE_NONE; node = fdt_next_sibling(fdt, node)) {
        const char *type = fdt_get_string(fdt, node, "device_type");
        uint64_t hw_id;
        uint32_t numa;

        if (type == NULL || strcmp(type, "cpu") != 0 || fdt_get_number(fdt, node, "reg", &hw_id) != 0)
            continue;
        cpu_id_t id = cpu_by_hw_id(boot, hw_id);
        int leaf = fdt_find_in_cpu_map(fdt, &map, node);

        if (id == CPU_NONE)
            continue;
        if (fdt_find_last_cache(fdt, &caches, node, &last_cache[id]) != 0)
            last_cache[id] = 0;
        if (leaf >= 0) {
            boot->cpu_place[id].core = map.leaf[leaf].core;
            boot->cpu_place[id].cache = map.leaf[leaf].cluster;
            placed++;
        }
        if (fdt_get_cell(fdt, node, "numa-node-id", 0, &numa) == 0 && numa < NODES_MAX) {
            boot->cpu_place[id].node = numa;
            boot->node_count = MAX(boot->node_count, numa + 1);
        }
    }
    boot->has_places = placed == boot->cpu_count; /* a map that leaves CPUs out is none */
    boot->cache_source = boot->has_places ? "clusters of cpu-map" : NULL;
    boot->cache_wanted = "next-level-cache";
    boot->cache_problem = "there is none";
    if (has_caches)
        boot_take_caches(boot, "next-level-cache", last_cache);
    read_distances(fdt, boot);
}

fdt_node_t boot_fdt_find_stdout(const struct fdt *fdt)
{
    fdt_node_t chosen = fdt_find_path(fdt, "/chosen");
    char path[PATH_BYTES_MAX];

    if (chosen == FDT_NODE_NONE)
        return FDT_NODE_NONE;
    const char *text = fdt_get_string(fdt, chosen, "stdout-path");

    if (text == NULL || !str_copy(path, text, sizeof(path)))
        return FDT_NODE_NONE;

    /* "uart0:115200n8": what follows the colon are options for the device. */
    char *options = strchr(path, ':');

    if (options != NULL)
        *options = '\0';
    if (path[0] == '/')
        return fdt_find_path(fdt, path);

    fdt_node_t aliases = fdt_find_path(fdt, "/aliases");

    if (aliases == FDT_NODE_NONE)
        return FDT_NODE_NONE;
    const char *target = fdt_get_string(fdt, aliases, path);

    return target != NULL ? fdt_find_path(fdt, target) : FDT_NODE_NONE;
}
