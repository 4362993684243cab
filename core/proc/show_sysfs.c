/* SPDX-License-Identifier: MIT */
/*
 * /sys/devices/system, as libcs and libnuma read it: which CPUs and NUMA nodes there are, and what belongs together.
 * Linux's Documentation/ABI/stable/sysfs-devices-system-cpu and -node. A CPU that is off keeps its files. All of it is
 * for reading.
 */
#include <proc/show.h>

#include <fs/procfs.h>
#include <k/log.h>
#include <k/panic.h>
#include <lib/fmt.h>
#include <mm/kmalloc.h>
#include <mm/stats.h>
#include <smp/cpu.h>
#include <smp/topology.h>

#define CPUS "devices/system/cpu/"
#define NODES "devices/system/node/"
#define NAME_BYTES 64u

/* "0-3,8": the first of a row, and the last. */
static void print_set(struct procfs_text *text, const struct cpumask *set)
{
    const char *between = "";

    for (cpu_id_t first = cpumask_next(set, 0); first != CPU_NONE;) {
        cpu_id_t last = first;

        while (last + 1 < CPU_MAX && cpumask_contains(set, last + 1))
            last++;
        procfs_print(text, last > first ? "%s%u-%u" : "%s%u", between, (unsigned)first, (unsigned)last);
        between = ",";
        first = last + 1 < CPU_MAX ? cpumask_next(set, last + 1) : CPU_NONE;
    }
    procfs_print(text, "\n");
}

/* Groups of 32 CPUs, the highest first. */
static void print_mask(struct procfs_text *text, const struct cpumask *set)
{
    for (unsigned group = 2 * cpu_mask_words; group-- > 0;)
        procfs_print(text, "%08x%s", (unsigned)(cpumask_word(set, group / 2) >> (group % 2 * 32) & 0xffffffffu),
                     group > 0 ? "," : "\n");
}

static int print_started(struct procfs_text *text, void *process)
{
    (void)process;
    print_set(text, &cpu_started_mask);
    return 0;
}

static int print_online(struct procfs_text *text, void *process)
{
    struct cpumask online;

    (void)process;
    cpumask_clear(&online);
    for_each_online_cpu(cpu)
        cpumask_add(&online, cpu);
    print_set(text, &online);
    return 0;
}

static int print_last_cpu(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", CPU_MAX - 1);
    return 0;
}

/* ---- A CPU ---- */

static int print_cpu_online(struct procfs_text *text, unsigned cpu)
{
    procfs_print(text, "%u\n", cpu_is_online((cpu_id_t)cpu));
    return 0;
}

/* Of a CPU whose core is not known: it alone. */
static void core_of(unsigned cpu, struct cpumask *out)
{
    const struct cpumask *core = topology_near(cpu_table[cpu], TOPOLOGY_CORE);

    if (core != NULL)
        *out = *core;
    else
        cpumask_set_single(out, (cpu_id_t)cpu);
}

static int print_core(struct procfs_text *text, unsigned cpu)
{
    struct cpumask core;

    core_of(cpu, &core);
    procfs_print(text, "%u\n", (unsigned)cpumask_next(&core, 0));
    return 0;
}

static int print_siblings(struct procfs_text *text, unsigned cpu)
{
    struct cpumask core;

    core_of(cpu, &core);
    print_set(text, &core);
    return 0;
}

/* Packages are not told apart: as Linux says it where the firmware does not. */
static int print_package(struct procfs_text *text, unsigned cpu)
{
    (void)cpu;
    procfs_print(text, "-1\n");
    return 0;
}

/* ---- Nodes ---- */

static int print_nodes(struct procfs_text *text, void *process)
{
    unsigned last = topology_nodes() - 1;

    (void)process;
    procfs_print(text, last > 0 ? "0-%u\n" : "0\n", last);
    return 0;
}

