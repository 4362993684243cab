/* SPDX-License-Identifier: MIT */
/* arch/shared/boot_caches.c and the places of boot_fdt.c: whose word on caches is taken, and what stays if not. */
#include "unit.h"

#include <string.h>

#include <k/errno.h>
#include <shared/boot_caches.h>
#include <shared/boot_fdt.h>

#include "../parse/acpi_build.h"
#include "../parse/fdt_build.h"

#define CPUS 8
#define PACKAGE 0x01u
#define THREAD 0x0eu

static struct boot_info boot;
static struct acpi_madt madt;
static struct acpi_build acpi;
static struct fdt_build tree;

/* 8 CPUs, two to a core, whose ids of hardware and of ACPI are neither their numbers nor in their order. All in one
 * cache, by what the machine knew before. */
static void begin(bool has_places)
{
    memset(&boot, 0, sizeof boot);
    memset(&madt, 0, sizeof madt);
    boot.cpu_count = CPUS;
    boot.has_places = has_places;
    boot.cache_source = has_places ? "before" : NULL;
    madt.cpu_count = CPUS;
    for (cpu_id_t id = 0; id < CPUS; id++) {
        boot.cpu_hw_id[id] = 100 + id;
        boot.cpu_place[id].core = has_places ? id / 2 : 0;
        boot.cpu_place[id].cache = 77;
        madt.cpu[CPUS - 1 - id].apic_id = 100 + id;
        madt.cpu[CPUS - 1 - id].uid = 3 * id;
    }
}

/* Each run of so many CPUs shares a cache. */
static void expect_taken(unsigned per_core, unsigned per_cache, const char *source)
{
    assert_null(boot.cache_problem);
    assert_string_equal(boot.cache_source, source);
    assert_true(boot.has_places);
    for (cpu_id_t a = 0; a < boot.cpu_count; a++)
        for (cpu_id_t b = 0; b < boot.cpu_count; b++) {
            assert_int_equal(boot.cpu_place[a].core == boot.cpu_place[b].core, a / per_core == b / per_core);
            assert_int_equal(boot.cpu_place[a].cache == boot.cpu_place[b].cache, a / per_cache == b / per_cache);
        }
}

static void expect_refused(const char *problem)
{
    assert_string_equal(boot.cache_problem, problem);
    assert_string_equal(boot.cache_source, "before");
    for (cpu_id_t id = 0; id < CPUS; id++) {
        assert_int_equal(boot.cpu_place[id].core, id / 2);
        assert_int_equal(boot.cpu_place[id].cache, 77);
    }
}

static void caches_that_make_sense_are_taken(void **state)
{
    static const uint32_t halves[CPUS] = { 5, 5, 5, 5, 9, 9, 9, 9 };

    (void)state;
    begin(true);
    boot_take_caches(&boot, "test", halves);
    expect_taken(2, 4, "test");
    begin(false); /* each CPU is a core */
    boot_take_caches(&boot, "test", halves);
    expect_taken(1, 4, "test");
}

static void nonsense_changes_nothing(void **state)
{
    static const uint32_t one_missing[CPUS] = { 5, 5, 5, 5, 9, 9, 0, 9 };
    static const uint32_t between_threads[CPUS] = { 5, 5, 5, 9, 9, 9, 9, 9 };
    static const uint32_t inside_cores[CPUS] = { 1, 1, 2, 2, 3, 3, 4, 4 };

    (void)state;
    begin(true);
    boot_take_caches(&boot, "test", one_missing);
    expect_refused("it leaves CPUs out");
    boot_take_caches(&boot, "test", between_threads);
    expect_refused("it takes cores apart");
    boot_take_caches(&boot, "test", inside_cores);
    expect_refused("it tells of no cache that cores share");
    assert_string_equal(boot.cache_wanted, "test");
}

/* Two packages of two cores of two threads; `missing` is left out. */
static struct acpi_table build_pptt(bool has_caches, unsigned missing)
{
    acpi_build_begin(&acpi);
    uint32_t start = acpi_build_table(&acpi, "PPTT", 2, true);
    uint32_t cache = acpi_build_cache(&acpi, start, 2, 0);

    for (uint32_t i = 0, cpu = 0; i < 2; i++) {
        uint32_t package = acpi_build_processor(&acpi, start, PACKAGE, 0, i, has_caches ? cache : 0);

        for (uint32_t j = 0; j < 2; j++) {
            uint32_t core = acpi_build_processor(&acpi, start, 0, package, j, 0);

            for (uint32_t k = 0; k < 2; k++, cpu++)
                if (cpu != missing)
                    (void)acpi_build_processor(&acpi, start, THREAD, core, 3 * cpu, 0);
        }
    }
    acpi_build_finish(&acpi, start);
    return (struct acpi_table){ .data = acpi.memory + start, .bytes = acpi.used - start };
}

