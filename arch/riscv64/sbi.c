/* SPDX-License-Identifier: MIT */
/*
 * Calls the firmware and knows what it offers. Decides nothing for its callers. No lock: facts are written before
 * kmain().
 */
#include "sbi.h"

#include <k/assert.h>
#include <k/compiler.h>
#include <lib/fmt.h>

struct sbi_facts sbi_facts RO_AFTER_INIT;

struct sbi_result sbi_call(unsigned long extension, unsigned long function, unsigned long a0, unsigned long a1,
                           unsigned long a2)
{
    register unsigned long r0 __asm__("a0") = a0;
    register unsigned long r1 __asm__("a1") = a1;
    register unsigned long r2 __asm__("a2") = a2;
    register unsigned long r6 __asm__("a6") = function;
    register unsigned long r7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(r0), "+r"(r1) : "r"(r2), "r"(r6), "r"(r7) : "memory");
    return (struct sbi_result){ .error = (long)r0, .value = r1 };
}

/* A base function; 0 from a firmware older than SBI 0.2, which does not know the extension. */
static unsigned long base_get(unsigned long function, unsigned long argument)
{
    struct sbi_result result = sbi_call(SBI_EXT_BASE, function, argument, 0, 0);

    return result.error == 0 ? result.value : 0;
}

void sbi_init(void)
{
    unsigned long version = base_get(SBI_BASE_SPEC_VERSION, 0);

    sbi_facts = (struct sbi_facts){
        .spec_major = (unsigned)(version >> 24 & 0x7f), /* section 4.1 */
        .spec_minor = (unsigned)(version & 0xffffff),
        .impl_id = base_get(SBI_BASE_IMPL_ID, 0),
        .impl_version = base_get(SBI_BASE_IMPL_VERSION, 0),
        .has_time = base_get(SBI_BASE_PROBE, SBI_EXT_TIME) != 0,
        .has_ipi = base_get(SBI_BASE_PROBE, SBI_EXT_IPI) != 0,
        .has_hsm = base_get(SBI_BASE_PROBE, SBI_EXT_HSM) != 0,
        .has_rfence = base_get(SBI_BASE_PROBE, SBI_EXT_RFENCE) != 0,
        .has_srst = base_get(SBI_BASE_PROBE, SBI_EXT_SRST) != 0,
        .has_dbcn = base_get(SBI_BASE_PROBE, SBI_EXT_DBCN) != 0,
    };
}

void sbi_fence_instructions(void)
{
    struct sbi_result result;

    /* A base of all ones, or no mask at all: every hart (sections 3.1 and 5.6). */
    if (sbi_facts.has_rfence)
        result = sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 0, ~0ul, 0);
    else
        result = sbi_call(SBI_EXT_LEGACY_REMOTE_FENCE_I, 0, 0, 0, 0);
    ASSERT(result.error == 0);
}

void sbi_describe(char *to, size_t room)
{
    /* Section 4.9: the implementations that count major and minor in the upper and lower half of the version. */
    if (sbi_facts.impl_id == 1)
        fmt_print(to, room, "OpenSBI %lu.%lu", sbi_facts.impl_version >> 16, sbi_facts.impl_version & 0xffff);
    else
        fmt_print(to, room, "SBI %u.%u (implementation %lu, version 0x%lx)", sbi_facts.spec_major,
                  sbi_facts.spec_minor, sbi_facts.impl_id, sbi_facts.impl_version);
}
