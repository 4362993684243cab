/* SPDX-License-Identifier: MIT */
/* What user.S does about an access to user memory that fails. No state. */
#include <hal/user.h>

#include <shared/user_fixup.h>

#include "machine_priv.h"

extern const char user_copy[], user_copy_failed[];
extern const char user_shifted[], user_shifted_end[], user_shifted_failed[];
extern const char user_rest[], user_rest_end[];
extern const char user_bytes[], user_bytes_end[], user_bytes_failed[];
extern const char user_cas[], user_cas_end[], user_cas_failed[];

static_assert(USER_COPY_IN == 0);

static const struct user_fixup fixups[] = {
    { user_copy, user_shifted, user_copy_failed },
    { user_shifted, user_shifted_end, user_shifted_failed },
    { user_rest, user_rest_end, user_copy_failed },
    { user_bytes, user_bytes_end, user_bytes_failed },
    { user_cas, user_cas_end, user_cas_failed },
};

uintptr_t user_failed_pc(uintptr_t pc)
{
    return user_fixup_find(fixups, ARRAY_COUNT(fixups), pc);
}
