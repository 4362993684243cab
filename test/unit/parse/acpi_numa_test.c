/* SPDX-License-Identifier: MIT */
/* core/parse/acpi_numa.c: SRAT and SLIT as they should be, and damaged. The fuzzer is test/fuzz/acpi_fuzz.c. */
#include "unit.h"

#include <string.h>

#include <k/compiler.h>
#include <k/errno.h>

#include "acpi_build.h"

static struct acpi_build build;
static struct acpi_srat srat;
static struct acpi_table table;

static uint32_t begin(const char *signature)
{
    acpi_build_begin(&build);
    return acpi_build_table(&build, signature, 3, true);
}

static const struct acpi_table *end(uint32_t at)
{
    acpi_build_finish(&build, at);
    table = (struct acpi_table){ .data = build.memory + at, .bytes = build.used - at };
    return &table;
}

static uint32_t begin_srat(void)
{
    uint32_t at = begin("SRAT");

    acpi_build_put(&build, 1, 4);
    acpi_build_put(&build, 0, 8);
    return at;
}

static void put_apic(uint32_t domain, uint8_t id, uint32_t flags)
{
    acpi_build_put(&build, 0, 1);
    acpi_build_put(&build, 16, 1);
    acpi_build_put(&build, domain & 0xff, 1);
    acpi_build_put(&build, id, 1);
    acpi_build_put(&build, flags, 4);
    acpi_build_put(&build, 0x77, 1); /* SAPIC EID */
    acpi_build_put(&build, domain >> 8, 3);
    acpi_build_put(&build, 0, 4);
}

static void put_x2apic(uint32_t domain, uint32_t id, uint32_t flags)
{
    acpi_build_put(&build, 2, 1);
    acpi_build_put(&build, 24, 1);
    acpi_build_put(&build, 0, 2);
    acpi_build_put(&build, domain, 4);
    acpi_build_put(&build, id, 4);
    acpi_build_put(&build, flags, 4);
    acpi_build_put(&build, 0, 8);
}

static void put_memory(uint32_t domain, uint64_t base, uint64_t bytes, uint32_t flags)
{
    acpi_build_put(&build, 1, 1);
    acpi_build_put(&build, 40, 1);
    acpi_build_put(&build, domain, 4);
    acpi_build_put(&build, 0, 2);
    acpi_build_put(&build, base, 8);
    acpi_build_put(&build, bytes, 8);
    acpi_build_put(&build, 0, 4);
    acpi_build_put(&build, flags, 4);
    acpi_build_put(&build, 0, 8);
}

static void processors_and_memory_are_told_with_their_domains(void **state)
{
    uint32_t at = begin_srat();

    (void)state;
    put_apic(0x00abcd01, 3, 1);
    put_apic(7, 4, 0); /* disabled */
    put_x2apic(0xfffffff0, 0x12345, 1);
    acpi_build_put(&build, 0x0603, 2); /* a type of its own: passed over by its length */
    acpi_build_put(&build, 0, 4);
    put_memory(5, 0x100000000, 0x40000000, 1);
    put_memory(5, 0x200000000, 0x1000, 0);          /* disabled */
    put_memory(5, 0x300000000, 0, 1);               /* empty */
    put_memory(5, UINT64_MAX - 0xfff, 0x2000, 1);   /* wraps */
    assert_int_equal(acpi_parse_srat(end(at), &srat), 0);
    assert_int_equal(srat.cpu_count, 2);
    assert_true(srat.cpu[0].apic_id == 3 && srat.cpu[0].domain == 0x00abcd01);
    assert_true(srat.cpu[1].apic_id == 0x12345 && srat.cpu[1].domain == 0xfffffff0);
    assert_int_equal(srat.range_count, 1);
    assert_true(srat.range[0].base == 0x100000000 && srat.range[0].bytes == 0x40000000 && srat.range[0].domain == 5);
}

static void more_than_fits_is_left_out(void **state)
{
    uint32_t at = begin_srat();

    (void)state;
    for (uint32_t i = 0; i < ACPI_SRAT_CPUS_MAX + 3; i++)
        put_x2apic(i, i, 1);
    for (uint32_t i = 0; i < ACPI_SRAT_RANGES_MAX + 3; i++)
        put_memory(i, (uint64_t)i << 20, 4096, 1);
    assert_int_equal(acpi_parse_srat(end(at), &srat), 0);
    assert_int_equal(srat.cpu_count, ACPI_SRAT_CPUS_MAX);
    assert_int_equal(srat.range_count, ACPI_SRAT_RANGES_MAX);
}

static void a_damaged_srat_tells_nothing(void **state)
{
    static const uint8_t types[] = { 0, 1, 2, 9 };
    static const uint8_t short_by[] = { 15, 39, 23, 1 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(types); i++) {
        uint32_t at = begin_srat();

        put_apic(1, 1, 1);
        acpi_build_put(&build, types[i], 1);
        acpi_build_put(&build, short_by[i], 1);
        for (unsigned byte = 2; byte < short_by[i]; byte++)
            acpi_build_put(&build, 0xff, 1);
        assert_int_equal(acpi_parse_srat(end(at), &srat), -EINVAL);
        assert_int_equal(srat.cpu_count + srat.range_count, 0);
    }
    uint32_t at = begin_srat();

    put_x2apic(1, 1, 1);
    end(at);
    for (uint32_t bytes = 0; bytes < table.bytes; bytes++) {
        struct acpi_table cut = { .data = table.data, .bytes = bytes };

        assert_int_equal(acpi_parse_srat(&cut, &srat), bytes == 48 ? 0 : -EINVAL);
        assert_int_equal(srat.cpu_count, 0);
    }
    assert_int_equal(acpi_parse_srat(end(begin("SLIT")), &srat), -EINVAL);
}

static void distances_are_read_by_row_and_column(void **state)
{
    uint32_t at = begin("SLIT");
    uint8_t distance = 0;

    (void)state;
    acpi_build_put(&build, 3, 8);
    for (unsigned i = 0; i < 9; i++)
        acpi_build_put(&build, 10 + i, 1);
    end(at);
    for (uint32_t from = 0; from < 3; from++)
        for (uint32_t to = 0; to < 3; to++) {
            assert_int_equal(acpi_slit_distance(&table, from, to, &distance), 0);
            assert_int_equal(distance, 10 + 3 * from + to);
        }
    assert_int_equal(acpi_slit_distance(&table, 3, 0, &distance), -ENOENT);
    assert_int_equal(acpi_slit_distance(&table, 0, UINT32_MAX, &distance), -ENOENT);
    for (uint32_t bytes = 0; bytes < table.bytes; bytes++) {
        struct acpi_table cut = { .data = table.data, .bytes = bytes };

        assert_int_equal(acpi_slit_distance(&cut, 0, 0, &distance), -EINVAL);
    }
}

static void a_slit_larger_than_its_table_is_refused(void **state)
{
    static const uint64_t counts[] = { 2, 0x10000, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX };
    uint8_t distance = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
        uint32_t at = begin("SLIT");

        acpi_build_put(&build, counts[i], 8);
        acpi_build_put(&build, 0x0a0a0a, 3);
        assert_int_equal(acpi_slit_distance(end(at), 0, 0, &distance), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_and_memory_are_told_with_their_domains),
        cmocka_unit_test(more_than_fits_is_left_out),
        cmocka_unit_test(a_damaged_srat_tells_nothing),
        cmocka_unit_test(distances_are_read_by_row_and_column),
        cmocka_unit_test(a_slit_larger_than_its_table_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
