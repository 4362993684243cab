/* SPDX-License-Identifier: MIT */
/*
 * The level about user memory: copies and exchanges over pages with rights, holes, and faults that are repaired or not,
 * compared with an array; then words that several CPUs use at once. What a fault said is kept by the hook below.
 */
#include "levels.h"

#include <hal/user.h>
#include <k/errno.h>
#include <lib/string.h>

#define USER_VA ((vaddr_t)0x400000)
#define LAST_PAGE ((vaddr_t)HAL_USER_END - PAGE_BYTES)
#define PAGES 6u
#define USER_BYTES (PAGES * PAGE_BYTES)
#define COPY_ROUNDS 2000u
#define MARGIN 32u /* bytes on either side that must stay as they are */
#define FILLER 0xa5
#define TIMER_NS (20 * NS_PER_US)
#define TIMERS 20u
#define CAS_ROUNDS 300u
#define TORN_ROUNDS 2000u

/* PROT_USER goes without saying. The hole is page 2. */
static const unsigned rights[PAGES] = { PROT_WRITE, PROT_WRITE, 0, PROT_READ_ONLY, PROT_WRITE, PROT_WRITE };
#define HOLE 2u
#define READ_ONLY 3u

static struct {
    paddr_t root;
    paddr_t page[PAGES];
    uint8_t *model;  /* what the pages hold */
    uint8_t *kernel; /* the other side, with a margin before and room behind it */

    /* Of CPU 0's faults. */
    unsigned faults;
    struct fault_info last;
    bool was_irq_enabled; /* inside trap_fault() */
    bool is_repairing;    /* map the hole */
} user;

static bool on_fault(const struct fault_info *fault)
{
    user.faults++;
    user.last = *fault;
    user.was_irq_enabled = hal_irq_is_enabled();
    if (!user.is_repairing)
        return false;
    user.is_repairing = false;
    if (fault->irqs_enabled) { /* as a handler that sleeps: interrupts come in between */
        unsigned before = kit_self()->timers;

        hal_timer_arm(hal_clock_ticks());
        hal_irq_enable();
        while (kit_self()->timers == before)
            hal_cpu_relax();
        hal_irq_disable();
    }
    user.page[HOLE] = kit_page_alloc();
    kit_map(user.root, USER_VA + HOLE * PAGE_BYTES, user.page[HOLE], PAGE_BYTES, PROT_USER | PROT_WRITE);
    return true;
}

/* The last id, if there are any: levels before may have used it, so it is forgotten first. */
static void user_activate(void)
{
    unsigned asid = kit_boot->asid_count - 1;

    if (asid != 0)
        hal_tlb_flush_local(asid, 0, HAL_TLB_ALL_PAGES);
    hal_mmu_activate(user.root, asid);
}

static void pages_map(void)
{
    user.root = kit_page_alloc();
    if (HAL_PT_SHARED_ROOT)
        memcpy(kit_direct(user.root), kit_direct(kit_root()), PAGE_BYTES);
    for (unsigned i = 0; i < PAGES; i++) {
        if (i == HOLE)
            continue;
        user.page[i] = kit_page_alloc();
        kit_map(user.root, USER_VA + i * PAGE_BYTES, user.page[i], PAGE_BYTES, PROT_USER | rights[i]);
    }
    user.model = kit_pages_alloc(USER_BYTES);
    user.kernel = (uint8_t *)kit_pages_alloc(USER_BYTES + PAGE_BYTES) + PAGE_BYTES / 2;
    user_activate();
}

static void check_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        CHECK(user.page[i] == 0 || memcmp(kit_direct(user.page[i]), user.model + i * PAGE_BYTES, PAGE_BYTES) == 0,
              "user page %u holds something else than was copied there", i);
}

/* ---- copies ---- */

