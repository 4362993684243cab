/* SPDX-License-Identifier: MIT */
/* Tests of core/parse/acpi.c on tables that acpi_build.c writes; test/fuzz/acpi_fuzz.c damages them at random. */
#include "unit.h"

#include <string.h>

#include <k/errno.h>

#include "acpi_build.h"

static struct acpi_build build;
static struct acpi acpi;
static struct acpi_madt madt;

static int reopen(void)
{
    struct acpi_source source = acpi_build_source(&build);

    return acpi_open(&acpi, &source, ACPI_BUILD_BASE + build.rsdp);
}

static int open_revision_0(void **state)
{
    (void)state;
    acpi_build_machine(&build, 0);
    return reopen();
}

static int open_revision_2(void **state)
{
    (void)state;
    acpi_build_machine(&build, 2);
    return reopen();
}

static struct acpi_table find(const char *signature)
{
    struct acpi_table table;

    assert_int_equal(acpi_find_table(&acpi, signature, &table), 0);
    return table;
}

static uint32_t offset_of(const char *signature)
{
    return (uint32_t)(find(signature).pa - ACPI_BUILD_BASE);
}

static void the_first_revision_uses_the_rsdt(void **state)
{
    (void)state;
    assert_false(acpi.root_is_xsdt);
    assert_int_equal(acpi.root, ACPI_BUILD_BASE + build.rsdt);
    assert_int_equal(acpi.table_count, 3);
}

static void the_second_revision_uses_the_xsdt(void **state)
{
    (void)state;
    assert_true(acpi.root_is_xsdt);
    assert_int_equal(acpi.root, ACPI_BUILD_BASE + build.xsdt);
    assert_int_equal(acpi.table_count, 3);
}

static void an_xsdt_at_zero_falls_back_to_the_rsdt(void **state)
{
    (void)state;
    acpi_build_set(&build, build.rsdp + 24, 0, 8);
    acpi_build_sum_rsdp(&build);
    assert_int_equal(reopen(), 0);
    assert_false(acpi.root_is_xsdt);
    assert_int_equal(find("APIC").data[0], 'A');
}

static void a_damaged_root_pointer_is_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 36; i++) {
        build.memory[build.rsdp + i] ^= 0x10;
        assert_int_equal(reopen(), i < 8 ? -ENOENT : -EINVAL);
        build.memory[build.rsdp + i] ^= 0x10;
    }
    assert_int_equal(reopen(), 0);
    for (uint32_t bytes = 0; bytes < 36; bytes++) {
        acpi_build_set(&build, build.rsdp + 20, bytes, 4);
        acpi_build_sum_rsdp(&build);
        assert_int_equal(reopen(), -EINVAL);
    }
    acpi_build_set(&build, build.rsdp + 20, UINT32_MAX, 4);
    acpi_build_sum_rsdp(&build);
    assert_int_equal(reopen(), -EINVAL);
}

static void pointers_out_of_reach_are_reported(void **state)
{
    static const uint64_t far[] = {1, 0xdffff, ACPI_BUILD_BASE + ACPI_BUILD_BYTES - 35, UINT64_MAX - 8, UINT64_MAX};
    struct acpi_source source = acpi_build_source(&build);

    (void)state;
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        if (far[i] != ACPI_BUILD_BASE + ACPI_BUILD_BYTES - 35)
            assert_int_equal(acpi_open(&acpi, &source, far[i]), -EFAULT);
        acpi_build_set(&build, build.rsdp + 24, far[i], 8);
        acpi_build_sum_rsdp(&build);
        assert_int_equal(reopen(), -EFAULT);
    }
    assert_int_equal(acpi_open(&acpi, &source, 0), -EFAULT);
}

