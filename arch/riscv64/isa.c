/* SPDX-License-Identifier: MIT */
/*
 * Which extensions all harts in use share (device-tree binding riscv/extensions.yaml: the list riscv,isa-extensions, or
 * the older string riscv,isa), and the largest translation mode (riscv/cpus.yaml: mmu-type). No lock: written before
 * kmain().
 */
#include <hal/usermode.h>
#include <lib/string.h>
#include <parse/fdt.h>

#include "machine_priv.h"

static bool list_has(const struct fdt_property *list, const char *name)
{
    const char *at = (const char *)list->data;
    size_t left = list->bytes;

    while (left > 0) {
        size_t length = strnlen(at, left);

        if (length == left)
            return false; /* the last string has no end */
        if (strcmp(at, name) == 0)
            return true;
        at += length + 1;
        left -= length + 1;
    }
    return false;
}

/* "rv64imafdc_zicsr_sstc": single letters come first, up to the first of the multi-letter names, which start with z, s
 * or x and are separated by underscores. g stands for imafd and two more. */
static bool string_has_letter(const char *isa, char letter)
{
    if (strncmp(isa, "rv64", 4) != 0)
        return false;
    for (const char *c = isa + 4; *c != '\0' && strchr("_zsx", *c) == NULL; c++)
        if (*c == letter || (*c == 'g' && strchr("imafd", letter) != NULL))
            return true;
    return false;
}

static bool string_has_word(const char *isa, const char *word)
{
    size_t length = strlen(word);

    for (const char *c = strchr(isa, '_'); c != NULL; c = strchr(c, '_')) {
        c++;
        if (strncmp(c, word, length) == 0 && (c[length] == '_' || c[length] == '\0'))
            return true;
    }
    return false;
}

static bool hart_has(const struct fdt *fdt, fdt_node_t node, const char *name)
{
    struct fdt_property list;
    const char *isa = fdt_get_string(fdt, node, "riscv,isa");

    if (fdt_get_property(fdt, node, "riscv,isa-extensions", &list) == 0)
        return list_has(&list, name);
    if (isa == NULL)
        return false;
    return name[1] == '\0' ? string_has_letter(isa, name[0]) : string_has_word(isa, name);
}

/* Levels of the tables of a mode; one that is not known here does not limit. */
static unsigned levels_of(const char *mmu)
{
    if (strcmp(mmu, "riscv,sv39") == 0)
        return 3;
    return strcmp(mmu, "riscv,sv48") == 0 ? 4 : 5;
}

/* Linux, arch/riscv/include/uapi/asm/hwcap.h: a bit for each extension of one letter. */
struct hal_user_facts hal_user_facts RO_AFTER_INIT = { .platform = "riscv64" };

#define USER_EXTENSIONS "imafdcv"
#define VLENB_MAX 512u /* 16 KiB of state: what an object cache can hold */
#define HWCAP_OF(letter) (UINT64_C(1) << ((letter) - 'a'))

static uint64_t hwcap_of(const struct fdt *fdt, fdt_node_t hart)
{
    uint64_t hwcap = 0;

    for (const char *letter = USER_EXTENSIONS; *letter != '\0'; letter++) {
        const char name[2] = { *letter, '\0' };

        if (hart_has(fdt, hart, name))
            hwcap |= HWCAP_OF(*letter);
    }
    return hwcap;
}

/* That of the boot hart, which the others have to share: hal_cpu_init(). */
static void find_vectors(void)
{
    uint64_t vlenb = cpu_vlenb();

    if (vlenb <= VLENB_MAX)
        machine_facts.vlenb = vlenb;
    else
        boot_warn("vector registers of %lu bytes are too long: the vector unit stays off", (unsigned long)vlenb);
}

void isa_init(const struct fdt *fdt)
{
    unsigned levels = 5;
    fdt_node_t cpus = fdt_find_path(fdt, "/cpus");

    machine_facts.has_sstc = true;
    machine_facts.has_fpu = true;
    bool has_vector = true;
    hal_user_facts.hwcap = UINT64_MAX;
    for (fdt_node_t node = fdt_first_child(fdt, cpus); node != FDT_NODE_NONE; node = fdt_next_sibling(fdt, node)) {
        /* Harts that run no kernel (no MMU, disabled) do not count. */
        const char *mmu = fdt_get_string(fdt, node, "mmu-type");

        if (mmu == NULL || strcmp(mmu, "riscv,none") == 0 || !fdt_is_enabled(fdt, node))
            continue;
        levels = MIN(levels, levels_of(mmu));
        machine_facts.has_sstc &= hart_has(fdt, node, "sstc");
        machine_facts.has_fpu &= hart_has(fdt, node, "f") && hart_has(fdt, node, "d");
        has_vector &= hart_has(fdt, node, "v");
        hal_user_facts.hwcap &= hwcap_of(fdt, node);
    }
    if (!machine_facts.has_fpu) /* the kernel leaves it off for all */
        hal_user_facts.hwcap &= ~(HWCAP_OF('f') | HWCAP_OF('d'));
    if (has_vector && machine_facts.has_fpu)
        find_vectors();
    if (machine_facts.vlenb == 0)
        hal_user_facts.hwcap &= ~HWCAP_OF('v');
    mmu_take_levels(levels);
}
