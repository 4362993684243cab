/* SPDX-License-Identifier: MIT */
/* A task that looks at all its registers while timer interrupts take it off whatever CPU it is on. */
#pragma once

#include "kit.h"

void roam_init(void); /* CPU 0, once */
unsigned roam_rounds(void);

/* Run it on this CPU until the next timer interrupt. Job of a CPU; interrupts disabled. */
void roam_on(struct kit_cpu *self, void *unused);