static void a_damaged_root_table_is_refused(void **state)
{
    static const uint32_t lengths[] = {0, 35, (16u << 20) + 1, UINT32_MAX};

    (void)state;
    build.memory[build.xsdt + 30] ^= 1;
    assert_int_equal(reopen(), -EINVAL); /* the sum */
    build.memory[build.xsdt + 30] ^= 1;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        acpi_build_set(&build, build.xsdt + 4, lengths[i], 4);
        assert_int_equal(reopen(), -EINVAL);
    }
    acpi_build_set(&build, build.xsdt + 4, ACPI_BUILD_BYTES, 4);
    assert_int_equal(reopen(), -EFAULT);
    build.memory[build.xsdt] = 'R';
    assert_int_equal(reopen(), -ENOENT); /* no XSDT there */
}

static void the_root_pointer_is_found_by_scanning(void **state)
{
    struct acpi_source source = acpi_build_source(&build);
    paddr_t pa, expected = ACPI_BUILD_BASE + build.rsdp;

    (void)state;
    assert_int_equal(acpi_find_rsdp(&source, ACPI_BUILD_BASE, ACPI_BUILD_BASE + ACPI_BUILD_BYTES, &pa), 0);
    assert_int_equal(pa, expected);
    assert_int_equal(acpi_find_rsdp(&source, 0, 0x100000, &pa), 0); /* holes are skipped */
    assert_int_equal(acpi_find_rsdp(&source, expected, expected + 20, &pa), 0);
    assert_int_equal(acpi_find_rsdp(&source, expected - 15, expected + 20, &pa), 0);
    assert_int_equal(acpi_find_rsdp(&source, expected, expected + 19, &pa), -ENOENT);
    assert_int_equal(acpi_find_rsdp(&source, expected + 1, 0x100000, &pa), -ENOENT);
    assert_int_equal(acpi_find_rsdp(&source, expected, expected, &pa), -ENOENT);
    assert_int_equal(acpi_find_rsdp(&source, expected, 0, &pa), -ENOENT);
    assert_int_equal(acpi_find_rsdp(&source, UINT64_MAX - 3, UINT64_MAX, &pa), -ENOENT);
    build.memory[build.rsdp + 10] ^= 1;
    assert_int_equal(acpi_find_rsdp(&source, 0, 0x100000, &pa), -ENOENT);
}

static void tables_are_found_by_signature(void **state)
{
    struct acpi_table table;

    (void)state;
    assert_memory_equal(find("FACP").data, "FACP", 4);
    assert_memory_equal(find("HPET").data, "HPET", 4);
    table = find("APIC");
    assert_int_equal(table.pa, ACPI_BUILD_BASE + build.tables[1]);
    assert_int_equal(table.bytes, acpi_build_get32(&build, build.tables[1] + 4));
    assert_int_equal(acpi_find_table(&acpi, "MCFG", &table), -ENOENT);
}

static void a_damaged_table_is_passed_over_for_the_next_of_its_name(void **state)
{
    struct acpi_table table;

    (void)state;
    memcpy(build.memory + build.tables[0], "APIC", 4); /* its sum is wrong now */
    assert_int_equal(find("APIC").pa, ACPI_BUILD_BASE + build.tables[1]);
    build.memory[build.tables[1] + 20] ^= 1;
    assert_int_equal(acpi_find_table(&acpi, "APIC", &table), -ENOENT);
}

static void a_table_shorter_than_its_header_is_passed_over(void **state)
{
    struct acpi_table table;

    (void)state;
    for (uint32_t bytes = 0; bytes < 36; bytes++) {
        acpi_build_set(&build, build.tables[1] + 4, bytes, 4);
        acpi_build_sum(&build, build.tables[1]);
        assert_int_equal(acpi_find_table(&acpi, "APIC", &table), -ENOENT);
    }
}

static void table_entries_out_of_reach_are_passed_over(void **state)
{
    (void)state;
    acpi_build_set(&build, build.xsdt + 36, UINT64_MAX - 2, 8);
    acpi_build_sum(&build, build.xsdt);
    assert_int_equal(reopen(), 0);
    assert_int_equal(find("APIC").pa, ACPI_BUILD_BASE + build.tables[1]);
}

