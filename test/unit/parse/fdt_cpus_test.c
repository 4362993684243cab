/* SPDX-License-Identifier: MIT */
/* core/parse/fdt_cpus.c: cpu-map with and without sockets and threads, caches, and trees that say nonsense. */
#include "unit.h"

#include <stdio.h>

#include <k/compiler.h>
#include <k/errno.h>
#include <parse/fdt_cpus.h>

#include "fdt_build.h"

static struct fdt_build build;
static struct fdt fdt;
static struct fdt_cpu_map map;
static struct fdt_caches caches;

static void open_node(const char *word, unsigned number)
{
    char name[32];

    (void)snprintf(name, sizeof name, "%s%u", word, number);
    fdt_build_node(&build, name);
}

static void begin(unsigned cpus)
{
    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    fdt_build_node(&build, "cpus");
    for (unsigned i = 0; i < cpus; i++) {
        open_node("cpu@", i);
        fdt_build_string(&build, "device_type", "cpu");
        FDT_CELLS(&build, "phandle", 0x100 + i);
        fdt_build_close(&build);
    }
}

static void end(void)
{
    fdt_build_close(&build); /* cpus */
    fdt_build_close(&build);
    fdt_build_end(&build);
    assert_int_equal(fdt_open(&fdt, build.blob, build.bytes), 0);
}

static fdt_node_t cpu(unsigned number)
{
    char path[32];

    (void)snprintf(path, sizeof path, "/cpus/cpu@%u", number);
    return fdt_find_path(&fdt, path);
}

/* 2 sockets of 2 clusters of 2 cores of 2 threads. */
static void a_full_map_tells_cores_and_clusters_apart(void **state)
{
    unsigned next = 0;

    (void)state;
    begin(16);
    fdt_build_node(&build, "cpu-map");
    for (unsigned socket = 0; socket < 2; socket++) {
        open_node("socket", socket);
        for (unsigned cluster = 0; cluster < 2; cluster++) {
            open_node("cluster", cluster);
            for (unsigned core = 0; core < 2; core++) {
                open_node("core", core);
                for (unsigned thread = 0; thread < 2; thread++) {
                    open_node("thread", thread);
                    FDT_CELLS(&build, "cpu", 0x100 + next++);
                    fdt_build_close(&build);
                }
                fdt_build_close(&build);
            }
            fdt_build_close(&build);
        }
        fdt_build_close(&build);
    }
    fdt_build_close(&build);
    end();
    assert_int_equal(fdt_read_cpu_map(&fdt, &map), 0);
    assert_int_equal(map.count, 16);
    for (unsigned a = 0; a < 16; a++)
        for (unsigned b = 0; b < 16; b++) {
            int in_a = fdt_find_in_cpu_map(&fdt, &map, cpu(a));
            int in_b = fdt_find_in_cpu_map(&fdt, &map, cpu(b));

            assert_true(in_a >= 0 && in_b >= 0);
            assert_int_equal(map.leaf[in_a].core == map.leaf[in_b].core, a / 2 == b / 2);
            assert_int_equal(map.leaf[in_a].cluster == map.leaf[in_b].cluster, a / 4 == b / 4);
        }
}

static void cores_may_be_leaves_and_names_must_be_whole(void **state)
{
    (void)state;
    begin(3);
    fdt_build_node(&build, "cpu-map");
    fdt_build_node(&build, "cluster0");
    for (unsigned core = 0; core < 2; core++) {
        open_node("core", core);
        FDT_CELLS(&build, "cpu", 0x100 + core);
        fdt_build_close(&build);
    }
    fdt_build_node(&build, "corellary"); /* no number: no core of its own */
    FDT_CELLS(&build, "cpu", 0x102);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_close(&build);
    end();
    assert_int_equal(fdt_read_cpu_map(&fdt, &map), 0);
    assert_int_equal(map.count, 3);
    assert_true(map.leaf[0].core != map.leaf[1].core && map.leaf[1].core == map.leaf[2].core);
    assert_true(map.leaf[0].cluster == map.leaf[2].cluster);
}

static void without_a_map_there_is_no_place(void **state)
{
    uint32_t entry[3];

    (void)state;
    begin(2);
    end();
    assert_int_equal(fdt_read_cpu_map(&fdt, &map), -ENOENT);
    assert_int_equal(fdt_get_distance(&fdt, 0, entry), -ENOENT);
    begin(2);
    fdt_build_node(&build, "cpu-map");
    fdt_build_node(&build, "cluster0");
    fdt_build_close(&build);
    fdt_build_close(&build);
    end();
    assert_int_equal(fdt_read_cpu_map(&fdt, &map), -ENOENT);
    assert_int_equal(fdt_find_in_cpu_map(&fdt, &map, cpu(0)), -ENOENT);
}

