/* SPDX-License-Identifier: MIT */
/*
 * Which NUMA node a page belongs to, and which nodes are near. Owns a table of ranges that covers all addresses, and
 * for each node the order in which its CPUs ask others; both are boot memory, immutable after nodes_init(). A machine
 * of one node has neither, and its one set of free lists in static memory. No lock.
 */
#include "mm_priv.h"

#include <lib/string.h>

#include <hal/boot.h>
#include <k/log.h>
#include <mm/bootmem.h>
#include <smp/topology.h>

static struct buddy_node only_node;

struct mm_nodes mm_nodes = {.count = 1, .buddy = &only_node};

/* Of the first range of the firmware's list that holds the page's first byte; what is in none counts as node 0's. */
static unsigned listed_node(const struct boot_info *boot, paddr_t pa)
{
    for (unsigned i = 0; i < MIN(boot->node_memory_count, (unsigned)BOOT_RANGES_MAX); i++) {
        const struct boot_node_memory *listed = &boot->node_memory[i];

        if (pa - listed->base < listed->bytes)
            return listed->node < mm_nodes.count ? listed->node : 0;
    }
    return 0;
}

/* The next page after `pfn` at which some range begins or ends. */
static pfn_t next_border(const struct boot_info *boot, pfn_t pfn)
{
    pfn_t next = NODE_PFN_END;

    for (unsigned i = 0; i < MIN(boot->node_memory_count, (unsigned)BOOT_RANGES_MAX); i++) {
        pfn_t first = boot->node_memory[i].base >> PAGE_SHIFT;
        pfn_t end = (boot->node_memory[i].base + boot->node_memory[i].bytes) >> PAGE_SHIFT;

        if (first > pfn)
            next = MIN(next, first);
        if (end > pfn)
            next = MIN(next, end);
    }
    return next;
}

/* Every border is one of at most two for each range, so the table is large enough. */
static void build_ranges(const struct boot_info *boot)
{
    for (pfn_t pfn = 0; pfn < NODE_PFN_END; pfn = next_border(boot, pfn)) {
        unsigned node = listed_node(boot, pfn << PAGE_SHIFT);
        struct node_range *last = &mm_nodes.ranges[mm_nodes.range_count];

        if (mm_nodes.range_count != 0 && last[-1].node == node)
            continue;
        ASSERT(mm_nodes.range_count < NODE_RANGES_MAX);
        *last = (struct node_range){pfn, node};
        mm_nodes.range_count++;
    }
}

void nodes_init(const struct boot_info *boot)
{
    unsigned count = MIN(boot->node_count, (unsigned)NODES_MAX);

    mm_nodes = (struct mm_nodes){.count = 1, .buddy = &only_node};
    if (count <= 1 || boot->node_memory_count == 0)
        return;
    mm_nodes.count = count;
    mm_nodes.buddy = bootmem_alloc(count * sizeof(struct buddy_node), CACHE_LINE_BYTES, "free lists of nodes");
    mm_nodes.ranges = bootmem_alloc(NODE_RANGES_MAX * sizeof(struct node_range), CACHE_LINE_BYTES, "ranges of nodes");
    mm_nodes.nearest = bootmem_alloc((size_t)count * count, CACHE_LINE_BYTES, "nodes by distance");
    for (unsigned node = 0; node < count; node++)
        topology_order_nodes(boot, node, &mm_nodes.nearest[node * count]);
    build_ranges(boot);
}

/* The range that holds the page: the last one that begins at or before it. The first begins at 0. */
static unsigned find_range(pfn_t pfn)
{
    unsigned low = 0;
    unsigned high = mm_nodes.range_count;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (mm_nodes.ranges[middle].first <= pfn)
            low = middle;
        else
            high = middle;
    }
    return low;
}

unsigned nodes_find(pfn_t pfn)
{
    return mm_nodes.count == 1 ? 0 : mm_nodes.ranges[find_range(pfn)].node;
}

pfn_t nodes_find_end(pfn_t pfn)
{
    if (mm_nodes.count == 1)
        return NODE_PFN_END;
    unsigned next = find_range(pfn) + 1;

    return next < mm_nodes.range_count ? mm_nodes.ranges[next].first : NODE_PFN_END;
}

unsigned nodes_find_home(unsigned node)
{
    for (unsigned i = 0; node < mm_nodes.count && i < mm_nodes.count; i++)
        if (mm_nodes.buddy[nodes_nearest(node, i)].total_pages != 0)
            return nodes_nearest(node, i);
    return 0;
}

unsigned phys_node(paddr_t pa)
{
    const struct page *page = page_find(ROUND_DOWN(pa, PAGE_BYTES));

    ASSERT(page != NULL);
    return page_node(page, pa >> PAGE_SHIFT);
}

unsigned mm_node_count(void)
{
    return mm_nodes.count;
}

void mm_node_stats_get(unsigned node, struct mm_node_stats *out)
{
    const struct buddy_node *of = &mm_nodes.buddy[node];

    ASSERT(node < mm_nodes.count);
    *out = (struct mm_node_stats){.total = of->total_pages};
    /* Pages move between the free lists and the caches under the lock only. A cache has pages of its home only. */
    spin_lock(&buddy.lock);
    out->free = load_relaxed(&of->free_pages);
    out->local = load_relaxed(&of->local_pages);
    out->remote = load_relaxed(&of->remote_pages);
    for (struct mm_cpu *cpu = mm_cpus; cpu != NULL; cpu = cpu->next)
        if (cpu->home == node)
            out->free += load_relaxed(&cpu->count);
    spin_unlock(&buddy.lock);
}
