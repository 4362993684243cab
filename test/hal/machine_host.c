/* SPDX-License-Identifier: MIT */
/* What the kit knows of the simulated machine: the image is the host's process, and user memory has its own access. */
#include "kit.h"

#include <host/machine.h>

const bool kit_image_is_in_ram = false;
const bool kit_executes_ram = false;
const unsigned kit_user_prot = PROT_USER;

bool kit_user_load(vaddr_t va, uint64_t *out)
{
    return host_user_load(va, out);
}

bool kit_is_code(uintptr_t address)
{
    return address != 0;
}