static void the_madt_lists_processors_and_interrupt_controllers(void **state)
{
    static const struct {
        uint32_t id;
        uint32_t uid;
        bool enabled;
    } cpus[] = {{0, 0, true}, {1, 1, true}, {2, 2, false}, {0x12345, 4, true}};
    struct acpi_table table = find("APIC");

    (void)state;
    memset(&madt, 0xff, sizeof(madt));
    assert_int_equal(acpi_parse_madt(&table, &madt), 0);
    assert_int_equal(madt.local_apic, 0xfee00000);
    assert_true(madt.has_pcat);
    assert_int_equal(madt.cpu_count, 4);
    assert_int_equal(madt.cpu_listed, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(madt.cpu[i].apic_id, cpus[i].id);
        assert_int_equal(madt.cpu[i].uid, cpus[i].uid);
        assert_int_equal(madt.cpu[i].enabled, cpus[i].enabled);
    }
    assert_int_equal(madt.ioapic_count, 1);
    assert_int_equal(madt.ioapic[0].id, 7);
    assert_int_equal(madt.ioapic[0].address, 0xfec00000);
    assert_int_equal(madt.ioapic[0].gsi_base, 0);
    assert_int_equal(madt.override_count, 2);
    assert_int_equal(madt.override[0].source, 0);
    assert_int_equal(madt.override[0].gsi, 2);
    assert_int_equal(madt.override[1].source, 9);
    assert_int_equal(madt.override[1].flags, 0xd);
}

/* A MADT of its own, without a root. */
static struct acpi_table begin_madt(void)
{
    struct acpi_table table;
    uint32_t offset;

    acpi_build_begin(&build);
    offset = acpi_build_table(&build, "APIC", 3, false);
    acpi_build_put(&build, 0xfee00000, 4);
    acpi_build_put(&build, 0, 4);
    table = (struct acpi_table){.data = build.memory + offset, .pa = ACPI_BUILD_BASE + offset};
    return table;
}

static int parse(struct acpi_table *table)
{
    table->bytes = (uint32_t)(build.memory + build.used - table->data);
    return acpi_parse_madt(table, &madt);
}

static void put_x2apic(uint32_t id, uint32_t flags)
{
    acpi_build_put(&build, 0x1009, 4);
    acpi_build_put(&build, id, 4);
    acpi_build_put(&build, flags, 4);
    acpi_build_put(&build, 0, 4);
}

static void a_processor_listed_twice_is_one_processor(void **state)
{
    struct acpi_table table = begin_madt();

    (void)state;
    put_x2apic(5, 2);
    acpi_build_put(&build, 0x05000800, 4);
    acpi_build_put(&build, 1, 4);
    acpi_build_put(&build, 0xff000800, 4); /* no processor: 255 is the broadcast */
    acpi_build_put(&build, 1, 4);
    put_x2apic(255, 1); /* here it is one */
    put_x2apic(UINT32_MAX, 1);
    assert_int_equal(parse(&table), 0);
    assert_int_equal(madt.cpu_count, 2);
    assert_int_equal(madt.cpu_listed, 2);
    assert_int_equal(madt.cpu[0].apic_id, 5);
    assert_true(madt.cpu[0].enabled);
    assert_int_equal(madt.cpu[1].apic_id, 255);
    assert_false(madt.has_pcat);
}

static void more_processors_than_fit_are_counted(void **state)
{
    struct acpi_table table = begin_madt();

    (void)state;
    for (uint32_t i = 0; i < ACPI_MADT_CPUS_MAX + 50; i++)
        put_x2apic(1000 + i, 1);
    assert_int_equal(parse(&table), 0);
    assert_int_equal(madt.cpu_count, ACPI_MADT_CPUS_MAX);
    assert_int_equal(madt.cpu_listed, ACPI_MADT_CPUS_MAX + 50);
    assert_int_equal(madt.cpu[ACPI_MADT_CPUS_MAX - 1].apic_id, 1000 + ACPI_MADT_CPUS_MAX - 1);
}