/* Bytes from `at` on that may be copied. */
static size_t reachable(size_t at, size_t bytes, enum user_copy direction)
{
    size_t end = at + bytes;

    for (unsigned i = (unsigned)(at / PAGE_BYTES); i < PAGES && i * PAGE_BYTES < end; i++) {
        bool is_right = direction == USER_COPY_IN || (rights[i] & PROT_WRITE) != 0 || i == HOLE;

        if (user.page[i] == 0 || !is_right)
            return MAX(i * PAGE_BYTES, at) - at;
    }
    return bytes;
}

/* About the last fault: it ended a copy (or an exchange) at `address`. */
static void check_fault(vaddr_t address, bool is_write, const char *what)
{
    const struct fault_info *fault = &user.last;

    CHECK(user.faults > 0, "%s does not fault", what);
    CHECK(fault->kind == FAULT_PAGE, "%s is a fault of kind %d (%s)", what, (int)fault->kind, fault->name);
    CHECK(fault->is_user_access && !fault->is_exec, "%s is not reported as an access to user memory", what);
    CHECK(fault->address == address, "%s at %#llx is reported at %#llx", what, (unsigned long long)address,
          (unsigned long long)fault->address);
    CHECK(fault->is_write == is_write, "%s is reported as a %s", what, fault->is_write ? "write" : "read");
    CHECK(fault->irqs_enabled == hal_irq_is_enabled(), "%s: irqs_enabled is %d", what, fault->irqs_enabled);
    CHECK(!user.was_irq_enabled, "%s: trap_fault() is called with interrupts enabled", what);
    CHECK(!fault->is_present || address - USER_VA >= (HOLE + 1) * PAGE_BYTES ||
              address - USER_VA < HOLE * PAGE_BYTES,
          "%s: an entry is reported where there is none", what);
}

static void copy_once(size_t at, size_t bytes, unsigned shift, enum user_copy direction)
{
    uint8_t *kernel = user.kernel + shift;
    size_t good = reachable(at, bytes, direction);

    user.faults = 0;
    memset(kernel - MARGIN, FILLER, bytes + 2 * MARGIN);
    if (direction == USER_COPY_OUT) {
        for (size_t i = 0; i < bytes; i++)
            kernel[i] = (uint8_t)kit_random();
        memcpy(user.model + at, kernel, good);
    }
    size_t left = hal_user_copy(kernel, USER_VA + at, bytes, direction);

    CHECK(left == bytes - good, "a copy of %zu bytes at %#zx (kernel side %#lx, direction %d) leaves %zu, not %zu",
          bytes, at, (unsigned long)(uintptr_t)kernel, (int)direction, left, bytes - good);
    if (left > 0)
        check_fault(USER_VA + at + good, direction == USER_COPY_OUT, "a copy that fails");
    else
        CHECK(user.faults == 0, "a copy that is allowed faults");
    for (size_t i = 0; i < MARGIN; i++)
        CHECK(kernel[-1 - (ptrdiff_t)i] == FILLER && kernel[bytes + i] == FILLER, "a copy wrote outside the buffer");
    if (direction == USER_COPY_OUT)
        return;
    CHECK(memcmp(kernel, user.model + at, good) == 0, "a copy of %zu bytes from %#zx brought something else", good, at);
    for (size_t i = good; i < bytes; i++)
        CHECK(kernel[i] == FILLER, "a copy that failed wrote behind what it says it copied");
}

static void check_copies(void)
{
    for (size_t bytes = 0; bytes <= 80; bytes++)
        for (unsigned i = 0; i < 8; i++) {
            copy_once(i, bytes, 8 - i, USER_COPY_OUT);
            copy_once(i, bytes, (unsigned)kit_random() % 8, USER_COPY_IN);
        }
    for (unsigned i = 0; i < COPY_ROUNDS; i++) {
        size_t at = kit_random() % USER_BYTES;
        size_t bytes = kit_random() % (i % 2 == 0 ? 160 : 3 * PAGE_BYTES);

        if (i % 4 < 2) /* near a border, which may be that of the hole, or of the rights */
            at = ROUND_DOWN(at, PAGE_BYTES) + PAGE_BYTES - kit_random() % 128;
        at = MIN(at, USER_BYTES);
        copy_once(at, MIN(bytes, USER_BYTES - at), (unsigned)kit_random() % 8,
                  i % 3 == 0 ? USER_COPY_IN : USER_COPY_OUT);
    }
    check_pages();
}

