/* SPDX-License-Identifier: MIT */
/*
 * The kernel's access to user memory, in threads of processes: faults that are repaired by a handler which sleeps and
 * moves to other CPUs, faults that are not, copies that are interrupted and preempted, words that CPUs share.
 */
#include <entry/trap.h>
#include <hal/user.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <mm/user.h>
#include <proc/id.h>
#include <proc/process.h>
#include <smp/preempt.h>
#include <time/clock.h>

#include "check.h"
#include "userspace.h"

#define BUFFER_BYTES (3 * PAGE_BYTES)
#define BUFFER_ORDER 2u /* of pages: the tests have their buffers while they run, not in the image */
_Static_assert(BUFFER_BYTES <= PAGE_BYTES << BUFFER_ORDER, "");

static struct hand_space space;
static _Atomic(unsigned) calls; /* of the handler in use */

static unsigned thread_limit(void)
{
    return MIN(online_count() + 1, 4u);
}

/* Run `entry` in `count` threads of the space that the test has made, with this handler. */
static void run_with(trap_user_fault_fn *handler, unsigned count, int (*entry)(void *))
{
    trap_user_fault_fn *before = trap_set_user_fault(handler);

    store_relaxed(&calls, 0);
    hand_start(&space, count, entry);
    hand_finish(&space);
    (void)trap_set_user_fault(before);
}

/* A byte that says where it belongs, and which turn it is of. */
static uint8_t mark(vaddr_t va, unsigned turn)
{
    return (uint8_t)(va * 7 + (va >> PAGE_SHIFT) * 31 + turn * 13 + 1);
}

static bool copy_and_compare(uint8_t *buffer, vaddr_t va, size_t bytes, unsigned turn)
{
    for (size_t i = 0; i < bytes; i++)
        buffer[i] = mark(va + i, turn);
    if (!CHECK(user_copy_out(va, buffer, bytes) == 0))
        return false;
    memset(buffer, 0, bytes);
    if (!CHECK(user_copy_in(buffer, va, bytes) == 0))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!CHECK(buffer[i] == mark(va + i, turn)))
            return false;
    return true;
}

/* ---- faults that are repaired ---- */

/* Sleeps or moves on the way, as a handler that reads from a disk would. */
static int bring_in(vaddr_t va, unsigned access)
{
    unsigned index = (unsigned)((va - HAND_VA) / PAGE_BYTES);
    unsigned call = fetch_add_relaxed(&calls, 1);
    struct cpumask mask;

    CHECK(va >= HAND_VA && index < HAND_PAGES && context_can_sleep());
    CHECK(access == USER_ACCESS_READ || access == USER_ACCESS_WRITE);
    if (call % 3 == 0)
        (void)task_sleep_for(20 * NS_PER_US);
    if (call % 2 == 0) {
        cpumask_set_single(&mask, online_cpu(call));
        CHECK(task_set_affinity(current_task(), &mask) == 0);
    }
    if (call % 5 == 0)
        task_yield();
    return hand_map(&space, index, PROT_WRITE) ? 0 : -ENOMEM;
}

#define OWN_PAGES (HAND_PAGES / 4)

/* Each thread has pages of its own, none of which is there, and a string and a word in the last one. */
static int use_pages(uint8_t *buffer, unsigned number)
{
    vaddr_t own = hand_va(number * OWN_PAGES);
    vaddr_t last = own + (OWN_PAGES - 1) * PAGE_BYTES;
    uint32_t word = 0;

    for (unsigned i = 0; i + 3 < OWN_PAGES; i += 2)
        if (!copy_and_compare(buffer, own + i * PAGE_BYTES + 1000 + i, 2 * PAGE_BYTES - 7, i))
            return 1;
    CHECK(user_clear(own + 100, 2 * PAGE_BYTES) == 0);
    CHECK(user_copy_in(buffer, own + 100, 2 * PAGE_BYTES) == 0);
    for (unsigned i = 0; i < 2 * PAGE_BYTES; i++)
        if (!CHECK(buffer[i] == 0))
            return 1;
    CHECK(user_cas32(last + 8, &word, 77) == 0 && word == 0);
    CHECK(user_read32(last + 8, &word) == 0 && word == 77);
    CHECK(user_copy_out(last - 5, "a string over a border", 23) == 0);
    CHECK(user_copy_string((char *)buffer, last - 5, 100) == 22);
    CHECK(strcmp((char *)buffer, "a string over a border") == 0);
    return 0;
}

