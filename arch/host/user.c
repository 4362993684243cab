/* SPDX-License-Identifier: MIT */
/*
 * The kernel's access to user memory, through the TLB of the CPU that is stepped. A copy is done in pieces whose
 * lengths are chosen by chance, each a step, so that other CPUs, interrupts and changes of the tables come between. A
 * fault is reported as a machine reports it: on the task's stack, interrupts disabled, and perhaps the task is on
 * another CPU afterwards. Not instrumented for ThreadSanitizer: programs and kernel race in user memory as they like.
 */
#include "host_priv.h"

#include <hal/user.h>
#include <k/errno.h>

#pragma weak trap_fault

#define WORD sizeof(uint64_t)

/* Should the access be tried again? */
static bool fault(vaddr_t va, bool is_write, bool is_present)
{
    struct hal_trap trap = {
        .pc = (uintptr_t)__builtin_return_address(0),
        .frame_pointer = (uintptr_t)__builtin_frame_address(0),
        .sp = (uintptr_t)__builtin_frame_address(0),
        .is_write = is_write,
    };
    struct fault_info info = {
        .kind = FAULT_PAGE,
        .address = va,
        .name = "page fault",
        .is_write = is_write,
        .is_present = is_present,
        .is_user_access = true,
        .irqs_enabled = host_cpu_now->irq_enabled,
    };

    HOST_REQUIRE(trap_fault != NULL, "a fault in user memory, but this binary has no trap_fault()");
    host_cpu_now->irq_enabled = false;
    bool again = trap_fault(&trap, &info);

    HOST_REQUIRE(!host_cpu_now->irq_enabled, "trap_fault() returned with interrupts enabled");
    host_cpu_now->irq_enabled = info.irqs_enabled;
    return again;
}

/* The byte at va and the rest of its page, or NULL: a fault that was not repaired. */
static void *reach(vaddr_t va, bool is_write)
{
    unsigned want = PROT_USER | (is_write ? PROT_WRITE : 0);
    bool is_present;
    void *at;

    while ((at = host_tlb_user(va, want, &is_present)) == NULL)
        if (!fault(va, is_write, is_present))
            return NULL;
    return at;
}

/* How much of what is left in the page is copied before the next step. At least what is one access: a word of each size
 * that both sides are aligned to. */
static size_t piece_bytes(uintptr_t kernel, vaddr_t user, size_t bytes)
{
    size_t most = MIN(bytes, PAGE_BYTES - user % PAGE_BYTES);
    size_t align = (kernel | user | WORD) & -(kernel | user | WORD);
    uint64_t choice = host_mix(host.config.seed ^ (uint64_t)host_self()->id << 48 ^ host_self()->steps << 8 ^ user);
    size_t piece = (size_t)1 << choice % (PAGE_SHIFT + 1);

    return MIN(most, MAX(piece, align));
}

/* One access of `align` bytes each, where that many are left; both sides are multiples of it. */
static void piece_copy(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t step;

    for (; bytes > 0; to += step, from += step, bytes -= step) {
        uintptr_t both = (uintptr_t)to | (uintptr_t)from;

        if (both % 8 == 0 && bytes >= 8) {
            step = 8;
            __atomic_store_n((uint64_t *)to, __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
        } else if (both % 4 == 0 && bytes >= 4) {
            step = 4;
            __atomic_store_n((uint32_t *)to, __atomic_load_n((const uint32_t *)from, __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
        } else if (both % 2 == 0 && bytes >= 2) {
            step = 2;
            __atomic_store_n((uint16_t *)to, __atomic_load_n((const uint16_t *)from, __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
        } else {
            step = 1;
            __atomic_store_n(to, __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
        }
    }
}

size_t hal_user_copy(void *kernel, vaddr_t user, size_t bytes, enum user_copy direction)
{
    uint8_t *at = kernel;

    HOST_REQUIRE(bytes <= HAL_USER_END && user <= HAL_USER_END - bytes, "hal_user_copy(%#llx, %#llx): not user memory",
                 (unsigned long long)user, (unsigned long long)bytes);
    while (bytes > 0) {
        uint8_t *there = reach(user, direction == USER_COPY_OUT);

        if (there == NULL)
            break;
        size_t piece = piece_bytes((uintptr_t)at, user, bytes);

        if (direction == USER_COPY_OUT)
            piece_copy(there, at, piece);
        else
            piece_copy(at, there, piece);
        at += piece;
        user += piece;
        bytes -= piece;
    }
    return bytes;
}

int hal_user_cas(vaddr_t user, uint32_t *expected, uint32_t desired)
{
    HOST_REQUIRE(IS_ALIGNED(user, sizeof *expected) && user <= HAL_USER_END - sizeof *expected,
                 "hal_user_cas(%#llx): no aligned user word", (unsigned long long)user);
    uint32_t *word = reach(user, true);

    if (word == NULL)
        return -EFAULT;
    /* The order that the contract promises, for ThreadSanitizer, which does not see this function. */
    host_fiber_acquire(word);
    (void)__atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    host_fiber_release(word);
    return 0;
}
