/* SPDX-License-Identifier: MIT */
/* The simulated machine: a program's CPU comes to know no page as code that instruction caches were not told of. */
#include "scratch.h"

#define USER_VA ((vaddr_t)0x400000)
#define REPORTED (100 + HOST_END_CONTRACT)

static paddr_t page;

static void map_page(struct boot_info *boot, unsigned prot)
{
    paddr_t root = memory_start(boot);

    page = page_take();
    *table_at(page) = 11;
    *pte_of(root, USER_VA) = hal_pte_leaf(page, PROT_USER | prot, 0);
}

static void look(void)
{
    uint64_t value = 0;

    assert_true(host_user_load(USER_VA, &value) && value == 11);
}

static void entry_data(struct boot_info *boot)
{
    map_page(boot, PROT_WRITE);
    look();
    hal_machine_exit(0);
}

static void entry_code(struct boot_info *boot)
{
    map_page(boot, PROT_EXEC);
    hal_icache_sync(page, PAGE_BYTES);
    look();
    hal_machine_exit(0);
}

static void entry_never_told(struct boot_info *boot)
{
    map_page(boot, PROT_EXEC);
    hal_icache_sync(page + PAGE_BYTES, PAGE_BYTES);
    look();
    hal_machine_exit(0);
}

static void entry_used_again(struct boot_info *boot)
{
    map_page(boot, PROT_EXEC);
    hal_icache_sync(page, 2 * PAGE_BYTES);
    look();
    hal_tlb_flush_local(HAL_ASID_ANY, USER_VA, 1);
    host_tlb_require_gone(page, PAGE_BYTES);
    look();
    hal_machine_exit(0);
}

static void entry_no_ram(struct boot_info *boot)
{
    (void)memory_start(boot);
    hal_icache_sync(0, PAGE_BYTES);
    hal_machine_exit(0);
}

static void what_was_told_may_be_executed(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_data), 0);
    assert_int_equal(run_entry(1, 1, entry_code), 0);
}

static void what_was_not_told_or_is_used_again_ends_the_run(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_never_told), REPORTED);
    assert_non_null(strstr(result.report, "stale instructions: CPU 0 may execute page"));
    assert_int_equal(run_entry(1, 1, entry_used_again), REPORTED);
    assert_non_null(strstr(result.report, "stale instructions: CPU 0 may execute page"));
}

static void only_ram_has_instructions(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_no_ram), REPORTED);
    assert_non_null(strstr(result.report, "no pages of RAM"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_told_may_be_executed),
        cmocka_unit_test(what_was_not_told_or_is_used_again_ends_the_run),
        cmocka_unit_test(only_ram_has_instructions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
