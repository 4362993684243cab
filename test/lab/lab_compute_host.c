/* SPDX-License-Identifier: MIT */
/* Computing on the simulated machine: time passes, and nothing happens. */
#include <host/machine.h>

#include "lab.h"

void lab_compute(uint64_t ns)
{
    host_compute(ns);
}
