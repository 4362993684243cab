/* SPDX-License-Identifier: MIT */
/* Power State Coordination Interface, 0.2 and later (Arm DEN 0022): CPUs on, the system off. Keeps no state of CPUs. */
#include <k/compiler.h>
#include <k/errno.h>
#include <lib/string.h>

#include "machine_priv.h"

#define PSCI_VERSION 0x84000000u
#define PSCI_CPU_OFF 0x84000002u
#define PSCI_CPU_ON 0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_SYSTEM_OFF 0x84000008u

#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_IS_OFF 1 /* PSCI_AFFINITY_INFO: this level is off */
#define PSCI_ALREADY_ON (-4)
#define PSCI_NOT_PRESENT (-7)
#define PSCI_INVALID_ADDRESS (-9)

enum psci_conduit { PSCI_NONE, PSCI_HVC, PSCI_SMC };

static RO_AFTER_INIT enum psci_conduit psci_conduit;

/* SMC Calling Convention (Arm DEN 0028): x0-x3 in, x0 out, x4-x17 may be lost. */
#define PSCI_CALL(instruction)                                                                                      \
    __asm__ volatile(instruction                                                                                    \
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)                                                       \
                     :                                                                                              \
                     : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",      \
                       "x16", "x17")

static int psci_call(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;

    if (psci_conduit == PSCI_HVC)
        PSCI_CALL("hvc #0");
    else
        PSCI_CALL("smc #0");
    return (int)x0;
}

void psci_discover(const struct fdt *fdt)
{
    fdt_node_t node = fdt_find_compatible(fdt, FDT_NODE_NONE, "arm,psci-1.0");

    if (node == FDT_NODE_NONE)
        node = fdt_find_compatible(fdt, FDT_NODE_NONE, "arm,psci-0.2");
    const char *method = node != FDT_NODE_NONE ? fdt_get_string(fdt, node, "method") : NULL;

    if (method != NULL && strcmp(method, "hvc") == 0)
        psci_conduit = PSCI_HVC;
    else if (method != NULL && strcmp(method, "smc") == 0)
        psci_conduit = PSCI_SMC;
}

unsigned psci_version(void)
{
    return psci_conduit != PSCI_NONE ? (unsigned)psci_call(PSCI_VERSION, 0, 0, 0) : 0;
}

int psci_cpu_on(uint64_t mpidr, paddr_t entry, uint64_t argument)
{
    if (psci_conduit == PSCI_NONE)
        return -ENODEV;
    switch (psci_call(PSCI_CPU_ON, mpidr, entry, argument)) {
    case 0:
        return 0;
    case PSCI_INVALID_PARAMETERS:
    case PSCI_INVALID_ADDRESS:
        return -EINVAL;
    case PSCI_ALREADY_ON:
        return -EAGAIN;
    case PSCI_NOT_PRESENT:
        return -ENODEV;
    default:
        return -EIO;
    }
}

int psci_cpu_is_off(uint64_t mpidr)
{
    if (psci_conduit == PSCI_NONE)
        return -ENODEV;
    return psci_call(PSCI_AFFINITY_INFO, mpidr, 0, 0) == PSCI_IS_OFF ? 0 : -EAGAIN;
}

void psci_cpu_off(void)
{
    if (psci_conduit != PSCI_NONE)
        (void)psci_call(PSCI_CPU_OFF, 0, 0, 0);
}

void psci_system_off(void)
{
    if (psci_conduit != PSCI_NONE)
        (void)psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
}