static int use_missing_pages(void *arg)
{
    paddr_t buffer = phys_alloc(BUFFER_ORDER);

    if (!CHECK(buffer != 0))
        return 1;
    int result = use_pages(phys_to_virt(buffer), (unsigned)(uintptr_t)arg);

    phys_free(buffer, BUFFER_ORDER);
    return result;
}

static void missing_pages_are_brought_in(void)
{
    if (!hand_create(&space))
        return;
    unsigned threads = thread_limit();

    run_with(bring_in, threads, use_missing_pages);
    CHECK(load_relaxed(&calls) >= threads * (OWN_PAGES - 1));
}

/* ---- faults that are not ---- */

static int refuse(vaddr_t va, unsigned access)
{
    (void)va;
    (void)access;
    (void)fetch_add_relaxed(&calls, 1);
    return -ENOMEM;
}

/* Page 0 is there, 1 is not, 2 may be read only. */
static int use_what_is_not_there(void *arg)
{
    uint8_t buffer[64];
    uint32_t word = 5;

    (void)arg;
    CHECK(user_copy_in(buffer, hand_va(1), 8) == -EFAULT);
    CHECK(user_copy_in(buffer, hand_va(1) - 4, 8) == -EFAULT);
    CHECK(user_copy_out(hand_va(1) - 4, buffer, 8) == -EFAULT);
    CHECK(user_copy_out(hand_va(2), buffer, 8) == -EFAULT);
    CHECK(user_copy_in(buffer, hand_va(2), 8) == 0);
    CHECK(user_clear(hand_va(0), BUFFER_BYTES) == -EFAULT);
    CHECK(user_read32(hand_va(1), &word) == -EFAULT);
    CHECK(user_cas32(hand_va(1), &word, 6) == -EFAULT && word == 5);
    CHECK(user_cas32(hand_va(2), &word, 6) == -EFAULT && word == 5);
    CHECK(user_cas32(hand_va(0) + 1, &word, 6) == -EINVAL);
    CHECK(user_copy_in(buffer, HAL_DIRECT_MAP_BASE, 8) == -EFAULT);
    CHECK(user_copy_in(buffer, 0, 8) == -EFAULT); /* nothing is mapped at a null pointer */
    CHECK(load_relaxed(&calls) >= 9);
    return 0;
}

static bool make_three_pages(void)
{
    return hand_create(&space) && CHECK(hand_map(&space, 0, PROT_WRITE) && hand_map(&space, 2, PROT_READ_ONLY));
}

static void a_handlers_error_is_a_bad_address(void)
{
    if (make_three_pages())
        run_with(refuse, 1, use_what_is_not_there);
}

static int use_where_nobody_may_sleep(void *arg)
{
    uint8_t byte = 3;

    (void)arg;
    preempt_disable();
    CHECK(user_copy_in(&byte, hand_va(1), 1) == -EFAULT);
    CHECK(user_copy_in(&byte, hand_va(0), 1) == 0); /* what is there may be used */
    preempt_enable();
    uintptr_t state = hal_irq_save();

    CHECK(user_copy_out(hand_va(1), &byte, 1) == -EFAULT);
    CHECK(user_copy_out(hand_va(0), &byte, 1) == 0);
    CHECK(!hal_irq_is_enabled());
    hal_irq_restore(state);
    CHECK(load_relaxed(&calls) == 0);
    CHECK(user_copy_in(&byte, hand_va(1), 1) == 0 && byte == 0);
    CHECK(load_relaxed(&calls) == 1);
    return 0;
}

static void nothing_is_brought_in_where_nobody_may_sleep(void)
{
    if (make_three_pages())
        run_with(bring_in, 1, use_where_nobody_may_sleep);
}

/* ---- strings ---- */

static int read_strings(void *arg)
{
    char text[128];

    (void)arg;
    for (size_t length = 0; length < 100; length++) {
        vaddr_t va = hand_va(1) - length - 1; /* its NUL is the page's last byte; there is no page behind it */

        CHECK(user_copy_string(text, va, sizeof text) == (int64_t)length);
        CHECK(strlen(text) == length);
        CHECK(user_copy_string(text, va, length) == -ENAMETOOLONG);
    }
    CHECK(load_relaxed(&calls) == 0);
    CHECK(user_copy_string(text, hand_va(3) - 50, sizeof text) == -EFAULT);
    CHECK(user_copy_string(text, hand_va(3) - 50, 50) == -ENAMETOOLONG);
    CHECK(user_copy_string(text, HAL_USER_END, 1) == -EFAULT);
    return 0;
}

