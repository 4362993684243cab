/* SPDX-License-Identifier: MIT */
/*
 * The timer of harts without Sstc: SBI TIME. Its interrupt is silenced by masking it in sie, which is cheaper than a
 * second call. No lock: everything here is this hart's own, interrupts disabled.
 */
#include <hal/clock.h>

#include "machine_priv.h"
#include "sbi.h"

void timer_arm_sbi(uint64_t deadline_ticks)
{
    /* The call also clears a pending timer interrupt (SBI, section 6.1): unmasking it afterwards is safe. */
    sbi_call(SBI_EXT_TIME, SBI_TIME_SET, deadline_ticks, 0, 0);
    csr_set(sie, SIE_STIE);
}

void timer_acknowledge(void)
{
    if (machine_facts.has_sstc)
        csr_write(CSR_STIMECMP, TIME_NEVER);
    else
        csr_clear(sie, SIE_STIE);
}
