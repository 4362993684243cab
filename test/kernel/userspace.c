/* SPDX-License-Identifier: MIT */
/* Processes with pages mapped by hand: userspace.h. */
#include "userspace.h"

#include <mm/pagetable.h>
#include <proc/process.h>
#include <vm/space.h>

#include "check.h"

static paddr_t table_alloc(void)
{
    return phys_alloc_zeroed(0);
}

static void table_free(paddr_t table)
{
    phys_free(table, 0);
}

static const struct pt_alloc tables = { .alloc = table_alloc, .free = table_free };

static paddr_t root_of(const struct hand_space *hand)
{
    return hand->process->space->tlb.root;
}

bool hand_create(struct hand_space *hand)
{
    *hand = (struct hand_space){ .lock = SPINLOCK_INIT(LOCK_TABLES) };
    return CHECK(process_create(&process_kernel, "by hand", &hand->process) == 0);
}

bool hand_map(struct hand_space *hand, unsigned index, unsigned prot)
{
    paddr_t page = phys_alloc_zeroed(0);
    int error = page != 0 ? 0 : -1;

    spin_lock(&hand->lock);
    if (error == 0 && hand->page[index] == 0) {
        error = pt_map(root_of(hand), hand_va(index), page, PAGE_BYTES, PROT_USER | prot, &tables);
        if (error == 0) {
            hand->page[index] = page;
            page = 0;
        }
    }
    spin_unlock(&hand->lock);
    if (page != 0)
        phys_free(page, 0);
    preempt_disable();
    tlb_flush_here(&hand->process->space->tlb, hand_va(index), 1);
    preempt_enable();
    return error == 0;
}

void *hand_page(const struct hand_space *hand, unsigned index)
{
    return phys_to_virt(hand->page[index]);
}

void hand_start(struct hand_space *hand, unsigned count, int (*entry)(void *))
{
    struct thread_spec spec = {
        .name = "by hand", .entry = entry, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };

    /* All of them first: the process ends with the last one that there is. */
    hand->thread_count = 0;
    for (unsigned i = 0; i < count; i++) {
        spec.arg = (void *)(uintptr_t)i;
        if (CHECK(thread_create(hand->process, &spec, &hand->thread[i]) == 0))
            hand->thread_count++;
        else
            break;
    }
    for (unsigned i = 0; i < hand->thread_count; i++)
        CHECK(thread_schedule(hand->process->pid, hand->thread[i]->tid, hand->thread[i]) == 0);
}

void hand_finish(struct hand_space *hand)
{
    CHECK(process_wait(&process_kernel, hand->process->pid, 0, NULL) == hand->process->pid);
    for (unsigned i = 0; i < hand->thread_count; i++)
        thread_put(hand->thread[i]);
    /* Its threads have left the space: no CPU uses the tables any more. */
    for (unsigned index = 0; index < HAND_PAGES; index++) {
        if (hand->page[index] == 0)
            continue;
        pt_unmap(root_of(hand), hand_va(index), PAGE_BYTES);
        phys_free(hand->page[index], 0);
    }
    process_put(hand->process);
}