static void a_string_may_end_with_its_page(void)
{
    if (!make_three_pages())
        return;
    memset(hand_page(&space, 0), 'x', PAGE_BYTES - 1);
    memset(hand_page(&space, 2), 'x', PAGE_BYTES);
    run_with(refuse, 1, read_strings);
}

/* ---- several CPUs ---- */

#define INCREMENTS 200u

static _Atomic(unsigned) incremented; /* the word, as the last thread found it */

static int increment(void *arg)
{
    vaddr_t word = hand_va(0) + 64;

    (void)arg;
    for (unsigned i = 0; i < INCREMENTS; i++) {
        uint32_t now = 0;
        uint32_t expected;

        if (!CHECK(user_read32(word, &now) == 0))
            return 1;
        do {
            expected = now;
            if (!CHECK(user_cas32(word, &now, expected + 1) == 0))
                return 1;
        } while (now != expected);
    }
    unsigned before = load_relaxed(&incremented);
    uint32_t now = 0;

    CHECK(user_read32(word, &now) == 0);
    while (before < now && !cas_relaxed(&incremented, &before, now))
        continue;
    return 0;
}

static void exchanges_of_several_cpus_are_all_seen(void)
{
    if (!make_three_pages())
        return;
    unsigned threads = thread_limit();

    store_relaxed(&incremented, 0);
    run_with(refuse, threads, increment);
    CHECK(load_relaxed(&incremented) == threads * INCREMENTS);
}

#define MOVED_ROUNDS 20u
#define MOVED_BYTES (PAGE_BYTES + 500) /* over a border */

/* Both processes have their own pages at the same addresses. */
static struct hand_space twin;
static _Atomic(bool) is_over;

static int copy_while_moved(unsigned who, unsigned number)
{
    paddr_t buffer = phys_alloc(BUFFER_ORDER);
    unsigned rounds = 0;
    bool ok = CHECK(buffer != 0);

    while (ok && (rounds++ < MOVED_ROUNDS || !load_relaxed(&is_over)))
        ok = copy_and_compare(phys_to_virt(buffer), hand_va(2 * number) + rounds % 16, MOVED_BYTES, 2 * rounds + who);
    if (buffer != 0)
        phys_free(buffer, BUFFER_ORDER);
    return ok ? 0 : 1;
}

static int copy_in_space(void *arg)
{
    return copy_while_moved(0, (unsigned)(uintptr_t)arg);
}

static int copy_in_twin(void *arg)
{
    return copy_while_moved(1, (unsigned)(uintptr_t)arg);
}

static void move(const struct hand_space *hand, unsigned round)
{
    struct cpumask mask;

    for (unsigned i = 0; i < hand->thread_count; i++) {
        struct task *task = task_lookup(hand->thread[i]->tid);

        if (task == NULL)
            continue;
        cpumask_set_single(&mask, online_cpu(round + i));
        CHECK(task_set_affinity(task, &mask) == 0);
        task_put(task);
    }
}

static void copies_go_on_on_another_cpu(void)
{
    bool is_made = hand_create(&space) && hand_create(&twin);

    for (unsigned i = 0; i < 4; i++)
        is_made = is_made && CHECK(hand_map(&space, i, PROT_WRITE) && hand_map(&twin, i, PROT_WRITE));
    if (!is_made)
        return;
    /* More urgent than those who copy all the time: else it is the length of their slices that is tested. */
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    store_relaxed(&is_over, false);
    hand_start(&space, 2, copy_in_space);
    hand_start(&twin, 2, copy_in_twin);
    for (unsigned round = 0; round < MOVED_ROUNDS; round++) {
        move(&space, round);
        move(&twin, 3 * round);
        (void)task_sleep_for(100 * NS_PER_US);
    }
    store_relaxed(&is_over, true);
    hand_finish(&space);
    hand_finish(&twin);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

const struct kernel_test tests_user[] = {
    { "user: missing pages are brought in", missing_pages_are_brought_in },
    { "user: a handler's error is a bad address", a_handlers_error_is_a_bad_address },
    { "user: nothing is brought in where nobody may sleep", nothing_is_brought_in_where_nobody_may_sleep },
    { "user: a string may end with its page", a_string_may_end_with_its_page },
    { "user: exchanges of several CPUs are all seen", exchanges_of_several_cpus_are_all_seen },
    { "user: copies go on on another CPU", copies_go_on_on_another_cpu },
    { NULL, NULL },
};
