/* SPDX-License-Identifier: MIT */
/* The simulated machine: what each CPU's TLB keeps, when it lets go, and how a page that it still reaches is found. */
#include "scratch.h"

#define USER_VA ((vaddr_t)0x400000)
#define USER_PROT (PROT_USER | PROT_WRITE)
#define STACK_VA ((vaddr_t)HAL_KMAP_BASE + 16 * PAGE_BYTES)
#define STACK_PAGES 8
#define REPORTED (100 + HOST_END_CONTRACT)

/* Found by the entries of one test, over all its seeds. */
static struct {
    unsigned stale;
    unsigned forgotten;
    paddr_t root, first, second;
    _Atomic(unsigned) turn;
    bool is_flushed;
    bool is_remote;
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

/* An empty space with one user page that holds 11, and a page beside it that holds 22. */
static void space_prepare(void)
{
    story.first = page_take();
    story.second = page_take();
    *table_at(story.first) = 11;
    *table_at(story.second) = 22;
    *pte_of(story.root, USER_VA) = hal_pte_leaf(story.first, USER_PROT, 0);
}

static void story_start(struct boot_info *boot)
{
    story.root = memory_start(boot);
    space_prepare();
}

/* One CPU. */

static void entry_stale(struct boot_info *boot)
{
    bool is_new = false;

    story_start(boot);
    assert_int_equal(load(USER_VA), 11);
    *pte_of(story.root, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t got = load(USER_VA);

        assert_true(got == 22 || (got == 11 && !is_new));
        is_new = got == 22;
    }
    if (is_new)
        story.forgotten++;
    else
        story.stale++;
    hal_tlb_flush_local(HAL_ASID_ANY, USER_VA, 1);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(load(USER_VA), 22);
    hal_machine_exit(0);
}

static void test_an_entry_stays_until_it_is_flushed_or_forgotten(void **state)
{
    (void)state;
    story_reset();
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_entry(1, seed, entry_stale), 0);
    assert_true(story.stale > SEEDS / 2);
    assert_true(story.forgotten > 0);
}

static void entry_stores(struct boot_info *boot)
{
    story_start(boot);
    assert_true(host_user_store(USER_VA + 8, 5));
    assert_int_equal(table_at(story.first)[1], 5);
    *pte_of(story.root, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    assert_true(host_user_store(USER_VA + 8, 6));
    assert_int_equal(table_at(story.first)[1] + table_at(story.second)[1], table_at(story.second)[1] != 0 ? 11 : 6);
    hal_tlb_flush_local(HAL_ASID_ANY, USER_VA, 1);
    assert_true(host_user_store(USER_VA + 8, 7));
    assert_int_equal(table_at(story.second)[1], 7);
    hal_machine_exit(0);
}

static void test_stores_go_where_the_entry_says(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_entry(1, seed, entry_stores), 0);
}

static void entry_faults(struct boot_info *boot)
{
    static const vaddr_t wrong[] = { 0, USER_VA + 4, USER_VA + PAGE_BYTES, USER_VA + 2 * PAGE_BYTES,
                                     USER_VA + 3 * PAGE_BYTES, STACK_VA, HAL_DIRECT_MAP_BASE + 0x80000000 };
    uint64_t value = 99;

    story_start(boot);
    /* A page of the kernel's, and one in the hole of RAM. */
    *pte_of(story.root, USER_VA + 2 * PAGE_BYTES) = hal_pte_leaf(story.second, PROT_WRITE, 0);
    *pte_of(story.root, USER_VA + 3 * PAGE_BYTES) =
        hal_pte_leaf(boot->memory[1].base + boot->memory[1].bytes, USER_PROT, 0);
    *pte_of(story.root, STACK_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_false(host_user_load(wrong[i], &value));
        assert_false(host_user_store(wrong[i], 1));
    }
    *pte_of(story.root, USER_VA) = hal_pte_leaf(story.second, PROT_USER, 0);
    assert_false(host_user_store(USER_VA, 1));
    assert_true(host_user_load(USER_VA, &value));
    assert_false(host_user_store(USER_VA, 1)); /* also with an entry */
    assert_int_equal(value, 22);
    assert_int_equal(*table_at(story.first), 11);
    assert_int_equal(*table_at(story.second), 22);
    hal_machine_exit(0);
}

