/* SPDX-License-Identifier: MIT */
/* What user.S does about an access to user memory that fails. No state. */
#include <hal/user.h>

#include <shared/user_fixup.h>

#include "machine.h"

extern const char user_words[], user_words_end[], user_words_failed[];
extern const char user_last[], user_last_end[], user_last_failed[];
extern const char user_tail[], user_tail_end[], user_tail_failed[];
extern const char user_string[], user_string_end[], user_string_failed[];
extern const char user_bytes[], user_bytes_end[], user_bytes_failed[];
extern const char user_cas[], user_cas_end[], user_cas_failed[];

static_assert(USER_COPY_IN == 0);

static const struct user_fixup fixups[] = {
    { user_words, user_words_end, user_words_failed },    { user_tail, user_tail_end, user_tail_failed },
    { user_string, user_string_end, user_string_failed }, { user_bytes, user_bytes_end, user_bytes_failed },
    { user_last, user_last_end, user_last_failed },       { user_cas, user_cas_end, user_cas_failed },
};

uintptr_t user_failed_pc(uintptr_t pc)
{
    return user_fixup_find(fixups, ARRAY_COUNT(fixups), pc);
}
