/* SPDX-License-Identifier: MIT */
/* core/mm/kspace.c: what is mapped where with which rights, hostile device lists, the W^X check, and sealing. */
#include "mm_test.h"

#include <hal/user.h>
#include <k/errno.h>
#include <k/image.h>

static struct boot_info boot;

static int enter(void **state)
{
    (void)state;
    mm_test_enter(0);
    boot = *host_boot_info();
    return 0;
}

static void build(void *arg)
{
    (void)arg;
    bootmem_init(&boot);
    kspace_init(&boot);
    bootmem_finish();
}

static void assert_mapped(vaddr_t va, paddr_t pa, unsigned prot)
{
    paddr_t found_pa;
    unsigned found_prot;

    assert_int_equal(pt_query(kspace_root(), va, &found_pa, &found_prot), 0);
    assert_true(found_pa == pa);
    assert_int_equal(found_prot, prot | PROT_GLOBAL);
}

static void assert_not_mapped(vaddr_t va)
{
    paddr_t pa;
    unsigned prot;

    assert_int_equal(pt_query(kspace_root(), va, &pa, &prot), -ENOENT);
}

static paddr_t image_pa(const char *symbol)
{
    return boot.image_paddr + (uintptr_t)(symbol - __image_start);
}

static void the_direct_map_shows_ram_and_nothing_else(void **state)
{
    (void)state;
    build(NULL);
    for (unsigned i = 0; i < boot.memory_count; i++) {
        paddr_t base = boot.memory[i].base;
        paddr_t end = base + boot.memory[i].bytes;

        for (paddr_t pa = base; pa < end; pa += PAGE_BYTES) {
            bool constant = pa >= image_pa(__text_start) && pa < image_pa(__rodata_end);

            assert_mapped((vaddr_t)phys_to_virt(pa) + 5, pa + 5, constant ? PROT_READ_ONLY : PROT_WRITE);
        }
        assert_not_mapped((vaddr_t)phys_to_virt(base) - 1);
        assert_not_mapped((vaddr_t)phys_to_virt(end));
    }
}

static void the_image_has_the_rights_of_its_sections(void **state)
{
    (void)state;
    build(NULL);
    for (const char *at = __image_start; at < __image_end; at += PAGE_BYTES) {
        unsigned prot = PROT_WRITE;

        if (at < __text_start || (at >= __text_end && at < __rodata_end))
            prot = PROT_READ_ONLY;
        else if (at >= __text_start && at < __text_end)
            prot = PROT_EXEC;
        assert_mapped((vaddr_t)at, image_pa(at), prot);
    }
    assert_not_mapped((vaddr_t)__image_start - 1);
    assert_not_mapped((vaddr_t)__image_end);
}

static void sealing_takes_the_right_to_write_from_both_addresses(void **state)
{
    unsigned leaves;

    (void)state;
    build(NULL);
    leaves = kspace_check();
    assert_true(leaves > 10);
    kspace_seal();
    for (const char *at = __ro_after_init_start; at < __ro_after_init_end; at += PAGE_BYTES) {
        assert_mapped((vaddr_t)at, image_pa(at), PROT_READ_ONLY);
        assert_mapped((vaddr_t)phys_to_virt(image_pa(at)), image_pa(at), PROT_READ_ONLY);
    }
    assert_mapped((vaddr_t)__ro_after_init_end, image_pa(__ro_after_init_end), PROT_WRITE);
    assert_mapped((vaddr_t)phys_to_virt(image_pa(__ro_after_init_end)), image_pa(__ro_after_init_end), PROT_WRITE);
    assert_int_equal(kspace_check(), leaves);
}

static paddr_t table(void)
{
    return phys_alloc_zeroed(0);
}

static const struct pt_alloc tables = {.alloc = table};

static void map_text_writable(void *arg)
{
    (void)arg;
    build(NULL);
    if (pt_map(kspace_root(), HAL_KMAP_BASE + HAL_KMAP_BYTES, image_pa(__text_start), PAGE_BYTES,
               PROT_WRITE | PROT_GLOBAL, &tables) == 0)
        (void)kspace_check();
}

static void map_sealed_writable(void *arg)
{
    (void)arg;
    build(NULL);
    kspace_seal();
    if (pt_map(kspace_root(), HAL_KMAP_BASE + HAL_KMAP_BYTES, image_pa(__ro_after_init_start), PAGE_BYTES,
               PROT_WRITE | PROT_GLOBAL, &tables) == 0)
        (void)kspace_check();
}

/* pt_map() refuses it, so the entry is written as a wild store would. */
static void map_writable_and_executable(void *arg)
{
    vaddr_t va = HAL_KMAP_BASE + HAL_KMAP_BYTES;
    paddr_t page;

    (void)arg;
    build(NULL);
    page = phys_alloc(0);
    if (pt_map(kspace_root(), va, page, PAGE_BYTES, PROT_WRITE | PROT_GLOBAL, &tables) == 0)
        *pt_slot(kspace_root(), va, 0) = hal_pte_leaf(page, PROT_WRITE | PROT_EXEC | PROT_GLOBAL, 0);
    (void)kspace_check();
}

static void map_a_page_with(unsigned prot)
{
    build(NULL);
    if (pt_map(kspace_root(), HAL_KMAP_BASE + HAL_KMAP_BYTES, phys_alloc(0), PAGE_BYTES, prot, &tables) == 0)
        (void)kspace_check();
}

static void map_for_the_user(void *arg)
{
    (void)arg;
    map_a_page_with(PROT_USER | PROT_GLOBAL);
}

static void map_for_one_space(void *arg)
{
    (void)arg;
    map_a_page_with(PROT_WRITE);
}