static void more_controllers_and_overrides_than_fit_are_dropped(void **state)
{
    struct acpi_table table = begin_madt();

    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        acpi_build_put(&build, 0x0c01 | i << 16, 4);
        acpi_build_put(&build, i << 12, 4);
        acpi_build_put(&build, 24 * i, 4);
        acpi_build_put(&build, 0x0a02 | i << 24, 4);
        acpi_build_put(&build, i, 4);
        acpi_build_put(&build, 0, 2);
    }
    assert_int_equal(parse(&table), 0);
    assert_int_equal(madt.ioapic_count, ACPI_MADT_IOAPICS_MAX);
    assert_int_equal(madt.override_count, ACPI_MADT_OVERRIDES_MAX);
}

static void the_64_bit_local_apic_address_wins(void **state)
{
    struct acpi_table table = begin_madt();

    (void)state;
    acpi_build_put(&build, 0x0c05, 4);
    acpi_build_put(&build, UINT64_C(0x123fee00000), 8);
    assert_int_equal(parse(&table), 0);
    assert_int_equal(madt.local_apic, UINT64_C(0x123fee00000));
}

static void madt_records_of_wrong_length_are_refused(void **state)
{
    static const uint8_t least[] = {8, 12, 10, 2, 2, 12, 2, 2, 2, 16};

    (void)state;
    for (unsigned type = 0; type < sizeof(least); type++) {
        for (unsigned bytes = 0; bytes <= 20; bytes++) {
            struct acpi_table table = begin_madt();

            acpi_build_put(&build, type, 1);
            acpi_build_put(&build, bytes, 1);
            for (unsigned i = 2; i < bytes; i++)
                acpi_build_put(&build, 0, 1);
            assert_int_equal(parse(&table), bytes < least[type] ? -EINVAL : 0);
            if (bytes < least[type])
                continue;
            if (bytes > 2) { /* the record passes the end of the table */
                build.used--;
                assert_int_equal(parse(&table), -EINVAL);
                build.used++;
            }
            acpi_build_put(&build, 0, 1); /* half a record behind */
            assert_int_equal(parse(&table), -EINVAL);
        }
    }
}

static void tables_of_another_name_or_too_short_are_refused(void **state)
{
    struct acpi_table fadt = find("FACP"), apic = find("APIC"), hpet = find("HPET");
    struct acpi_fadt facts;
    paddr_t base;

    (void)state;
    assert_int_equal(acpi_parse_madt(&hpet, &madt), -EINVAL);
    assert_int_equal(acpi_parse_hpet(&fadt, &base), -EINVAL);
    assert_int_equal(acpi_parse_fadt(&apic, &facts), -EINVAL);
    apic.bytes = 43;
    hpet.bytes = 55;
    fadt.bytes = 115;
    assert_int_equal(acpi_parse_madt(&apic, &madt), -EINVAL);
    assert_int_equal(acpi_parse_hpet(&hpet, &base), -EINVAL);
    assert_int_equal(acpi_parse_fadt(&fadt, &facts), -EINVAL);
}

static void the_hpet_must_be_in_memory(void **state)
{
    struct acpi_table table = find("HPET");
    uint32_t offset = offset_of("HPET");
    paddr_t base = 0;

    (void)state;
    assert_int_equal(acpi_parse_hpet(&table, &base), 0);
    assert_int_equal(base, 0xfed00000);
    acpi_build_set(&build, offset + 40, 1, 1);
    assert_int_equal(acpi_parse_hpet(&table, &base), -EINVAL);
    acpi_build_set(&build, offset + 40, 0, 1);
    acpi_build_set(&build, offset + 44, 0, 8);
    assert_int_equal(acpi_parse_hpet(&table, &base), -EINVAL);
}