/* What follows the map in the tree is not of the map, and a phandle may name nothing. */
static void the_walk_ends_with_the_map(void **state)
{
    (void)state;
    begin(1);
    fdt_build_node(&build, "cpu-map");
    open_node("core", 0);
    FDT_CELLS(&build, "cpu", 0xdead);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_node(&build, "other");
    FDT_CELLS(&build, "cpu", 0x100);
    fdt_build_close(&build);
    end();
    assert_int_equal(fdt_read_cpu_map(&fdt, &map), 0);
    assert_int_equal(map.count, 1);
    assert_int_equal(fdt_find_in_cpu_map(&fdt, &map, cpu(0)), -ENOENT);
}

static void distances_are_triples(void **state)
{
    uint32_t entry[3] = { 0 };

    (void)state;
    begin(1);
    fdt_build_node(&build, "distance-map");
    fdt_build_string(&build, "compatible", "numa-distance-map-v1");
    FDT_CELLS(&build, "distance-matrix", 0, 0, 10, 0, 1, 25, 1);
    fdt_build_close(&build);
    end();
    assert_int_equal(fdt_get_distance(&fdt, 1, entry), 0);
    assert_true(entry[0] == 0 && entry[1] == 1 && entry[2] == 25);
    assert_int_equal(fdt_get_distance(&fdt, 2, entry), -ENOENT); /* cut in the middle */
}

static void put_cache(uint32_t phandle, uint32_t next)
{
    open_node("cache", phandle);
    fdt_build_prop(&build, "compatible", "vendor,l2\0cache", 16);
    FDT_CELLS(&build, "phandle", phandle);
    if (next != 0)
        FDT_CELLS(&build, "next-level-cache", next);
    fdt_build_close(&build);
}

static void put_cpu_with(unsigned number, uint32_t next)
{
    open_node("cpu@", number);
    FDT_CELLS(&build, "next-level-cache", next);
    fdt_build_close(&build);
}

/* Two CPUs each with a cache inside a larger one, a third with one of its own. */
static void the_way_over_the_caches_ends_at_the_last(void **state)
{
    static const uint32_t wanted[] = { 0x30, 0x30, 0x22 };
    uint32_t last;

    (void)state;
    begin(0);
    for (unsigned i = 0; i < 3; i++)
        put_cpu_with(i, 0x20 + i);
    put_cache(0x20, 0x30);
    put_cache(0x21, 0x30);
    put_cache(0x22, 0);
    put_cache(0x30, 0);
    end();
    assert_int_equal(fdt_read_caches(&fdt, &caches), 0);
    assert_int_equal(caches.count, 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fdt_find_last_cache(&fdt, &caches, cpu(i), &last), 0);
        assert_int_equal(last, wanted[i]);
    }
}

static void a_way_to_nowhere_tells_nothing(void **state)
{
    static const uint32_t first[] = { 0x99, 0x20, 0x21, 0x23, 0 };
    uint32_t last;

    (void)state;
    begin(1);
    end();
    assert_int_equal(fdt_read_caches(&fdt, &caches), -ENOENT);
    assert_int_equal(fdt_find_last_cache(&fdt, &caches, cpu(0), &last), -ENOENT);
    begin(0);
    for (unsigned i = 0; i < ARRAY_COUNT(first); i++)
        put_cpu_with(i, first[i]);
    put_cache(0x20, 0x98); /* names nothing */
    put_cache(0x21, 0x22); /* a circle */
    put_cache(0x22, 0x21);
    put_cache(0x23, 0x23);
    end();
    assert_int_equal(fdt_read_caches(&fdt, &caches), 0);
    for (unsigned i = 0; i < ARRAY_COUNT(first); i++)
        assert_int_equal(fdt_find_last_cache(&fdt, &caches, cpu(i), &last), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_map_tells_cores_and_clusters_apart),
        cmocka_unit_test(cores_may_be_leaves_and_names_must_be_whole),
        cmocka_unit_test(without_a_map_there_is_no_place),
        cmocka_unit_test(the_walk_ends_with_the_map),
        cmocka_unit_test(distances_are_triples),
        cmocka_unit_test(the_way_over_the_caches_ends_at_the_last),
        cmocka_unit_test(a_way_to_nowhere_tells_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