static void the_pptt_goes_by_the_uids_of_the_madt(void **state)
{
    struct acpi_table table = build_pptt(true, CPUS);

    (void)state;
    begin(true);
    boot_take_pptt(&boot, &madt, &table);
    expect_taken(2, 4, "PPTT");
}

static void without_a_good_pptt_all_stays(void **state)
{
    struct acpi_table table = build_pptt(true, 5);

    (void)state;
    begin(true);
    boot_take_pptt(&boot, &madt, NULL);
    expect_refused("there is none");
    boot_take_pptt(&boot, &madt, &table);
    expect_refused("it leaves CPUs out");
    table = build_pptt(false, CPUS);
    boot_take_pptt(&boot, &madt, &table);
    expect_refused("it leaves CPUs out");
    acpi.memory[table.data - acpi.memory + 37] = 1;
    boot_take_pptt(&boot, &madt, &table);
    expect_refused("it is damaged");
    table.bytes = 36;
    boot_take_pptt(&boot, &madt, &table);
    expect_refused("it lists no CPU");
}

/* 8 CPUs, one to a core, in one cluster (or with no map), each with a cache, and a larger one for each four of them. */
static void read_tree(bool has_map, bool has_caches)
{
    static const char *const names[] = { "cpu@0", "cpu@1", "cpu@2", "cpu@3", "cpu@4", "cpu@5", "cpu@6", "cpu@7" };
    static const char *const cores[] = { "core0", "core1", "core2", "core3", "core4", "core5", "core6", "core7" };
    const char *problem;
    struct fdt fdt;

    fdt_build_begin(&tree);
    fdt_build_node(&tree, "");
    fdt_build_node(&tree, "cpus");
    FDT_CELLS(&tree, "#address-cells", 1);
    FDT_CELLS(&tree, "#size-cells", 0);
    for (uint32_t i = 0; i < CPUS; i++) {
        fdt_build_node(&tree, names[i]);
        fdt_build_string(&tree, "device_type", "cpu");
        FDT_CELLS(&tree, "reg", i);
        FDT_CELLS(&tree, "phandle", 0x100 + i);
        if (has_caches)
            FDT_CELLS(&tree, "next-level-cache", 0x200 + i);
        fdt_build_node(&tree, "cache");
        fdt_build_string(&tree, "compatible", "cache");
        FDT_CELLS(&tree, "phandle", 0x200 + i);
        FDT_CELLS(&tree, "next-level-cache", 0x300 + i / 4);
        fdt_build_close(&tree);
        fdt_build_close(&tree);
    }
    for (uint32_t i = 0; i < 2; i++) {
        fdt_build_node(&tree, i == 0 ? "l3-cache0" : "l3-cache1");
        fdt_build_string(&tree, "compatible", "cache");
        FDT_CELLS(&tree, "phandle", 0x300 + i);
        fdt_build_close(&tree);
    }
    if (has_map) {
        fdt_build_node(&tree, "cpu-map");
        fdt_build_node(&tree, "cluster0");
        for (uint32_t i = 0; i < CPUS; i++) {
            fdt_build_node(&tree, cores[i]);
            FDT_CELLS(&tree, "cpu", 0x100 + i);
            fdt_build_close(&tree);
        }
        fdt_build_close(&tree);
        fdt_build_close(&tree);
    }
    fdt_build_close(&tree);
    fdt_build_close(&tree);
    fdt_build_end(&tree);
    memset(&boot, 0, sizeof boot);
    assert_int_equal(fdt_open(&fdt, tree.blob, tree.bytes), 0);
    assert_int_equal(boot_fdt_read_cpus(&fdt, 0, NULL, &boot, &problem), 0);
    boot_fdt_read_places(&fdt, &boot);
}

static void a_tree_tells_by_caches_else_by_clusters(void **state)
{
    (void)state;
    read_tree(true, true);
    expect_taken(1, 4, "next-level-cache");
    read_tree(false, true);
    expect_taken(1, 4, "next-level-cache");
    read_tree(true, false);
    assert_string_equal(boot.cache_problem, "it leaves CPUs out");
    boot.cache_problem = NULL;
    expect_taken(1, CPUS, "clusters of cpu-map");
    read_tree(false, false);
    assert_null(boot.cache_source);
    assert_false(boot.has_places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_that_make_sense_are_taken),
        cmocka_unit_test(nonsense_changes_nothing),
        cmocka_unit_test(the_pptt_goes_by_the_uids_of_the_madt),
        cmocka_unit_test(without_a_good_pptt_all_stays),
        cmocka_unit_test(a_tree_tells_by_caches_else_by_clusters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
