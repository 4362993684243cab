/* SPDX-License-Identifier: MIT */
/* What the kit knows of real machines: the image is where the linker script says, and a load is a load. */
#include "kit.h"

#include <k/image.h>

const bool kit_image_is_in_ram = true;
const bool kit_executes_ram = true;

/* A kernel page in the user half: what user pages grant comes with the user level. */
const unsigned kit_user_prot = PROT_READ_ONLY;

static void load(void *arg)
{
    volatile uint64_t *slot = arg;

    slot[1] = *(const volatile uint64_t *)(uintptr_t)slot[0];
}

bool kit_user_load(vaddr_t va, uint64_t *out)
{
    uint64_t slot[2] = { va, 0 };
    struct kit_fault fault;

    if (kit_catch(load, slot, &fault)) {
        kit_check_page_fault(&fault, true, va, "a load from the user half");
        return false;
    }
    *out = slot[1];
    return true;
}

bool kit_is_code(uintptr_t address)
{
    return address >= (uintptr_t)__text_start && address <= (uintptr_t)__text_end;
}