static int print_node_set(struct procfs_text *text, unsigned node)
{
    print_set(text, topology_node_cpus(node));
    return 0;
}

static int print_node_mask(struct procfs_text *text, unsigned node)
{
    print_mask(text, topology_node_cpus(node));
    return 0;
}

static int print_distances(struct procfs_text *text, unsigned node)
{
    for (unsigned to = 0; to < topology_nodes(); to++)
        procfs_print(text, "%s%u", to > 0 ? " " : "", topology_distance(node, to));
    procfs_print(text, "\n");
    return 0;
}

static int print_memory(struct procfs_text *text, unsigned node)
{
    struct mm_node_stats stats = {0};

    if (node < mm_node_count())
        mm_node_stats_get(node, &stats);
    unsigned long long total = stats.total * (PAGE_BYTES / 1024), left = stats.free * (PAGE_BYTES / 1024);

    procfs_print(text, "Node %u MemTotal:       %8llu kB\nNode %u MemFree:        %8llu kB\n", node, total, node, left);
    procfs_print(text, "Node %u MemUsed:        %8llu kB\n", node, total - left);
    return 0;
}

/* ---- The list ---- */

struct numbered {
    const char *name; /* behind "cpu3/", "node0/" */
    int (*print)(struct procfs_text *text, unsigned number);
};

static const struct procfs_file whole[] = {
    { .name = CPUS "online", .print = print_online },     { .name = CPUS "present", .print = print_started },
    { .name = CPUS "possible", .print = print_started },  { .name = CPUS "kernel_max", .print = print_last_cpu },
    { .name = NODES "online", .print = print_nodes },     { .name = NODES "possible", .print = print_nodes },
    { .name = NODES "has_cpu", .print = print_nodes },    { .name = NODES "has_memory", .print = print_nodes },
    { .name = NODES "has_normal_memory", .print = print_nodes },
};
static const struct numbered of_cpu[] = {
    { "online", print_cpu_online },
    { "topology/core_id", print_core },
    { "topology/physical_package_id", print_package },
    { "topology/thread_siblings_list", print_siblings },
};
static const struct numbered of_node[] = {
    { "cpulist", print_node_set }, { "cpumap", print_node_mask }, { "distance", print_distances },
    { "meminfo", print_memory },
};

static struct procfs_file *add(struct procfs_file *at, const char *folder, unsigned number, const struct numbered *of,
                               unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char *name = kmalloc(NAME_BYTES);

        if (name == NULL)
            panic("out of memory at boot: cannot make sysfs");
        (void)fmt_print(name, NAME_BYTES, "%s%u/%s", folder, number, of[i].name);
        *at++ = (struct procfs_file){ .name = name, .print_numbered = of[i].print, .number = number };
    }
    return at;
}

void show_sysfs_init(void)
{
    unsigned cpus = cpumask_count(&cpu_started_mask), nodes = topology_nodes();
    unsigned count = ARRAY_COUNT(whole) + cpus * ARRAY_COUNT(of_cpu) + nodes * ARRAY_COUNT(of_node);
    struct procfs_file *files = kmalloc(count * sizeof *files), *at = files;

    _Static_assert(ARRAY_COUNT(whole) + CPU_MAX * ARRAY_COUNT(of_cpu) + NODES_MAX * ARRAY_COUNT(of_node) <=
                       SYSFS_FILES_MAX, "the files of every machine have places");
    if (files == NULL)
        panic("out of memory at boot: cannot make sysfs");
    for (unsigned i = 0; i < ARRAY_COUNT(whole); i++)
        *at++ = whole[i];
    for_each_started_cpu(cpu)
        at = add(at, CPUS "cpu", cpu, of_cpu, ARRAY_COUNT(of_cpu));
    for (unsigned node = 0; node < nodes; node++)
        at = add(at, NODES "node", node, of_node, ARRAY_COUNT(of_node));
    ASSERT(at == files + count);
    sysfs_set_files(files, count);
}
