/* SPDX-License-Identifier: MIT */
/*
 * Levels about what TLBs keep and forget: translations of several spaces at once, and those of other CPUs. A page's
 * first word says which it is. CPU 0 changes the tables.
 */
#include "levels.h"

#include "mm_priv.h"

#define USER_VA ((vaddr_t)0x400000)
#define SPACES 4u
#define TAG_ROUNDS 200u
#define REMOTE_ROUNDS 20u
#define SPAN_BYTES ((vaddr_t)PAGE_BYTES << HAL_PT_INDEX_BITS) /* of a last-level table */

static struct {
    struct {
        paddr_t root;
        unsigned asid;
        unsigned shows; /* page, or PAGES: none */
    } space[SPACES];
    unsigned count;
    paddr_t page[SPACES + 1];
} world;

#define PAGES ((unsigned)ARRAY_COUNT(world.page))
#define MARK(page) (UINT64_C(0xa5a50000) + (page))

static void page_make(unsigned page)
{
    world.page[page] = kit_page_alloc();
    *(volatile uint64_t *)kit_direct(world.page[page]) = MARK(page);
}

static paddr_t kernel_space(void)
{
    return HAL_PT_SHARED_ROOT ? kit_root() : 0;
}

/* The first and the last id, and some between: all bits count. Without ids one space is enough. */
static void world_make(void)
{
    unsigned ids = kit_boot->asid_count;

    world.count = MIN(SPACES, MAX(ids, 2u) - 1);
    for (unsigned page = 0; page < PAGES; page++)
        page_make(page);
    for (unsigned i = 0; i < world.count; i++) {
        world.space[i].asid = ids == 1 ? 0 : 1 + (ids - 2) / MAX(world.count - 1, 1u) * i;
        world.space[i].shows = i;
        world.space[i].root = kit_user_root(USER_VA, world.page[i]);
    }
    world.space[world.count - 1].asid = ids - 1;
}

static void check_shows(const char *when, unsigned space)
{
    uint64_t value = 0;
    bool is_seen = kit_user_load(USER_VA, &value);
    unsigned shows = world.space[space].shows;

    CHECK(is_seen == (shows < PAGES), "CPU %u, id %u, %s: a page is %s", kit_self()->id, world.space[space].asid, when,
          is_seen ? "seen where none is mapped" : "not seen");
    CHECK(!is_seen || value == MARK(shows), "CPU %u, id %u, %s: the page is another one, %#llx", kit_self()->id,
          world.space[space].asid, when, (unsigned long long)value);
}

/* ---- tags ---- */

enum how { FLUSH_PAGE, FLUSH_SPACE, FLUSH_ALL, FLUSH_WAYS };

static void flush(unsigned asid, vaddr_t va, enum how how)
{
    if (how == FLUSH_PAGE)
        hal_tlb_flush_local(asid, va, 1);
    else if (how == FLUSH_SPACE)
        hal_tlb_flush_local(asid, va, HAL_TLB_ALL_PAGES);
    else
        hal_tlb_flush_local(HAL_ASID_ANY, va, HAL_TLB_ALL_PAGES);
}

/* Take the page out of the space, and perhaps its table, too; flush. */
static void empty(unsigned space, enum how how, bool with_table)
{
    paddr_t root = world.space[space].root;

    pt_unmap(root, USER_VA, PAGE_BYTES);
    if (with_table)
        CHECK(pt_detach_table(root, USER_VA) != 0, "the walker finds no table");
    flush(world.space[space].asid, USER_VA, how);
    world.space[space].shows = PAGES;
}

static void fill(unsigned space, enum how how)
{
    unsigned page = (unsigned)(kit_random() % PAGES);

    kit_map_quietly(world.space[space].root, USER_VA, world.page[page], kit_user_prot);
    if (HAL_TLB_CACHES_INVALID)
        flush(world.space[space].asid, USER_VA, how);
    world.space[space].shows = page;
}

