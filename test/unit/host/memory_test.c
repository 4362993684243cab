/* SPDX-License-Identifier: MIT */
/* The simulated machine: memory, translation, faults, and unit mode. */
#include "scratch.h"

/* Memory and translation. */

static void entry_kmap(struct boot_info *boot)
{
    paddr_t root = memory_start(boot);
    paddr_t first = page_take();
    paddr_t second = page_take();
    volatile uint64_t *va = (volatile uint64_t *)(HAL_KMAP_BASE + 7 * PAGE_BYTES);
    uint64_t *pte = pte_of(root, (vaddr_t)va);

    *pte = hal_pte_leaf(first, PROT_WRITE, 0);
    *va = 11;
    assert_int_equal(*table_at(first), 11);
    *table_at(second) = 22;
    *pte = hal_pte_leaf(second, PROT_READ_ONLY, 0);
    assert_int_equal(*va, 11); /* the TLB still has the old entry */
    hal_tlb_flush_local(HAL_ASID_ANY, (vaddr_t)va, 1);
    assert_int_equal(*va, 22);
    *va = 33; /* a page fault */
    hal_machine_exit(0);
}

static void test_kmap_follows_the_tables_after_a_flush(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_kmap), 40 + FAULT_PAGE);
    assert_true(scratch.fault.address == HAL_KMAP_BASE + 7 * PAGE_BYTES);
    assert_true(scratch.fault.is_write);
}

/* A run of pages that follow each other, known to the TLB at once; then one of them changes in each way. */
#define RUN_PAGES 70u /* more than a word of the host's bitmap */

static unsigned run_changed;

static void entry_kmap_run(struct boot_info *boot)
{
    paddr_t root = memory_start(boot);
    vaddr_t base = HAL_KMAP_BASE + 60 * PAGE_BYTES;
    paddr_t page[RUN_PAGES];

    for (unsigned i = 0; i < RUN_PAGES; i++) {
        page[i] = page_take();
        *table_at(page[i]) = i;
        *pte_of(root, base + i * PAGE_BYTES) = hal_pte_leaf(page[i], PROT_WRITE, 0);
    }
    for (unsigned i = 0; i < RUN_PAGES; i++)
        if (*(volatile uint64_t *)(base + i * PAGE_BYTES) != i)
            hal_machine_exit(1);
    *pte_of(root, base + run_changed * PAGE_BYTES) = hal_pte_leaf(page[0], PROT_READ_ONLY, 0);
    *pte_of(root, base + (run_changed + 1) * PAGE_BYTES) = 0;
    hal_tlb_flush_local(HAL_ASID_ANY, HAL_KMAP_BASE, HAL_KMAP_BYTES / PAGE_BYTES);
    for (unsigned i = 0; i < RUN_PAGES; i++)
        if (i != run_changed + 1 && *(volatile uint64_t *)(base + i * PAGE_BYTES) != (i == run_changed ? 0 : i))
            hal_machine_exit(2);
    *(volatile uint64_t *)(base + (run_changed + 1) * PAGE_BYTES) = 1; /* a page fault */
    hal_machine_exit(0);
}

static void test_a_flush_of_everything_takes_what_has_changed(void **state)
{
    (void)state;
    for (run_changed = 0; run_changed < RUN_PAGES - 1; run_changed++) {
        assert_int_equal(run_entry(1, 1, entry_kmap_run), 40 + FAULT_PAGE);
        assert_true(scratch.fault.address == HAL_KMAP_BASE + (61 + run_changed) * PAGE_BYTES);
    }
}

/* More pages that do not follow each other than the host's kernel keeps mappings for: all can be reached. */
#define SINGLE_PAGES 70000u

static bool all_say(const paddr_t *page, unsigned from)
{
    for (unsigned i = 0; i < SINGLE_PAGES; i++)
        if (*(volatile uint64_t *)(HAL_KMAP_BASE + i * PAGE_BYTES) != *table_at(page[(i + from) % 2]))
            return false;
    return true;
}

static void entry_kmap_many(struct boot_info *boot)
{
    paddr_t root = memory_start(boot);
    paddr_t page[2] = { page_take(), (page_take(), page_take()) };

    *table_at(page[0]) = 11;
    *table_at(page[1]) = 22;
    for (unsigned from = 0; from < 2; from++) {
        for (unsigned i = 0; i < SINGLE_PAGES; i++)
            *pte_of(root, HAL_KMAP_BASE + i * PAGE_BYTES) = hal_pte_leaf(page[(i + from) % 2], PROT_WRITE, 0);
        hal_tlb_flush_local(HAL_ASID_ANY, HAL_KMAP_BASE, HAL_KMAP_BYTES / PAGE_BYTES);
        if (!all_say(page, from) || !all_say(page, from))
            hal_machine_exit(1);
    }
    hal_machine_exit(0);
}

static void test_more_pages_than_the_host_has_mappings_for_can_be_reached(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_kmap_many), 0);
}

/* Not optimised: the recursion must stay one, and use its frames. */
__attribute__((optnone)) NOINLINE static unsigned sink_deep(unsigned depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    return depth == 0 ? (unsigned)frame[0] : sink_deep(depth - 1) + (unsigned)frame[0];
}

