/* SPDX-License-Identifier: MIT */
/* Which CPUs are near each other. Owns the masks of the groups, and the nodes; immutable after topology_init(). */
#include <smp/topology.h>

#include <k/assert.h>
#include <k/limits.h>
#include <lib/fmt.h>
#include <lib/string.h>

static struct {
    struct cpumask *masks; /* unused ones from here */
    unsigned nodes;
    unsigned groups[TOPOLOGY_LEVELS];
    bool has_threads;
    const struct cpumask *node_cpus[NODES_MAX];
    uint32_t node_words[NODES_MAX];
    uint8_t distance[NODES_MAX][NODES_MAX];
    uint8_t nearest[NODES_MAX][NODES_MAX];
} topology;

size_t topology_bytes(unsigned cpus)
{
    return sizeof(struct cpumask) * (TOPOLOGY_LEVELS * (size_t)cpus + NODES_MAX);
}

static unsigned node_of(const struct boot_info *boot, cpu_id_t id)
{
    return boot->cpu_place[id].node < topology.nodes ? boot->cpu_place[id].node : 0;
}

/* Are two CPUs in one group? Numbers of cores and caches are unique in the machine. */
static bool share(const struct boot_info *boot, enum topology_level level, cpu_id_t a, cpu_id_t b)
{
    const struct boot_cpu_place *of_a = &boot->cpu_place[a];
    const struct boot_cpu_place *of_b = &boot->cpu_place[b];

    switch (level) {
    case TOPOLOGY_CORE:
        return boot->has_places ? of_a->core == of_b->core : a == b;
    case TOPOLOGY_CACHE:
        return !boot->has_places || of_a->cache == of_b->cache;
    case TOPOLOGY_NODE:
    case TOPOLOGY_LEVELS:
        break;
    }
    return node_of(boot, a) == node_of(boot, b);
}

/* One mask for each group, which its CPUs share. */
static void build_level(const struct boot_info *boot, enum topology_level level, unsigned cpus)
{
    for (cpu_id_t id = 0; id < cpus; id++) {
        cpu_id_t first = 0;

        while (!share(boot, level, first, id))
            first++;
        if (first == id) {
            cpu_table[id]->near[level] = topology.masks++;
            topology.groups[level]++;
        }
        cpu_table[id]->near[level] = cpu_table[first]->near[level];
        cpumask_add((struct cpumask *)cpu_table[id]->near[level], id);
    }
}

/* A group of one CPU, of all, or equal to that of the next level has nothing to say. */
static void drop_empty(struct cpu *cpu, unsigned cpus)
{
    unsigned larger = cpus;

    for (unsigned i = TOPOLOGY_LEVELS; i-- > 0;) {
        unsigned size = cpumask_count(cpu->near[i]);

        if (size == 1 || size == larger)
            cpu->near[i] = NULL;
        else
            larger = size;
    }
}

static unsigned distance_of(const struct boot_info *boot, unsigned from, unsigned to)
{
    if (from == to)
        return TOPOLOGY_DISTANCE_HERE;
    return MAX((unsigned)boot->node_distance[from][to], TOPOLOGY_DISTANCE_HERE + 1);
}

static void build_nodes(const struct boot_info *boot, unsigned cpus)
{
    for (unsigned from = 0; from < topology.nodes; from++) {
        struct cpumask *mask = topology.masks++;

        for (cpu_id_t id = 0; id < cpus; id++)
            if (node_of(boot, id) == from) {
                cpumask_add(mask, id);
                topology.node_words[from] |= 1u << id / 64;
            }
        topology.node_cpus[from] = mask;
        for (unsigned to = 0; to < topology.nodes; to++)
            topology.distance[from][to] = (uint8_t)distance_of(boot, from, to);
    }
}

/* Insertion: few nodes. */
void topology_order_nodes(const struct boot_info *boot, unsigned from, uint8_t order[])
{
    unsigned nodes = MIN(MAX(boot->node_count, 1u), (unsigned)NODES_MAX);

    for (unsigned count = 0; count < nodes; count++) {
        unsigned at = count;

        for (; at > 0 && distance_of(boot, from, order[at - 1]) > distance_of(boot, from, count); at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)count;
    }
}

void topology_init(void *memory, const struct boot_info *boot, unsigned cpus)
{
    ASSERT(cpus != 0 && cpus <= CPU_MAX);
    (void)memset(&topology, 0, sizeof topology); /* tests build more than one */
    topology.masks = memory;
    topology.nodes = MIN(MAX(boot->node_count, 1u), (unsigned)NODES_MAX);
    for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++)
        build_level(boot, (enum topology_level)level, cpus);
    build_nodes(boot, cpus);
    for (unsigned node = 0; node < topology.nodes; node++)
        topology_order_nodes(boot, node, topology.nearest[node]);
    topology.has_threads = topology.groups[TOPOLOGY_CORE] < cpus;
    for (cpu_id_t id = 0; id < cpus; id++) {
        cpu_table[id]->node = node_of(boot, id);
        drop_empty(cpu_table[id], cpus);
    }
}

unsigned topology_nodes(void)
{
    return topology.nodes;
}

const struct cpumask *topology_node_cpus(unsigned node)
{
    return topology.node_cpus[node];
}

uint32_t topology_node_words(unsigned node)
{
    return topology.node_words[node];
}

unsigned topology_distance(unsigned from, unsigned to)
{
    return topology.distance[from][to];
}

unsigned topology_nearest(unsigned from, unsigned i)
{
    return topology.nearest[from][i];
}

bool topology_has_threads(void)
{
    return topology.has_threads;
}

void topology_describe(char *out, size_t bytes)
{
    (void)fmt_print(out, bytes, "%u node%s, %u cache%s, %u core%s", topology.nodes, topology.nodes == 1 ? "" : "s",
                    topology.groups[TOPOLOGY_CACHE], topology.groups[TOPOLOGY_CACHE] == 1 ? "" : "s",
                    topology.groups[TOPOLOGY_CORE], topology.groups[TOPOLOGY_CORE] == 1 ? "" : "s");
}