static void check_spaces_change(void)
{
    unsigned active = 0;

    hal_mmu_activate(world.space[0].root, world.space[0].asid);
    for (unsigned i = 0; i < TAG_ROUNDS; i++) {
        unsigned space = (unsigned)(kit_random() % world.count);

        /* Few tables: the kit never gets its pages back. */
        if (world.space[space].shows < PAGES)
            empty(space, kit_random() % FLUSH_WAYS, i % 32 == 0);
        if (kit_random() % 4 != 0)
            fill(space, kit_random() % FLUSH_WAYS);
        if (kit_random() % 2 == 0)
            check_shows("after a flush", active);
        active = (unsigned)(kit_random() % world.count);
        hal_mmu_activate(world.space[active].root, world.space[active].asid);
        check_shows("taken into use", active);
    }
}

/* A page of the kernel's is seen by all spaces, and gone for all: also a table that walks of another space went by. */
static void check_kernel_page(void)
{
    vaddr_t va = ROUND_UP(kit_va_reserve(2 * SPAN_BYTES / PAGE_BYTES), SPAN_BYTES);

    for (unsigned i = 0; i < 8; i++) {
        kit_map(kit_root(), va, world.page[i % PAGES], PAGE_BYTES, PROT_WRITE | PROT_GLOBAL);
        for (unsigned space = 0; space < world.count; space++) {
            hal_mmu_activate(world.space[space].root, world.space[space].asid);
            CHECK(*(volatile uint64_t *)va == MARK(i % PAGES), "id %u: a kernel page is another space's old one",
                  world.space[space].asid);
        }
        hal_mmu_activate(kernel_space(), 0);
        CHECK(*(volatile uint64_t *)va == MARK(i % PAGES), "a kernel page is another one without a space");
        pt_unmap(kit_root(), va, PAGE_BYTES);
        CHECK(pt_detach_table(kit_root(), va) != 0, "the walker finds no table");
        hal_tlb_flush_local(HAL_ASID_ANY, va, 1);
    }
    for (unsigned space = 0; space < world.count; space++) {
        struct kit_fault fault;

        hal_mmu_activate(world.space[space].root, world.space[space].asid);
        CHECK(kit_catch(kit_probe_load, (void *)va, &fault), "id %u: a kernel page is seen after it was flushed",
              world.space[space].asid);
    }
}

/* Whatever else is in an entry whose bit 0 is 0: the machine does not look. */
static void check_parked_entry(void)
{
    paddr_t root = kit_user_root(USER_VA, world.page[0]);
    unsigned asid = world.space[0].asid;
    uint64_t value = 0;

    hal_mmu_activate(kernel_space(), 0);
    flush(asid, 0, FLUSH_SPACE);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t *pte = kit_pte(root, USER_VA);

        *pte = i == 0 ? ~UINT64_C(1) : kit_random() << 1;
        flush(asid, USER_VA, FLUSH_PAGE);
        hal_mmu_activate(root, asid);
        CHECK(!kit_user_load(USER_VA, &value), "a page is seen by an entry with bit 0 clear");
        hal_mmu_activate(kernel_space(), 0);
    }
    flush(asid, 0, FLUSH_SPACE);
}

const char *level_tags(void)
{
    CHECK(kit_boot->asid_count >= 1, "boot_info.asid_count is 0");
    hal_tlb_flush_local(HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES); /* the last level's spaces had the same ids */
    world_make();
    for (unsigned i = 0; i < TAG_ROUNDS; i++) {
        hal_mmu_activate(world.space[i % world.count].root, world.space[i % world.count].asid);
        check_shows("of several", i % world.count);
    }
    check_spaces_change();
    check_kernel_page();
    check_parked_entry();
    hal_mmu_activate(kernel_space(), 0);
    return kit_boot->asid_count == 1 ? "TLBs without ids" : NULL;
}

/* ---- remote ---- */

static void enter_space(struct kit_cpu *self, void *arg)
{
    unsigned space = *(const unsigned *)arg;

    (void)self;
    hal_mmu_activate(world.space[space].root, world.space[space].asid);
    check_shows("taken into use", space);
}

