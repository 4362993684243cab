/* SPDX-License-Identifier: MIT */
/* core/parse/acpi_pptt.c: who shares the last cache, in tables as they should be, and damaged. The fuzzer is
 * test/fuzz/acpi_fuzz.c. */
#include "unit.h"

#include <string.h>

#include <k/compiler.h>
#include <k/errno.h>

#include "acpi_build.h"

#define PACKAGE 0x01u
#define LEAF 0x0au   /* with a UID that is valid */
#define THREAD 0x0eu /* the same, and a thread of its parent */
#define DATA 0
#define INSTRUCTIONS 1
#define UNIFIED 2

static struct acpi_build build;
static struct acpi_pptt pptt;
static struct acpi_table table;
static uint32_t start;

static void begin(uint8_t revision)
{
    acpi_build_begin(&build);
    start = acpi_build_table(&build, "PPTT", revision, true);
}

static int parse(void)
{
    acpi_build_finish(&build, start);
    table = (struct acpi_table){ .data = build.memory + start, .bytes = build.used - start };
    return acpi_parse_pptt(&table, &pptt);
}

static uint32_t node(uint32_t flags, uint32_t parent, uint32_t uid, uint32_t own)
{
    return acpi_build_processor(&build, start, flags, parent, uid, own);
}

static uint32_t cache(uint8_t type, uint32_t next)
{
    return acpi_build_cache(&build, start, type, next);
}

/* CPUs in the order of their UIDs, of which each run of so many is a core, and shares a cache (0: no cache is told). */
static void expect(unsigned count, unsigned per_core, unsigned per_cache)
{
    assert_int_equal(pptt.cpu_count, count);
    for (unsigned a = 0; a < count; a++) {
        assert_int_equal(pptt.cpu[a].uid, a);
        if (per_cache == 0)
            assert_int_equal(pptt.cpu[a].cache, 0);
        for (unsigned b = 0; b < count; b++) {
            assert_int_equal(pptt.cpu[a].core == pptt.cpu[b].core, a / per_core == b / per_core);
            if (per_cache != 0)
                assert_int_equal(pptt.cpu[a].cache == pptt.cpu[b].cache, a / per_cache == b / per_cache);
        }
    }
}

/* As QEMU's virt says it with -smp sockets=2,clusters=2,cores=2,threads=2: UIDs of inner nodes are numbers that are not
 * valid. Newer ones have a root, and caches at the levels the user asks for; older ones have neither. */
static void build_virt(bool has_root, uint32_t of_socket, uint32_t of_cluster, uint32_t of_core)
{
    uint32_t root = has_root ? node(PACKAGE | 0x10, 0, 0, 0) : 0;

    for (uint32_t i = 0, cpu = 0; i < 2; i++) {
        uint32_t socket = node(PACKAGE | 0x10, root, i, of_socket);

        for (uint32_t j = 0; j < 2; j++) {
            uint32_t cluster = node(0x10, socket, j, of_cluster);

            for (uint32_t k = 0; k < 2; k++) {
                uint32_t core = node(0x10, cluster, k, of_core);

                (void)node(THREAD, core, cpu++, 0);
                (void)node(THREAD, core, cpu++, 0);
            }
        }
    }
}

static void what_qemu_says_without_caches(void **state)
{
    (void)state;
    for (unsigned has_root = 0; has_root < 2; has_root++) {
        begin(2);
        build_virt(has_root != 0, 0, 0, 0);
        assert_int_equal(parse(), 0);
        expect(16, 2, 0);
    }
}

static void the_last_cache_is_of_the_highest_node_that_has_one(void **state)
{
    (void)state;
    for (unsigned level = 0; level < 3; level++) {
        begin(3);
        uint32_t any = cache(UNIFIED, 0); /* one record may describe all: each node has its own such cache */

        build_virt(true, level == 2 ? any : 0, level >= 1 ? any : 0, any);
        assert_int_equal(parse(), 0);
        expect(16, 2, 2u << level);
    }
}

static void instructions_are_no_tasks_data_but_their_next_level_may_be(void **state)
{
    (void)state;
    for (unsigned has_next = 0; has_next < 2; has_next++) {
        begin(2);
        uint32_t next = cache(UNIFIED, 0);
        uint32_t first = cache(INSTRUCTIONS, has_next != 0 ? next : 0);
        uint32_t package = node(PACKAGE, 0, 0, first);

        (void)node(LEAF, package, 0, 0);
        (void)node(LEAF, package, 1, 0);
        assert_int_equal(parse(), 0);
        expect(2, 1, has_next != 0 ? 2 : 0);
    }
}

static void a_cache_of_a_thread_is_its_cores(void **state)
{
    (void)state;
    begin(2);
    uint32_t data = cache(DATA, 0);
    uint32_t core = node(0, 0, 0, 0);

    (void)node(THREAD, core, 0, data);
    (void)node(THREAD, core, 1, data);
    assert_int_equal(parse(), 0);
    expect(2, 2, 2);
}