static void task_in_kmap(void *arg)
{
    unsigned depth = *(unsigned *)arg;

    scratch.plain = sink_deep(depth);
    hal_machine_exit(0);
}

static unsigned kmap_depth;

static void entry_kmap_stack(struct boot_info *boot)
{
    paddr_t root = memory_start(boot);
    vaddr_t base = HAL_KMAP_BASE + 16 * PAGE_BYTES;
    struct task *task = &scratch.task[1];

    for (unsigned i = 0; i < 8; i++)
        *pte_of(root, base + i * PAGE_BYTES) = hal_pte_leaf(page_take(), PROT_WRITE, 0);
    hal_context_init(&task->context, base + 8 * PAGE_BYTES, 8 * PAGE_BYTES, task_in_kmap, &kmap_depth);
    hal_context_switch(&scratch.task[0], task);
}

static void test_a_stack_in_kmap_works_and_its_overflow_is_named(void **state)
{
    (void)state;
    kmap_depth = 10;
    assert_int_equal(run_entry(1, 1, entry_kmap_stack), 0);
    kmap_depth = 1000;
    assert_int_equal(run_entry(1, 1, entry_kmap_stack), 40 + FAULT_STACK_OVERFLOW);
}

static void entry_wild(struct boot_info *boot)
{
    (void)memory_start(boot);
    *(volatile uint64_t *)(HAL_DIRECT_MAP_BASE + boot->memory[1].base + boot->memory[1].bytes) = 1; /* the hole */
    hal_machine_exit(0);
}

static void test_the_hole_in_ram_is_not_mapped(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_wild), 40 + FAULT_PAGE);
}

static void test_page_table_entries_keep_what_they_are_given(void **state)
{
    static const unsigned prots[] = { PROT_READ_ONLY, PROT_WRITE, PROT_EXEC | PROT_GLOBAL, PROT_USER | PROT_WRITE,
                                      PROT_DEVICE | PROT_WRITE | PROT_GLOBAL };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(prots); i++)
        for (unsigned level = 0; level <= hal_pt_leaf_level_max(); level++) {
            uint64_t pte = hal_pte_leaf(0x80200000, prots[i], level);

            assert_true((pte & HAL_PTE_VALID) != 0 && hal_pte_is_leaf(pte, level));
            assert_true(hal_pte_paddr(pte) == 0x80200000);
            assert_int_equal(hal_pte_prot(pte), prots[i]);
        }
    assert_true((hal_pte_table(0x1000) & HAL_PTE_VALID) != 0);
    assert_false(hal_pte_is_leaf(hal_pte_table(0x1000), 1));
}

/* Unit mode. */

static void end_with_5(void *arg)
{
    scratch.plain++;
    *table_at(host_boot_info()->memory[0].base) = 99;
    if (arg != NULL)
        hal_machine_exit(5);
}

static void end_idle(void *arg)
{
    (void)arg;
    hal_cpu_idle();
}

static void test_unit_mode_catches_the_end_of_the_machine(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    (void)scratch_reset(NULL);
    host_unit_setup(&config);
    host_unit_enter(&scratch.task[0]);
    assert_ptr_equal(hal_current(), &scratch.task[0]);
    assert_false(host_unit_returns(end_with_5, &scratch, &result));
    assert_int_equal(result.code, 5);
    assert_true(host_unit_returns(end_with_5, NULL, &result));
    assert_false(host_unit_returns(end_idle, NULL, &result));
    assert_int_equal(result.end, HOST_END_DEADLOCK);

    *table_at(host_boot_info()->memory[0].base) = 1;
    scratch.plain = 0;
    assert_false(host_unit_returns_forked(end_with_5, &scratch, &result));
    assert_int_equal(result.code, 5);
    assert_int_equal(scratch.plain, 0);
    assert_int_equal(*table_at(host_boot_info()->memory[0].base), 1);
    host_unit_teardown();
}

static void die(void *arg)
{
    (void)arg;
    _Exit(3);
}

static void test_a_crash_of_a_forked_run_is_a_result(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    host_unit_setup(&config);
    host_unit_enter(&scratch.task[0]);
    assert_false(host_unit_returns_forked(die, NULL, &result));
    assert_int_equal(result.end, HOST_END_CRASH);
    assert_int_equal(result.code, 3);
    host_unit_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kmap_follows_the_tables_after_a_flush),
        cmocka_unit_test(test_a_flush_of_everything_takes_what_has_changed),
        cmocka_unit_test(test_more_pages_than_the_host_has_mappings_for_can_be_reached),
        cmocka_unit_test(test_a_stack_in_kmap_works_and_its_overflow_is_named),
        cmocka_unit_test(test_the_hole_in_ram_is_not_mapped),
        cmocka_unit_test(test_page_table_entries_keep_what_they_are_given),
        cmocka_unit_test(test_unit_mode_catches_the_end_of_the_machine),
        cmocka_unit_test(test_a_crash_of_a_forked_run_is_a_result),
    };

    return cmocka_run_group_tests_name("host memory", tests, scratch_reset, NULL);
}