static void map_as_a_whole(void *arg)
{
    (void)arg;
    map_a_page_with(PROT_WRITE | PROT_GLOBAL);
}

static void map_null(void *arg)
{
    (void)arg;
    build(NULL);
    if (pt_map(kspace_root(), 0, phys_alloc(0), PAGE_BYTES, PROT_READ_ONLY | PROT_GLOBAL, &tables) == 0)
        (void)kspace_check();
}

/* The last addresses below the kernel's. */
static void leave_an_empty_table(void *arg)
{
    (void)arg;
    build(NULL);
    if (pt_make_tables(kspace_root(), HAL_DIRECT_MAP_BASE - PAGE_BYTES, 2, &tables) == 0)
        (void)kspace_check();
}

static void the_check_finds_what_must_not_be(void **state)
{
    (void)state;
    assert_panics(map_text_writable, NULL, "can be written");
    assert_panics(map_sealed_writable, NULL, "can be written");
    assert_panics(map_writable_and_executable, NULL, "writable and executable");
    assert_panics(map_for_the_user, NULL, "user programs may reach");
    assert_panics(map_for_one_space, NULL, "for one space only");
    assert_panics(map_null, NULL, "the user half is not empty: root entry 0 ");
    assert_panics(leave_an_empty_table, NULL, "the user half is not empty");
    assert_true(host_unit_returns_forked(map_as_a_whole, NULL, &mm_test_result));
}

static void devices_are_mapped_as_such_and_never_over_ram(void **state)
{
    paddr_t device = UINT64_C(0x10000000);

    (void)state;
    boot.device[0] = (struct boot_range){device + 0x10, 0x20};
    boot.device[1] = (struct boot_range){device + 0x800, 0x1000};    /* the same page, and the next */
    boot.device[2] = (struct boot_range){boot.memory[1].base - PAGE_BYTES, 3 * PAGE_BYTES}; /* into RAM */
    boot.device[3] = (struct boot_range){HAL_DIRECT_MAP_BYTES - PAGE_BYTES, 2 * PAGE_BYTES};
    boot.device[4] = (struct boot_range){UINT64_MAX - 5, 100};
    boot.device[5] = (struct boot_range){device + 0x100000, 0};
    boot.device[6] = (struct boot_range){HAL_DIRECT_MAP_BYTES - PAGE_BYTES, PAGE_BYTES};
    boot.device_count = 7;
    assert_true(host_unit_returns(build, NULL, &mm_test_result));
    assert_non_null(strstr(mm_test_result.console, "lies beyond the direct map: not mapped"));
    assert_mapped((vaddr_t)phys_to_virt(device), device, PROT_WRITE | PROT_DEVICE);
    assert_mapped((vaddr_t)phys_to_virt(device) + PAGE_BYTES, device + PAGE_BYTES, PROT_WRITE | PROT_DEVICE);
    assert_not_mapped((vaddr_t)phys_to_virt(device) + 2 * PAGE_BYTES);
    assert_not_mapped((vaddr_t)phys_to_virt(device + 0x100000));
    assert_mapped((vaddr_t)phys_to_virt(boot.memory[1].base) - PAGE_BYTES, boot.memory[1].base - PAGE_BYTES,
                  PROT_WRITE | PROT_DEVICE);
    assert_mapped((vaddr_t)phys_to_virt(boot.memory[1].base), boot.memory[1].base, PROT_WRITE);
    assert_mapped((vaddr_t)phys_to_virt(HAL_DIRECT_MAP_BYTES - PAGE_BYTES), HAL_DIRECT_MAP_BYTES - PAGE_BYTES,
                  PROT_WRITE | PROT_DEVICE);
    boot.device_count = 0;
}

/* How many leaves of each level map [base, base + bytes) in the direct map. */
static int count_leaf(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot)
{
    unsigned *leaves = arg;

    (void)va, (void)pa, (void)prot;
    leaves[bytes == PAGE_BYTES ? 0 : bytes == pt_level_bytes(1) ? 1 : 2]++;
    return 0;
}

static int enter_with_much_memory(void **state)
{
    (void)state;
    mm_test_enter((uint64_t)6 << 30);
    boot = *host_boot_info();
    return 0;
}

static void much_memory_is_mapped_by_large_pages(void **state)
{
    unsigned leaves[3] = {0};
    uint64_t direct_pages;

    (void)state;
    build(NULL);
    (void)pt_walk(kspace_root(), HAL_DIRECT_MAP_BASE, HAL_DIRECT_MAP_BYTES, count_leaf, leaves);
    direct_pages = leaves[0] + leaves[1] * PT_ENTRIES + leaves[2] * PT_ENTRIES * PT_ENTRIES;
    assert_true(direct_pages * PAGE_BYTES == (uint64_t)6 << 30);
    /* Two ranges of 3 GiB each: one begins with the image, the other 1 MiB behind a multiple of 1 GiB. */
    assert_int_equal(leaves[2], 2 + 2);
    assert_in_range(leaves[1], 1000, 1023 + 511);
    assert_in_range(leaves[0], 1, 4 * PT_ENTRIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_direct_map_shows_ram_and_nothing_else),
        cmocka_unit_test(the_image_has_the_rights_of_its_sections),
        cmocka_unit_test(sealing_takes_the_right_to_write_from_both_addresses),
        cmocka_unit_test(the_check_finds_what_must_not_be),
        cmocka_unit_test(devices_are_mapped_as_such_and_never_over_ram),
    };

    const struct CMUnitTest large[] = {
        cmocka_unit_test(much_memory_is_mapped_by_large_pages),
    };

    return cmocka_run_group_tests(tests, enter, mm_test_shutdown) +
           cmocka_run_group_tests(large, enter_with_much_memory, mm_test_shutdown);
}