static void check_last_page(void)
{
    uint64_t words[2] = { 0x0123456789abcdef, 0 };
    paddr_t page = kit_page_alloc();

    kit_map(user.root, LAST_PAGE, page, PAGE_BYTES, PROT_USER | PROT_WRITE);
    CHECK(hal_user_copy(&words[0], HAL_USER_END - 8, 8, USER_COPY_OUT) == 0 &&
              hal_user_copy(&words[1], HAL_USER_END - 8, 8, USER_COPY_IN) == 0 && words[1] == words[0],
          "the last page below HAL_USER_END cannot be used");
}

/* A bad pointer of the kernel's own is a bug, and not a failed copy. */
static void copy_to_nowhere(void *hole)
{
    (void)hal_user_copy(hole, USER_VA, 64, USER_COPY_IN);
}

static void check_kernel_side(void)
{
    uintptr_t hole = kit_va_reserve(1);
    struct kit_fault fault;
    bool has_faulted = kit_catch(copy_to_nowhere, (void *)hole, &fault);

    kit_check_page_fault(&fault, has_faulted, hole, "a copy to an unmapped kernel page");
    CHECK(!fault.info.is_user_access, "a fault on the kernel's side is reported as an access to user memory");
}

/* Interrupts at any instruction of the copies; and one copy whose fault is repaired. */
static void check_interrupted(void)
{
    struct kit_cpu *self = kit_self();
    unsigned end = self->timers + TIMERS;
    uint64_t give_up = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    hal_irq_enable();
    for (unsigned round = 0; self->timers < end; round++) {
        unsigned before = self->timers;

        CHECK_BEFORE(give_up, "no timer interrupts during copies");
        hal_irq_disable();
        hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(TIMER_NS));
        hal_irq_enable();
        do {
            copy_once(round % 64, PAGE_BYTES + 13, round % 8, round % 2 == 0 ? USER_COPY_OUT : USER_COPY_IN);
        } while (self->timers == before && hal_clock_ticks() < give_up);
    }
    user.is_repairing = true;
    memset(user.model + HOLE * PAGE_BYTES, 0, PAGE_BYTES);
    size_t left = hal_user_copy(user.kernel, USER_VA + HOLE * PAGE_BYTES - 100, 1000, USER_COPY_OUT);

    CHECK(left == 0, "a copy whose fault was repaired leaves %zu bytes", left);
    CHECK(hal_irq_is_enabled(), "a repaired fault leaves interrupts disabled");
    hal_irq_disable();
    memcpy(user.model + HOLE * PAGE_BYTES - 100, user.kernel, 1000);
    check_pages();
    hal_timer_arm(TIME_NEVER);
}

/* ---- exchanges ---- */

static uint32_t *word_at(vaddr_t va)
{
    return (uint32_t *)kit_direct(user.page[(va - USER_VA) / PAGE_BYTES] + va % PAGE_BYTES);
}

static void cas_once(vaddr_t va, bool is_equal, bool is_writable)
{
    uint32_t was = *word_at(va);
    uint32_t expected = is_equal ? was : ~was;
    uint32_t desired = (uint32_t)kit_random();
    uint32_t now = 0;

    user.faults = 0;
    int result = hal_user_cas(va, &expected, desired);

    CHECK(result == (is_writable ? 0 : -EFAULT), "an exchange at %#llx says %d", (unsigned long long)va, result);
    CHECK(expected == (is_writable || is_equal ? was : ~was), "an exchange found %#x, the word was %#x", expected, was);
    if (!is_writable)
        check_fault(va, true, "an exchange that fails");
    CHECK(hal_user_copy(&now, va, sizeof now, USER_COPY_IN) == 0, "the word cannot be read");
    CHECK(now == (is_writable && is_equal ? desired : was), "the word is %#x after an exchange of %#x by %#x", now, was,
          desired);
    memcpy(user.model + (va - USER_VA), &now, sizeof now);
}