static void test_a_fault_changes_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_entry(1, seed, entry_faults), 0);
}

/* Pages that are given back. */

static void entry_gone(struct boot_info *boot)
{
    story_start(boot);
    host_tlb_require_gone(story.first, PAGE_BYTES);
    assert_int_equal(load(USER_VA), 11);
    *pte_of(story.root, USER_VA) = 0;
    host_tlb_require_gone(story.second, PAGE_BYTES);
    host_tlb_require_gone(boot->memory[1].base, 4 * PAGE_BYTES);
    if (story.is_flushed)
        hal_tlb_flush_local(HAL_ASID_ANY, USER_VA - 4 * PAGE_BYTES, 5);
    host_tlb_require_gone(story.first, 2 * PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_a_page_that_can_be_reached_is_not_given_back(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_gone), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entry: CPU 0 still translates 0x400000 to page"));
    story.is_flushed = true;
    assert_int_equal(run_entry(1, 1, entry_gone), 0);
}

static void entry_table(struct boot_info *boot)
{
    paddr_t table;

    story_start(boot);
    table = hal_pte_paddr(*pte_at(story.root, USER_VA, 1));
    (void)load(USER_VA);
    *pte_of(story.root, USER_VA) = 0;
    *pte_at(story.root, USER_VA, 1) = 0;
    if (story.is_flushed)
        hal_tlb_flush_local(HAL_ASID_ANY, USER_VA, 1);
    host_tlb_require_gone(table, PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_a_table_that_is_walked_is_not_given_back(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_table), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entry: CPU 0 still walks for 0x400000"));
    story.is_flushed = true;
    assert_int_equal(run_entry(1, 1, entry_table), 0);
}

static void entry_root(struct boot_info *boot)
{
    paddr_t other;

    story_start(boot);
    other = page_take();
    hal_mmu_activate(other, 1);
    host_tlb_require_gone(story.root, PAGE_BYTES);
    if (!story.is_flushed)
        host_tlb_require_gone(other, PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_a_root_in_use_is_not_given_back(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_root), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entry: CPU 0 has the tables"));
    story.is_flushed = true;
    assert_int_equal(run_entry(1, 1, entry_root), 0);
}

static void entry_large(struct boot_info *boot)
{
    vaddr_t end = USER_VA + 600 * PAGE_BYTES;

    story_start(boot);
    for (vaddr_t va = USER_VA; va < end; va += PAGE_BYTES) {
        *pte_of(story.root, va) = hal_pte_leaf(story.first, USER_PROT, 0);
        assert_int_equal(load(va), 11);
    }
    for (vaddr_t va = USER_VA; va < end; va += PAGE_BYTES)
        *pte_of(story.root, va) = 0;
    hal_tlb_flush_local(HAL_ASID_ANY, USER_VA, 600);
    host_tlb_require_gone(story.first, PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_more_pages_than_entries(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_large), 0);
}

/* Two CPUs. */

static struct task *team_tasks[2] = { &scratch.task[0], &scratch.task[1] };

static void turn_wait(unsigned turn)
{
    while (load_acquire(&story.turn) != turn)
        hal_cpu_relax();
}

static void body_flush(cpu_id_t cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        memory_prepare(host_boot_info());
        story.root = page_take();
        space_prepare();
        hal_mmu_activate(story.root, 1);
        (void)load(USER_VA);
        store_release(&story.turn, 1);
        turn_wait(2);
        *pte_of(story.root, USER_VA) = hal_pte_leaf(story.second, USER_PROT, 0);
        hal_tlb_flush_local(HAL_ASID_ANY, USER_VA, 1);
        assert_int_equal(load(USER_VA), 22);
        store_release(&story.turn, 3);
        turn_wait(4);
        if (story.is_remote) {
            struct cpumask other;

            cpumask_set_single(&other, 1);
            hal_tlb_flush_remote(&other, 1, USER_VA, story.is_flushed ? 1 : HAL_TLB_ALL_PAGES);
        }
        host_tlb_require_gone(story.first, PAGE_BYTES);
        store_release(&story.turn, 5);
        return;
    }
    turn_wait(1);
    hal_mmu_activate(story.root, 1);
    assert_int_equal(load(USER_VA), 11);
    store_release(&story.turn, 2);
    turn_wait(3);
    if (load(USER_VA) == 11)
        story.stale++;
    else
        story.forgotten++;
    if (story.is_flushed && !story.is_remote)
        hal_tlb_flush_local(1, USER_VA, 1);
    store_release(&story.turn, 4);
    if (!story.is_flushed)
        turn_wait(5); /* a parked CPU would hold nothing */
}

static int team_run(uint64_t seed)
{
    struct host_config config = config_of(2, seed);
    struct host_team team = { .tasks = team_tasks, .body = body_flush };

    config.has_remote_flush = story.is_remote;
    (void)scratch_reset(NULL);
    story.turn = 0;
    return host_team_run(&config, &team, &result);
}

static void test_a_flush_is_of_one_cpu(void **state)
{
    unsigned reported = 0;

    (void)state;
    story_reset();
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        unsigned stale = story.stale;
        int code = team_run(seed);

        /* CPU 1 has its old entry, and is named for it; or it has forgotten it. */
        assert_int_equal(code, story.stale > stale ? REPORTED : 0);
        if (code == REPORTED)
            assert_non_null(strstr(result.report, "stale TLB entry: CPU 1 still translates"));
        reported += code == REPORTED;
    }
    assert_true(reported > SEEDS / 2);
    story.is_flushed = true;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(team_run(seed), 0);
}

static void test_a_remote_flush_is_of_the_named_cpus(void **state)
{
    (void)state;
    story_reset();
    story.is_remote = true;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        story.is_flushed = seed % 2 == 0;
        assert_int_equal(team_run(seed), 0);
    }
    assert_true(story.stale > SEEDS / 2);
}

