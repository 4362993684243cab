/* SPDX-License-Identifier: MIT */
/* Which CPUs share their last cache, as ACPI's PPTT or a device tree says. Owns scratch space of the boot CPU. */
#include <shared/boot_caches.h>

#include <k/errno.h>
#include <parse/acpi.h>

static uint32_t core_of(const struct boot_info *boot, cpu_id_t id)
{
    return boot->has_places ? boot->cpu_place[id].core : id;
}

/* NULL, or what is wrong. */
static const char *judge(const struct boot_info *boot, const uint32_t cache[])
{
    bool is_shared = false;

    for (cpu_id_t a = 0; a < boot->cpu_count; a++) {
        if (cache[a] == 0)
            return "it leaves CPUs out";
        for (cpu_id_t b = 0; b < a; b++) {
            bool is_one_core = core_of(boot, a) == core_of(boot, b);

            if (is_one_core && cache[a] != cache[b])
                return "it takes cores apart";
            is_shared |= !is_one_core && cache[a] == cache[b];
        }
    }
    return is_shared || boot->cpu_count == 1 ? NULL : "it tells of no cache that cores share";
}

void boot_take_caches(struct boot_info *boot, const char *source, const uint32_t cache[])
{
    boot->cache_wanted = source;
    boot->cache_problem = judge(boot, cache);
    if (boot->cache_problem != NULL)
        return;
    for (cpu_id_t id = 0; id < boot->cpu_count; id++) {
        boot->cpu_place[id].core = core_of(boot, id);
        boot->cpu_place[id].cache = cache[id];
    }
    boot->has_places = true;
    boot->cache_source = source;
}

/* The number of the CPU with this processor UID, or CPU_NONE: one that is not used. */
static cpu_id_t cpu_by_uid(const struct boot_info *boot, const struct acpi_madt *madt, uint32_t uid)
{
    for (unsigned i = 0; i < madt->cpu_count; i++)
        for (cpu_id_t id = 0; madt->cpu[i].uid == uid && id < boot->cpu_count; id++)
            if (boot->cpu_hw_id[id] == madt->cpu[i].apic_id)
                return id;
    return CPU_NONE;
}

void boot_take_pptt(struct boot_info *boot, const struct acpi_madt *madt, const struct acpi_table *table)
{
    static struct acpi_pptt pptt;
    static uint32_t cache[CPU_MAX];
    int error = table != NULL ? acpi_parse_pptt(table, &pptt) : 0;

    boot->cache_wanted = "PPTT";
    boot->cache_problem = table == NULL ? "there is none" : error == -EINVAL ? "it is damaged" : "it lists no CPU";
    if (table == NULL || error != 0)
        return;
    for (cpu_id_t id = 0; id < boot->cpu_count; id++)
        cache[id] = 0;
    for (unsigned i = 0; i < pptt.cpu_count; i++) {
        cpu_id_t id = cpu_by_uid(boot, madt, pptt.cpu[i].uid);

        if (id != CPU_NONE)
            cache[id] = pptt.cpu[i].cache;
    }
    boot_take_caches(boot, "PPTT", cache);
}
