/* SPDX-License-Identifier: MIT */
/* Memory of the nodes of the machine itself; on a machine of one node all of it is that one's. */
#include <mm/stats.h>
#include <smp/topology.h>

#include "check.h"

#define PAGES 200 /* more than a CPU's cache holds */

static unsigned strangers; /* pages of other nodes; of the one task that runs */

/* Pages taken on a CPU that the task may not leave. */
static int take_pages(void *arg)
{
    unsigned node = (unsigned)(uintptr_t)arg;
    static paddr_t page[PAGES];

    strangers = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        page[i] = phys_alloc(0);
        strangers += page[i] != 0 && phys_node(page[i]) != node;
    }
    for (unsigned i = 0; i < PAGES; i++)
        if (CHECK(page[i] != 0))
            phys_free(page[i], 0);
    return 0;
}

static void a_pinned_task_has_pages_of_its_node(void)
{
    for (unsigned node = 0; node < mm_node_count(); node++) {
        struct mm_node_stats before, after;
        cpu_id_t cpu = mm_node_count() == 1 ? online_cpu(0) : cpumask_next(topology_node_cpus(node), 0);

        mm_node_stats_get(node, &before);
        if (cpu == CPU_NONE || !cpumask_contains(&cpu_online_mask, cpu) || before.free < 2 * PAGES)
            continue; /* nobody to take them, or not enough to be sure of */
        CHECK(finish(spawn_on("taker", take_pages, (void *)(uintptr_t)node, PRIORITY_DEFAULT, cpu)) == 0);
        mm_node_stats_get(node, &after);
        CHECK(strangers == 0);
        CHECK(after.local > before.local); /* a cache that was full serves a part of them */
        log_info("nodes: CPU %u took %u pages, %u of them not of node %u; %llu of %llu KiB are free there", cpu, PAGES,
                 strangers, node, (unsigned long long)(after.free * (PAGE_BYTES >> 10)),
                 (unsigned long long)(after.total * (PAGE_BYTES >> 10)));
    }
}

/* All memory of all nodes, no more and no less. */
static void the_nodes_add_up(void)
{
    struct mm_stats stats;
    uint64_t total = 0;

    mm_stats_get(&stats);
    for (unsigned node = 0; node < mm_node_count(); node++) {
        struct mm_node_stats of;

        mm_node_stats_get(node, &of);
        CHECK(of.free <= of.total);
        total += of.total;
    }
    CHECK(total == stats.total);
}

const struct kernel_test tests_nodes[] = {
    { "sched: a pinned task has pages of its node", a_pinned_task_has_pages_of_its_node },
    { "sched: the memory of nodes adds up", the_nodes_add_up },
    { NULL, NULL },
};
