/* SPDX-License-Identifier: MIT */
/* What the kit knows of the simulated machine: the image is the host's process, and user memory has its own access. */
#include "kit.h"
#include "userland.h"

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

/* userland.h: nothing of it can run. */
const char userland_begin[1], userland_call[1], userland_spin[1], userland_store[1], userland_read[1],
    userland_deny[1], userland_end[1];
const struct userland_words userland_words;