static void leaves_are_what_is_marked_so(void **state)
{
    (void)state;
    begin(2);
    (void)node(0x02, 0, 7, 0); /* a container with a valid UID */
    (void)node(0x08, 0, 8, 0); /* a leaf without */
    assert_int_equal(parse(), -ENOENT);
    (void)node(LEAF, 0, 0, 0);
    assert_int_equal(parse(), 0);
    expect(1, 1, 0);
    begin(1); /* ACPI 6.2 had no mark */
    (void)node(LEAF, 0, 0, 0);
    assert_int_equal(parse(), -ENOENT);
    assert_int_equal(pptt.cpu_count, 0);
}

static void what_is_of_another_type_is_passed_over(void **state)
{
    (void)state;
    begin(2);
    uint32_t id = build.used - start;

    acpi_build_put(&build, 0x1e02, 4); /* the ID record of ACPI 6.2 */
    for (unsigned i = 0; i < 26; i++)
        acpi_build_put(&build, 0, 1);
    (void)node(LEAF, 0, 0, id);
    assert_int_equal(parse(), 0);
    expect(1, 1, 0);
}

/* A leaf whose parent or cache is this. */
static int parse_reference(uint32_t parent, uint32_t own)
{
    begin(2);
    (void)cache(UNIFIED, 0);
    (void)node(LEAF, 0, 0, 0);
    (void)node(LEAF, parent, 1, own);
    int error = parse();

    assert_int_equal(pptt.cpu_count, error == 0 ? 2 : 0);
    return error;
}

static void references_lead_to_whole_records_of_their_type(void **state)
{
    const uint32_t first = 36, second = 60, third = 80, end = 104;

    (void)state;
    assert_int_equal(parse_reference(second, first), 0);
    assert_int_equal(parse_reference(first, first), -EINVAL); /* a cache is no parent */
    assert_int_equal(parse_reference(1, first), -EINVAL);     /* nor is the header */
    assert_int_equal(parse_reference(end, first), -EINVAL);
    assert_int_equal(parse_reference(end - 1, first), -EINVAL);
    assert_int_equal(parse_reference(UINT32_MAX, first), -EINVAL);
    assert_int_equal(parse_reference(third, first), -EINVAL); /* its own parent */
    assert_int_equal(parse_reference(second, end), -EINVAL);
    assert_int_equal(parse_reference(second, 8), -EINVAL);
    assert_int_equal(parse_reference(second, UINT32_MAX), -EINVAL);
}

static void circles_end(void **state)
{
    (void)state;
    begin(2);
    uint32_t at = build.used - start;

    (void)cache(INSTRUCTIONS, at); /* next is itself */
    (void)node(LEAF, 0, 0, at);
    assert_int_equal(parse(), -EINVAL);
    begin(2);
    at = build.used - start;
    (void)node(0, at + 20, 0, 0);
    (void)node(0, at, 0, 0);
    (void)node(LEAF, at, 0, 0);
    assert_int_equal(parse(), -EINVAL);
}

static void damage_tells_nothing(void **state)
{
    static const struct { uint32_t offset; uint8_t value; } damage[] = {
        { 0, 'X' }, { 37, 0 }, { 37, 1 }, { 37, 19 }, { 37, 255 }, { 52, 1 }, { 55, 0x80 }, { 57, 24 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(damage); i++) {
        begin(2);
        (void)node(LEAF, 0, 0, 0);
        (void)node(LEAF, 0, 1, 0);
        assert_int_equal(parse(), 0);
        build.memory[start + damage[i].offset] = damage[i].value;
        assert_int_equal(acpi_parse_pptt(&table, &pptt), -EINVAL);
        assert_int_equal(pptt.cpu_count, 0);
    }
    begin(2);
    (void)node(LEAF, 0, 0, 0);
    assert_int_equal(parse(), 0);
    for (table.bytes--; table.bytes > 36; table.bytes--)
        assert_int_equal(acpi_parse_pptt(&table, &pptt), -EINVAL);
}

static void cpus_beyond_the_bound_are_left_out(void **state)
{
    (void)state;
    begin(2);
    for (uint32_t i = 0; i <= ACPI_PPTT_CPUS_MAX; i++)
        (void)node(LEAF, 0, i, 0);
    assert_int_equal(parse(), 0);
    assert_int_equal(pptt.cpu_count, ACPI_PPTT_CPUS_MAX);
    assert_int_equal(pptt.cpu[ACPI_PPTT_CPUS_MAX - 1].uid, ACPI_PPTT_CPUS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_qemu_says_without_caches),
        cmocka_unit_test(the_last_cache_is_of_the_highest_node_that_has_one),
        cmocka_unit_test(instructions_are_no_tasks_data_but_their_next_level_may_be),
        cmocka_unit_test(a_cache_of_a_thread_is_its_cores),
        cmocka_unit_test(leaves_are_what_is_marked_so),
        cmocka_unit_test(what_is_of_another_type_is_passed_over),
        cmocka_unit_test(references_lead_to_whole_records_of_their_type),
        cmocka_unit_test(circles_end),
        cmocka_unit_test(damage_tells_nothing),
        cmocka_unit_test(cpus_beyond_the_bound_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
