/* SPDX-License-Identifier: MIT */
/*
 * Leaving the machine: SiFive's test device, which carries an exit code out of a simulator; else the firmware's system
 * reset. No lock: it does not come back.
 */
#include <hal/cpu.h>
#include <shared/boot_fdt.h>

#include "machine_priv.h"
#include "sbi.h"

#define TEST_PASS 0x5555u
#define TEST_FAIL 0x3333u /* with the code in the upper half */

static volatile uint32_t *test_device RO_AFTER_INIT;

void exit_init(const struct fdt *fdt, struct boot_info *boot)
{
    fdt_node_t node = fdt_find_compatible(fdt, FDT_NODE_NONE, "sifive,test0");
    uint64_t base;
    uint64_t bytes;

    if (node == FDT_NODE_NONE || fdt_get_reg(fdt, node, 0, &base, &bytes) != 0)
        return;
    if (bytes >= sizeof(*test_device) && direct_map_covers(base, bytes) && boot_add_device(boot, base, bytes) == 0)
        test_device = direct_map(base);
}

void hal_machine_exit(int code)
{
    /* What arrives outside is one byte, and a failure must not become 0 there. */
    uint32_t byte = (uint32_t)code & 0xff;

    if (code != 0 && byte == 0)
        byte = 1;
    hal_irq_disable();
    if (test_device != NULL) {
        *test_device = byte == 0 ? TEST_PASS : byte << 16 | TEST_FAIL;
        hal_cpu_park(); /* it may take effect a little later; a second request would replace the code */
    }
    if (sbi_facts.has_srst)
        sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, 0, code != 0, 0); /* shutdown; no reason, or system failure */
    sbi_call(SBI_EXT_LEGACY_SHUTDOWN, 0, 0, 0, 0);
    hal_cpu_park();
}
