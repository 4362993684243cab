/* SPDX-License-Identifier: MIT */
/* What user.S does about an access to user memory that fails. No state. */
#include <hal/user.h>

#include <k/compiler.h>
#include <shared/user_fixup.h>

#include "machine_priv.h"

extern const char user_in[], user_in_end[], user_in_failed[], user_in_bytes[], user_in_bytes_end[];
extern const char user_out[], user_out_end[], user_out_failed[], user_out_bytes[], user_out_bytes_end[];
extern const char user_bytes_failed[];
extern const char user_cas[], user_cas_end[], user_cas_failed[];

static_assert(USER_COPY_IN == 0);

static const struct user_fixup fixups[] = {
    { user_in, user_in_end, user_in_failed },    { user_in_bytes, user_in_bytes_end, user_bytes_failed },
    { user_out, user_out_end, user_out_failed }, { user_out_bytes, user_out_bytes_end, user_bytes_failed },
    { user_cas, user_cas_end, user_cas_failed },
};

uintptr_t user_failed_pc(uintptr_t pc)
{
    return user_fixup_find(fixups, ARRAY_COUNT(fixups), pc);
}