static void body_park(cpu_id_t cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        memory_prepare(host_boot_info());
        story.root = page_take();
        space_prepare();
        store_release(&story.turn, 1);
        turn_wait(2);
        for (unsigned i = 0; i < 200; i++)
            hal_cpu_relax();
        host_tlb_require_gone(story.first, PAGE_BYTES);
        host_tlb_require_gone(story.root, PAGE_BYTES);
        return;
    }
    turn_wait(1);
    hal_mmu_activate(story.root, 1);
    assert_int_equal(load(USER_VA), 11);
    store_release(&story.turn, 2);
}

static void test_a_parked_cpu_holds_nothing(void **state)
{
    struct host_team team = { .tasks = team_tasks, .body = body_park };

    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        (void)scratch_reset(NULL);
        story_reset();
        assert_int_equal(host_team_run(&config, &team, &result), 0);
    }
}

/* Stacks in the kmap window. */

static void task_back(void *arg)
{
    for (;;)
        hal_context_switch(&scratch.task[1], arg);
}

static void stack_start(struct boot_info *boot)
{
    struct task *task = &scratch.task[1];

    story_start(boot);
    for (unsigned i = 0; i < STACK_PAGES; i++)
        *pte_of(story.root, STACK_VA + i * PAGE_BYTES) = hal_pte_leaf(page_take(), PROT_WRITE, 0);
    hal_context_init(&task->context, STACK_VA + STACK_PAGES * PAGE_BYTES, STACK_PAGES * PAGE_BYTES, task_back,
                     &scratch.task[0]);
    hal_context_switch(&scratch.task[0], task);
}

static void entry_stack_gone(struct boot_info *boot)
{
    paddr_t page;

    stack_start(boot);
    page = hal_pte_paddr(*pte_of(story.root, STACK_VA));
    for (unsigned i = 0; i < STACK_PAGES; i++)
        *pte_of(story.root, STACK_VA + i * PAGE_BYTES) = 0;
    if (story.is_flushed)
        hal_tlb_flush_local(HAL_ASID_ANY, STACK_VA, STACK_PAGES);
    host_tlb_require_gone(page, PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_a_stack_that_was_stood_on_needs_a_flush(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_stack_gone), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entry: CPU 0 still translates"));
    story.is_flushed = true;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_entry(1, seed, entry_stack_gone), 0);
}

static void entry_stack_moved(struct boot_info *boot)
{
    paddr_t page;

    stack_start(boot);
    for (unsigned i = 0; i < STACK_PAGES; i++) {
        uint64_t *pte = pte_of(story.root, STACK_VA + i * PAGE_BYTES);

        page = page_take();
        memcpy(table_at(page), table_at(hal_pte_paddr(*pte)), PAGE_BYTES);
        *pte = hal_pte_leaf(page, PROT_WRITE, 0);
    }
    if (story.is_flushed)
        hal_tlb_flush_local(HAL_ASID_ANY, STACK_VA, STACK_PAGES);
    hal_context_switch(&scratch.task[0], &scratch.task[1]);
    hal_machine_exit(0);
}

