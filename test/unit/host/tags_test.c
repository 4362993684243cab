/* SPDX-License-Identifier: MIT */
/* The simulated TLBs and address-space ids: what is seen under which, and what may not be there when one is used. */
#include "scratch.h"

#define USER_VA ((vaddr_t)0x400000)
#define USER_PROT (PROT_USER | PROT_WRITE)
#define REPORTED (100 + HOST_END_CONTRACT)

static struct {
    unsigned stale;
    paddr_t root, first, second;
    bool is_flushed, is_flushed_elsewhere;
    bool is_table;
} story;

static void story_reset(void)
{
    memset(&story, 0, sizeof story);
}

static uint64_t load(vaddr_t va)
{
    uint64_t value = 0;

    assert_true(host_user_load(va, &value));
    return value;
}

/* The kernel's tables, with one user page that holds 11, and a page beside it that holds 22. */
static void story_start(struct boot_info *boot)
{
    story.root = memory_start(boot);
    story.first = page_take();
    story.second = page_take();
    *table_at(story.first) = 11;
    *table_at(story.second) = 22;
    *pte_of(story.root, USER_VA) = hal_pte_leaf(story.first, USER_PROT, 0);
}

/* Another space with a page at USER_VA that holds 22, and one that is global. */
static paddr_t other_space(vaddr_t global)
{
    paddr_t other = page_take();

    *pte_of(story.root, global) = hal_pte_leaf(story.first, USER_PROT | PROT_GLOBAL, 0);
    *pte_of(other, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    *pte_of(other, global) = hal_pte_leaf(story.second, USER_PROT | PROT_GLOBAL, 0);
    return other;
}

static int run_untagged(unsigned cpus, uint64_t seed, void (*entry)(struct boot_info *))
{
    struct host_config config = config_of(cpus, seed);

    config.entry = entry;
    config.asids = 1;
    return run(&config);
}

static void entry_untagged(struct boot_info *boot)
{
    vaddr_t global = USER_VA + PAGE_BYTES;
    paddr_t other;

    story_start(boot);
    other = other_space(global);
    assert_int_equal(boot->asid_count, 1);
    (void)load(USER_VA);
    (void)load(global);
    hal_mmu_activate(other, 0);
    assert_int_equal(load(USER_VA), 22);
    story.stale += load(global) == 11;
    /* Again the root that is in use: everything is forgotten. */
    *pte_of(other, USER_VA) = hal_pte_leaf(story.first, USER_PROT, 0);
    hal_mmu_activate(other, 0);
    assert_int_equal(load(USER_VA), 11);
    hal_machine_exit(0);
}

static void test_without_tags_other_tables_drop_what_is_not_global(void **state)
{
    (void)state;
    story_reset();
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_untagged(1, seed, entry_untagged), 0);
    assert_true(story.stale > SEEDS / 2);
}

static void entry_tagged(struct boot_info *boot)
{
    vaddr_t global = USER_VA + PAGE_BYTES;
    paddr_t other;

    story_start(boot);
    other = other_space(global);
    hal_mmu_activate(story.root, 0);
    (void)load(USER_VA);
    (void)load(global);
    hal_mmu_activate(other, 7);
    assert_int_equal(load(USER_VA), 22); /* there is an entry, of another id */
    story.stale += load(global) == 11;
    /* Both change; each has its old entry, until that id is flushed. */
    *pte_of(story.root, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    *pte_of(other, USER_VA) = hal_pte_leaf(story.first, USER_PROT, 0);
    story.stale += load(USER_VA) == 22;
    hal_mmu_activate(story.root, 0);
    story.stale += load(USER_VA) == 11;
    if (story.is_flushed)
        hal_tlb_flush_local(7, USER_VA, 1);
    else
        hal_tlb_flush_local(7, 0, HAL_TLB_ALL_PAGES);
    story.stale += load(USER_VA) == 11;
    hal_mmu_activate(other, 7);
    assert_int_equal(load(USER_VA), 11);
    story.stale += load(global) == 11;
    hal_tlb_flush_local(HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES);
    assert_int_equal(load(global), 22);
    hal_mmu_activate(story.root, 0);
    assert_int_equal(load(USER_VA), 22);
    hal_machine_exit(0);
}

static void test_an_entry_belongs_to_its_id(void **state)
{
    (void)state;
    story_reset();
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        story.is_flushed = seed % 2 == 0;
        assert_int_equal(run_entry(1, seed, entry_tagged), 0);
    }
    assert_true(story.stale > 4 * SEEDS); /* of 5 in each run */
}

static void entry_id_too_large(struct boot_info *boot)
{
    story_start(boot);
    hal_mmu_activate(page_take(), boot->asid_count);
}