static void check_exchanges(void)
{
    uint32_t expected = 5;

    for (unsigned i = 0; i < 64; i++) {
        vaddr_t va = USER_VA + (i % 2 == 0 ? READ_ONLY : 4) * PAGE_BYTES + kit_random() % PAGE_BYTES / 4 * 4;

        cas_once(va, i / 2 % 2 == 0, i % 2 != 0);
    }
    user.faults = 0;
    CHECK(hal_user_cas(USER_VA + PAGES * PAGE_BYTES, &expected, 6) == -EFAULT && user.faults > 0 && expected == 5,
          "an exchange where nothing is mapped does not fail");
}

/* ---- several CPUs ---- */

#define COUNTER_VA (USER_VA + 64)
#define FLIP_VA (USER_VA + PAGE_BYTES)

static void count_up(void)
{
    for (unsigned i = 0; i < CAS_ROUNDS; i++) {
        uint32_t now = 0;
        uint32_t expected;
        int result;

        do {
            expected = now;
            result = hal_user_cas(COUNTER_VA, &now, expected + 1);
        } while (result == 0 && now != expected);
        CHECK(result == 0, "an exchange says %d", result);
    }
}

/* Everybody writes words whose bytes are all alike, and reads no other. */
static void flip(cpu_id_t id)
{
    for (unsigned i = 0; i < TORN_ROUNDS; i++) {
        uint64_t byte = (id + i) & 0xff;
        uint64_t word = byte * UINT64_C(0x0101010101010101);
        uint64_t long_word;
        uint32_t short_word;
        size_t left = hal_user_copy(&word, FLIP_VA, 8, USER_COPY_OUT) +
                      hal_user_copy(&word, FLIP_VA + 12, 4, USER_COPY_OUT) +
                      hal_user_copy(&long_word, FLIP_VA, 8, USER_COPY_IN) +
                      hal_user_copy(&short_word, FLIP_VA + 12, 4, USER_COPY_IN);

        CHECK(left == 0, "a word cannot be copied");
        CHECK(long_word == (long_word & 0xff) * UINT64_C(0x0101010101010101), "8 bytes are not one access: %#llx",
              (unsigned long long)long_word);
        CHECK(short_word == (short_word & 0xff) * 0x01010101u, "4 bytes are not one access: %#x", short_word);
    }
}

static void share(struct kit_cpu *self, void *arg)
{
    (void)arg;
    user_activate();
    count_up();
    flip(self->id);
    hal_mmu_activate(HAL_PT_SHARED_ROOT ? kit_root() : 0, 0);
}

static void check_shared(void)
{
    static struct kit_job job = { share, NULL };

    *word_at(COUNTER_VA) = 0;
    memset(word_at(FLIP_VA), 0, 16);
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++)
        kit_cpus_begin(id, &job);
    share(kit_self(), NULL);
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++)
        kit_cpus_wait(id);
    CHECK(*word_at(COUNTER_VA) == CAS_ROUNDS * kit_boot->cpu_count, "%u exchanges by %u CPUs count to %u",
          CAS_ROUNDS * kit_boot->cpu_count, kit_boot->cpu_count, *word_at(COUNTER_VA));
}

const char *level_user(void)
{
    struct kit_cpu *self = kit_self();

    CHECK(HAL_USER_END % PAGE_BYTES == 0 && HAL_USER_END > USER_VA + USER_BYTES, "HAL_USER_END is %#llx",
          (unsigned long long)HAL_USER_END);
    pages_map();
    self->on_user_fault = on_fault;
    check_copies();
    check_last_page();
    check_kernel_side();
    check_exchanges();
    check_interrupted();
    check_shared();
    self->on_user_fault = NULL;
    return NULL;
}