static void look(struct kit_cpu *self, void *arg)
{
    (void)self;
    check_shows("after a remote flush", *(const unsigned *)arg);
}

static void leave_space(struct kit_cpu *self, void *unused)
{
    (void)self;
    (void)unused;
    hal_mmu_activate(kernel_space(), 0);
}

static void on_each(void (*run)(struct kit_cpu *, void *), void *arg)
{
    for (cpu_id_t id = 0; id < kit_boot->cpu_count; id++)
        kit_cpus_run(id, run, arg);
}

static void flush_remote(const struct cpumask *cpus, unsigned space, unsigned round)
{
    if (round % 3 == 0)
        hal_tlb_flush_remote(cpus, world.space[space].asid, USER_VA, 1);
    else if (round % 3 == 1)
        hal_tlb_flush_remote(cpus, world.space[space].asid, 0, HAL_TLB_ALL_PAGES);
    else
        hal_tlb_flush_remote(cpus, HAL_ASID_ANY, USER_VA, 1);
}

/* Every CPU uses the space and knows its page; it goes, and another comes. */
static void check_all_forget(unsigned round)
{
    unsigned space = round % world.count;
    struct cpumask cpus;

    cpumask_set_all(&cpus);
    if (world.space[space].shows == PAGES)
        fill(space, FLUSH_ALL);
    on_each(enter_space, &space);
    pt_unmap(world.space[space].root, USER_VA, PAGE_BYTES);
    flush_remote(&cpus, space, round);
    world.space[space].shows = PAGES;
    on_each(look, &space);
    world.space[space].shows = round % PAGES;
    kit_map_quietly(world.space[space].root, USER_VA, world.page[round % PAGES], kit_user_prot);
    if (HAL_TLB_CACHES_INVALID)
        flush_remote(&cpus, space, round);
    on_each(look, &space);
}

static struct {
    _Atomic(bool) is_ready, is_flushed; /* PAIRS(kit_remote) */
} remote;

/* Interrupts stay disabled from the first load to the second. */
static void look_while_flushed(struct kit_cpu *self, void *arg)
{
    unsigned space = *(const unsigned *)arg;

    enter_space(self, arg);
    store_release(&remote.is_ready, true); /* PAIRS(kit_remote) */
    while (!load_acquire(&remote.is_flushed)) /* PAIRS(kit_remote) */
        hal_cpu_relax();
    check_shows("after a remote flush with interrupts disabled", space);
}

static void check_disabled(cpu_id_t id)
{
    unsigned space = 0; /* round 0 has filled it */
    struct kit_job job = { look_while_flushed, &space };
    struct cpumask cpus;
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    cpumask_set_single(&cpus, id);
    store_release(&remote.is_ready, false);   /* PAIRS(kit_remote) */
    store_release(&remote.is_flushed, false); /* PAIRS(kit_remote) */
    kit_cpus_begin(id, &job);
    while (!load_acquire(&remote.is_ready)) { /* PAIRS(kit_remote) */
        CHECK_BEFORE(end, "CPU %u does not answer", id);
        hal_cpu_relax();
    }
    pt_unmap(world.space[space].root, USER_VA, PAGE_BYTES);
    hal_tlb_flush_remote(&cpus, world.space[space].asid, USER_VA, 1);
    world.space[space].shows = PAGES;
    store_release(&remote.is_flushed, true); /* PAIRS(kit_remote) */
    kit_cpus_wait(id);
    kit_map_quietly(world.space[space].root, USER_VA, world.page[0], kit_user_prot);
    world.space[space].shows = 0;
    cpumask_set_all(&cpus);
    hal_tlb_flush_remote(&cpus, HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES); /* what the others know of the space */
}

const char *level_remote(void)
{
    if (HAL_TLB_REMOTE == 0)
        return "this machine's CPUs cannot reach each other's TLBs";
    for (unsigned round = 0; round < REMOTE_ROUNDS; round++)
        check_all_forget(round);
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++)
        check_disabled(id);
    on_each(leave_space, NULL);
    return NULL;
}
