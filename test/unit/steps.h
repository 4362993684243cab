/* SPDX-License-Identifier: MIT */
/* How long a comparison with a model lasts. Apart from unit.h: <stdlib.h> brings names that the kernel has, too. */
#pragma once

#include <stdlib.h>

/* How many random operations a comparison with a model does: `plain`, or `sanitized` where a sanitizer makes each
 * several times as slow, or as many as the environment variable VERDANT_MODEL_STEPS says. */
static inline unsigned long long unit_steps(unsigned long long plain, unsigned long long sanitized)
{
    const char *wanted = getenv("VERDANT_MODEL_STEPS");

    if (wanted != NULL)
        return strtoull(wanted, NULL, 10);
    return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? sanitized : plain;
}