static void test_a_stack_whose_pages_changed_is_not_stood_on(void **state)
{
    (void)state;
    story_reset();
    assert_int_equal(run_entry(1, 1, entry_stack_moved), REPORTED);
    assert_non_null(strstr(result.report, "stale TLB entry used: CPU 0"));
    story.is_flushed = true;
    assert_int_equal(run_entry(1, 1, entry_stack_moved), 0);
}

/* A flush before the tables have changed is one too early: a CPU at work may have read them again. */
static void entry_early(struct boot_info *boot)
{
    paddr_t page;

    stack_start(boot);
    page = hal_pte_paddr(*pte_of(story.root, STACK_VA));
    hal_tlb_flush_local(HAL_ASID_ANY, STACK_VA, 1);
    *pte_of(story.root, STACK_VA) = 0;
    host_tlb_require_gone(page, PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_a_flush_before_the_change_is_found_by_some_seed(void **state)
{
    unsigned reported = 0;

    (void)state;
    story_reset();
    for (unsigned seed = 0; seed < SEEDS; seed++)
        reported += run_entry(1, seed, entry_early) == REPORTED;
    assert_true(reported > SEEDS / 16);
    assert_true(reported < SEEDS);
}

/* Memory that nobody may touch. */

static volatile bool is_open;

static void entry_shut(struct boot_info *boot)
{
    volatile uint64_t *words = (story_start(boot), table_at(story.second));

    host_memory_shut(words, PAGE_BYTES);
    host_memory_open(words, 64);
    words[0] = 1;
    if (is_open)
        host_memory_open(words, PAGE_BYTES);
    words[8] = 2;
    hal_machine_exit(words[8] == 2 ? 0 : 1);
}

static void entry_touch(struct boot_info *boot)
{
    (void)boot;
    story_start(boot);
    table_at(story.second)[8] = 2;
    hal_machine_exit(0);
}

static void entry_shut_only(struct boot_info *boot)
{
    story_start(boot);
    host_memory_shut(table_at(story.second), PAGE_BYTES);
    hal_machine_exit(0);
}

static void test_shut_memory_is_watched_by_address_sanitizer(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    config.entry = entry_shut;
    is_open = false;
    (void)scratch_reset(NULL);
    (void)host_machine_run_forked(&config, &result);
    assert_int_equal(result.end, __has_feature(address_sanitizer) ? HOST_END_CRASH : HOST_END_EXIT);
    is_open = true;
    (void)scratch_reset(NULL);
    assert_int_equal(host_machine_run_forked(&config, &result), 0);
    /* What one machine shut is no matter of the next. */
    assert_int_equal(run_entry(1, 1, entry_shut_only), 0);
    assert_int_equal(run_entry(1, 1, entry_touch), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_stays_until_it_is_flushed_or_forgotten),
        cmocka_unit_test(test_stores_go_where_the_entry_says),
        cmocka_unit_test(test_a_fault_changes_nothing),
        cmocka_unit_test(test_a_page_that_can_be_reached_is_not_given_back),
        cmocka_unit_test(test_a_table_that_is_walked_is_not_given_back),
        cmocka_unit_test(test_a_root_in_use_is_not_given_back),
        cmocka_unit_test(test_more_pages_than_entries),
        cmocka_unit_test(test_a_flush_is_of_one_cpu),
        cmocka_unit_test(test_a_remote_flush_is_of_the_named_cpus),
        cmocka_unit_test(test_a_parked_cpu_holds_nothing),
        cmocka_unit_test(test_a_stack_that_was_stood_on_needs_a_flush),
        cmocka_unit_test(test_a_stack_whose_pages_changed_is_not_stood_on),
        cmocka_unit_test(test_a_flush_before_the_change_is_found_by_some_seed),
        cmocka_unit_test(test_shut_memory_is_watched_by_address_sanitizer),
    };

    return cmocka_run_group_tests_name("host tlb", tests, scratch_reset, NULL);
}
