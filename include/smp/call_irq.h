/* SPDX-License-Identifier: MIT */
/* For entry only: the target's half of a cross-CPU call. */
#pragma once

/* Context: irq, for IPI_CALL. */
void smp_call_handle_ipi(void);