static void the_short_fadt_names_ports(void **state)
{
    struct acpi_table table = find("FACP");
    struct acpi_fadt facts;

    (void)state;
    assert_int_equal(acpi_parse_fadt(&table, &facts), 0);
    assert_int_equal(facts.pm_timer_port, 0x608);
    assert_true(facts.pm_timer_is_32bit);
    assert_int_equal(facts.pm1a_control_port, 0x604);
    assert_int_equal(facts.dsdt, 0x7fe0000);
    acpi_build_set(&build, offset_of("FACP") + 91, 3, 1);
    assert_int_equal(acpi_parse_fadt(&table, &facts), 0);
    assert_int_equal(facts.pm_timer_port, 0); /* a timer of another length is none */
}

static void the_long_fadt_prefers_its_wide_fields(void **state)
{
    struct acpi_table table = find("FACP");
    uint32_t offset = offset_of("FACP");
    struct acpi_fadt facts;

    (void)state;
    acpi_build_set(&build, offset + 140, UINT64_C(0x17fe0000), 8);
    acpi_build_set(&build, offset + 172, 1, 1); /* I/O space */
    acpi_build_set(&build, offset + 176, 0xb004, 8);
    acpi_build_set(&build, offset + 208, 0, 1); /* memory space: no port */
    acpi_build_set(&build, offset + 212, 0xb008, 8);
    assert_int_equal(acpi_parse_fadt(&table, &facts), 0);
    assert_int_equal(facts.dsdt, 0x17fe0000);
    assert_int_equal(facts.pm1a_control_port, 0xb004);
    assert_int_equal(facts.pm_timer_port, 0x608);
    acpi_build_set(&build, offset + 176, 0x10000, 8); /* there is no such port */
    assert_int_equal(acpi_parse_fadt(&table, &facts), 0);
    assert_int_equal(facts.pm1a_control_port, 0);
    table.bytes = 172 + 11; /* the field is not whole */
    assert_int_equal(acpi_parse_fadt(&table, &facts), 0);
    assert_int_equal(facts.pm1a_control_port, 0x604);
}

static void a_machine_with_reduced_hardware_has_no_ports(void **state)
{
    struct acpi_table table = find("FACP");
    struct acpi_fadt facts;

    (void)state;
    acpi_build_set(&build, offset_of("FACP") + 112, 1u << 20, 4);
    assert_int_equal(acpi_parse_fadt(&table, &facts), 0);
    assert_int_equal(facts.pm_timer_port, 0);
    assert_int_equal(facts.pm1a_control_port, 0);
    assert_int_equal(facts.dsdt, 0x7fe0000);
}

#define ON_OLD(test) cmocka_unit_test_setup(test, open_revision_0)
#define ON_NEW(test) cmocka_unit_test_setup(test, open_revision_2)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_OLD(the_first_revision_uses_the_rsdt),
        ON_NEW(the_second_revision_uses_the_xsdt),
        ON_NEW(an_xsdt_at_zero_falls_back_to_the_rsdt),
        ON_NEW(a_damaged_root_pointer_is_refused),
        ON_NEW(pointers_out_of_reach_are_reported),
        ON_NEW(a_damaged_root_table_is_refused),
        ON_NEW(the_root_pointer_is_found_by_scanning),
        ON_OLD(tables_are_found_by_signature),
        ON_NEW(tables_are_found_by_signature),
        ON_NEW(a_damaged_table_is_passed_over_for_the_next_of_its_name),
        ON_NEW(a_table_shorter_than_its_header_is_passed_over),
        ON_NEW(table_entries_out_of_reach_are_passed_over),
        ON_OLD(the_madt_lists_processors_and_interrupt_controllers),
        ON_NEW(a_processor_listed_twice_is_one_processor),
        ON_NEW(more_processors_than_fit_are_counted),
        ON_NEW(more_controllers_and_overrides_than_fit_are_dropped),
        ON_NEW(the_64_bit_local_apic_address_wins),
        ON_NEW(madt_records_of_wrong_length_are_refused),
        ON_NEW(tables_of_another_name_or_too_short_are_refused),
        ON_NEW(the_hpet_must_be_in_memory),
        ON_OLD(the_short_fadt_names_ports),
        ON_NEW(the_long_fadt_prefers_its_wide_fields),
        ON_NEW(a_machine_with_reduced_hardware_has_no_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