static void entry_id_of_the_kernel(struct boot_info *boot)
{
    story_start(boot);
    hal_mmu_activate(page_take(), 0);
}

static void entry_no_remote(struct boot_info *boot)
{
    struct cpumask all;

    story_start(boot);
    cpumask_set_all(&all);
    hal_tlb_flush_remote(&all, 0, USER_VA, 1);
}

static void test_the_contract_of_ids_is_checked(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_id_too_large), REPORTED);
    assert_non_null(strstr(result.report, "address-space id 256 of 256"));
    assert_int_equal(run_entry(1, 1, entry_id_of_the_kernel), REPORTED);
    assert_non_null(strstr(result.report, "address-space id 0 is for the kernel's own tables"));
    assert_int_equal(run_entry(1, 1, entry_no_remote), REPORTED);
    assert_non_null(strstr(result.report, "hal_tlb_flush_remote() on a machine that has none"));
}

/* What is given back while only ids that are not in use know it. */

/* A user page, a table or neither of `other`, known under id 7, goes back while id 0 is in use. */
static void entry_inactive(struct boot_info *boot)
{
    paddr_t other, gone;

    story_start(boot);
    other = page_take();
    *pte_of(other, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    gone = story.is_table ? hal_pte_paddr(*pte_at(other, USER_VA, 1)) : story.second;
    hal_mmu_activate(other, 7);
    (void)load(USER_VA);
    hal_mmu_activate(story.root, 0);
    *pte_at(other, USER_VA, 1) = 0;
    host_tlb_require_gone(gone, PAGE_BYTES);
    host_tlb_require_gone(gone, PAGE_BYTES); /* once more: it is known already */
    if (story.is_flushed)
        hal_tlb_flush_local(7, USER_VA, 1);
    if (story.is_flushed_elsewhere)
        hal_tlb_flush_local(6, 0, HAL_TLB_ALL_PAGES);
    hal_mmu_activate(other, 7);
    hal_machine_exit(0);
}

static void test_an_id_is_not_used_again_over_a_page_that_was_given_back(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        story_reset();
        story.is_table = seed % 2 == 0;
        story.is_flushed_elsewhere = seed % 4 < 2;
        assert_int_equal(run_entry(1, seed, entry_inactive), REPORTED);
        assert_non_null(strstr(result.report, "stale TLB entry: CPU 0 takes address-space id 7 into use, and still "
                                              "knows 0x400000 by page"));
        story.is_flushed = true;
        assert_int_equal(run_entry(1, seed, entry_inactive), 0);
    }
}

static void entry_passed_on(struct boot_info *boot)
{
    paddr_t other, heir;

    story_start(boot);
    other = page_take();
    heir = page_take();
    *pte_of(other, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    hal_mmu_activate(other, 7);
    (void)load(USER_VA);
    hal_mmu_activate(story.root, 0);
    if (story.is_flushed)
        hal_tlb_flush_local(7, 0, HAL_TLB_ALL_PAGES);
    hal_mmu_activate(heir, 7);
    hal_machine_exit(0);
}

static void test_an_id_is_not_passed_on_over_entries(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_passed_on), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entries: CPU 0 takes address-space id 7 into use for the tables"));
    story.is_flushed = true;
    assert_int_equal(run_entry(1, 1, entry_passed_on), 0);
}

static void entry_global_gone(struct boot_info *boot)
{
    vaddr_t global = USER_VA + PAGE_BYTES;
    paddr_t other;

    story_start(boot);
    other = other_space(global);
    (void)load(global);
    hal_mmu_activate(other, 7);
    *pte_of(story.root, global) = 0;
    *pte_of(other, global) = 0;
    hal_tlb_flush_local(story.is_flushed ? HAL_ASID_ANY : 7, global, 1);
    host_tlb_require_gone(story.first, PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_a_global_entry_is_of_every_id(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_global_gone), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entry: CPU 0 still translates 0x401000"));
    story.is_flushed = true;
    assert_int_equal(run_entry(1, 1, entry_global_gone), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_tags_other_tables_drop_what_is_not_global),
        cmocka_unit_test(test_an_entry_belongs_to_its_id),
        cmocka_unit_test(test_the_contract_of_ids_is_checked),
        cmocka_unit_test(test_an_id_is_not_used_again_over_a_page_that_was_given_back),
        cmocka_unit_test(test_an_id_is_not_passed_on_over_entries),
        cmocka_unit_test(test_a_global_entry_is_of_every_id),
    };

    return cmocka_run_group_tests_name("host tags", tests, scratch_reset, NULL);
}
