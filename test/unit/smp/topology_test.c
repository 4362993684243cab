/* SPDX-License-Identifier: MIT */
/* core/smp/topology.c against what the firmware said, looked up pair by pair; nonsense included. */
#include "unit.h"

#include <string.h>

#include <smp/topology.h>

#define CPUS 24u

static struct boot_info boot;
static struct cpu cpus[CPUS];
static ALIGNED(CACHE_LINE_BYTES) char memory[(TOPOLOGY_LEVELS * CPUS + NODES_MAX) * sizeof(struct cpumask)];

struct shape {
    unsigned threads, cores, caches; /* as in struct host_config; 0: no such thing */
    bool is_scattered;               /* neighbours in number are none in place */
};

static unsigned place_of(const struct shape *shape, cpu_id_t id)
{
    return shape->is_scattered ? id * 7 % CPUS : id;
}

static void begin(const struct shape *shape)
{
    unsigned threads = MAX(shape->threads, 1u);
    unsigned cores = threads * MAX(shape->cores, CPUS);

    if (shape->cores != 0)
        cores = threads * shape->cores;
    memset(&boot, 0, sizeof boot);
    memset(cpus, 0, sizeof cpus);
    memset(memory, 0, sizeof memory);
    boot.has_places = true;
    for (cpu_id_t id = 0; id < CPUS; id++) {
        unsigned place = place_of(shape, id);

        cpus[id].id = id;
        cpu_table[id] = &cpus[id];
        boot.cpu_place[id].core = place / threads;
        boot.cpu_place[id].cache = place / cores;
        boot.cpu_place[id].node = shape->caches != 0 ? place / (cores * shape->caches) : 0;
        boot.node_count = MAX(boot.node_count, boot.cpu_place[id].node + 1);
    }
}

/* A level either says nothing, because its groups are those of the next or single CPUs, or is right for every pair. */
static unsigned check_level(enum topology_level level)
{
    unsigned told = 0;

    for (cpu_id_t a = 0; a < CPUS; a++) {
        const struct cpumask *near = topology_near(&cpus[a], level);

        told += near != NULL;
        for (cpu_id_t b = 0; near != NULL && b < CPUS; b++) {
            const struct boot_cpu_place *of_a = &boot.cpu_place[a];
            const struct boot_cpu_place *of_b = &boot.cpu_place[b];
            bool wanted = level == TOPOLOGY_CORE    ? of_a->core == of_b->core
                          : level == TOPOLOGY_CACHE ? of_a->cache == of_b->cache
                                                    : of_a->node == of_b->node;

            assert_int_equal(cpumask_contains(near, b), wanted);
        }
    }
    return told;
}

static void expect(const struct shape *shape, bool core, bool cache, bool node)
{
    begin(shape);
    topology_init(memory, &boot, CPUS);
    assert_int_equal(check_level(TOPOLOGY_CORE), core ? CPUS : 0);
    assert_int_equal(check_level(TOPOLOGY_CACHE), cache ? CPUS : 0);
    assert_int_equal(check_level(TOPOLOGY_NODE), node ? CPUS : 0);
    assert_int_equal(topology_has_threads(), core);
    for (unsigned i = 0; i < topology_nodes(); i++)
        for (cpu_id_t id = 0; id < CPUS; id++)
            assert_int_equal(cpumask_contains(topology_node_cpus(i), id), cpus[id].node == i);
}

static void flat(void)
{
    expect(&(const struct shape){ 0 }, false, false, false);
    assert_int_equal(topology_nodes(), 1);
}

static void nothing_known(void)
{
    begin(&(const struct shape){ 0 });
    memset(boot.cpu_place, 0, sizeof boot.cpu_place);
    boot.has_places = false;
    boot.node_count = 0;
    topology_init(memory, &boot, CPUS);
    assert_false(topology_has_threads());
    for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++)
        assert_null(topology_near(&cpus[5], (enum topology_level)level));
    assert_int_equal(topology_nodes(), 1);
    assert_int_equal(cpumask_count(topology_node_cpus(0)), CPUS);
}

static void all_levels(void)
{
    char words[64];

    expect(&(const struct shape){ 2, 2, 3, false }, true, true, true);
    topology_describe(words, sizeof words);
    assert_string_equal(words, "2 nodes, 6 caches, 12 cores");
}

static void scattered(void)
{
    expect(&(const struct shape){ 2, 3, 2, true }, true, true, true);
}

static void threads_only(void)
{
    expect(&(const struct shape){ 2, 0, 0, false }, true, false, false);
}

static void cache_is_node(void)
{
    expect(&(const struct shape){ 1, 6, 1, false }, false, false, true);
}

static void distances(void)
{
    static const uint8_t given[4][4] = { { 10, 40, 20, 0 }, { 40, 10, 15, 30 }, { 20, 3, 99, 10 }, { 0, 30, 10, 10 } };
    static const uint8_t order[4][4] = { { 0, 3, 2, 1 }, { 1, 2, 3, 0 }, { 2, 1, 3, 0 }, { 3, 0, 2, 1 } };

    begin(&(const struct shape){ 1, 6, 1, false });
    assert_int_equal(boot.node_count, 4);
    for (unsigned from = 0; from < 4; from++)
        for (unsigned to = 0; to < 4; to++)
            boot.node_distance[from][to] = given[from][to];
    boot.cpu_place[7].node = 9999; /* out of range: counts as node 0 */
    topology_init(memory, &boot, CPUS);
    assert_int_equal(cpus[7].node, 0);
    for (unsigned from = 0; from < 4; from++) {
        assert_int_equal(topology_distance(from, from), TOPOLOGY_DISTANCE_HERE);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(topology_nearest(from, i), order[from][i]);
            assert_true(i == 0 || topology_distance(from, i == 0 ? 0 : order[from][i]) > TOPOLOGY_DISTANCE_HERE);
        }
    }
}

static void too_many_nodes(void)
{
    begin(&(const struct shape){ 0 });
    boot.node_count = UINT32_MAX;
    topology_init(memory, &boot, CPUS);
    assert_int_equal(topology_nodes(), NODES_MAX);
}

static void machines_of_all_shapes_are_told_right(void **state)
{
    static void (*const machines[])(void) = { flat,         nothing_known, all_levels, scattered,
                                              threads_only, cache_is_node, distances,  too_many_nodes };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(machines); i++)
        machines[i]();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_of_all_shapes_are_told_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
