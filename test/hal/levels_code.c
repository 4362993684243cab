/* SPDX-License-Identifier: MIT */
/*
 * A level about code that was stored as data: written through the direct map, executed through another mapping, which
 * is not writable. Each CPU writes in turn, and all execute. The code is a small function of the kit's own, copied: it
 * names no address, so it may lie anywhere.
 */
#include "levels.h"

#include <lib/string.h>

#define CODE_BYTES 64u /* more than either function is long */
#define ROUNDS 24u

typedef unsigned code_fn(void);

static NOINLINE unsigned answer_odd(void)
{
    return 0x135;
}

static NOINLINE unsigned answer_even(void)
{
    return 0x246;
}

static code_fn *const codes[] = { answer_even, answer_odd };

static struct {
    paddr_t page;
    vaddr_t va;
    unsigned round;
} place;

static void write_code(struct kit_cpu *self, void *unused)
{
    (void)self;
    (void)unused;
    memcpy(kit_direct(place.page), (const void *)(uintptr_t)codes[place.round % 2], CODE_BYTES);
    hal_icache_sync(place.page, PAGE_BYTES);
}

static void execute(struct kit_cpu *self, void *unused)
{
    unsigned expected = place.round % 2 == 0 ? 0x246 : 0x135;

    (void)unused;
    if (place.round == 0)
        hal_tlb_flush_local(HAL_ASID_ANY, place.va, 1); /* that there was nothing */
    unsigned answer = ((code_fn *)place.va)();

    CHECK(answer == expected, "CPU %u, round %u: executes old code, which says %#x", self->id, place.round, answer);
}

const char *level_code(void)
{
    unsigned cpus = kit_boot->cpu_count;

    place.page = kit_page_alloc();
    if (!kit_executes_ram) {
        hal_icache_sync(place.page, PAGE_BYTES);
        return "this machine executes nothing out of its RAM";
    }
    place.va = kit_va_reserve(1);
    kit_map(kit_root(), place.va, place.page, PAGE_BYTES, PROT_EXEC | PROT_GLOBAL);
    for (place.round = 0; place.round < ROUNDS; place.round++) {
        kit_cpus_run(place.round / 2 % cpus, write_code, NULL);
        for (cpu_id_t id = 0; id < cpus; id++)
            kit_cpus_run((id + place.round) % cpus, execute, NULL);
    }
    return NULL;
}
