/* SPDX-License-Identifier: MIT */
/* ACPI's tree of processors and their caches: PPTT (ACPI 6.5, 5.2.30). Every reference in it is an offset from the
 * table's start that may be anything: it is followed only to a whole record of the right type inside the table, and
 * only so many steps. Owns no state, no lock. */
#include <parse/acpi.h>

#include <lib/string.h>

#include <k/errno.h>

#define SIGNATURE_BYTES 4
#define HEADER_REVISION 8
#define RECORDS 36
#define REVISION_WITH_LEAVES 2 /* ACPI 6.3 */

#define TYPE_PROCESSOR 0
#define PROCESSOR_FLAGS 4
#define PROCESSOR_PARENT 8
#define PROCESSOR_UID 12
#define PROCESSOR_RESOURCES 16
#define PROCESSOR_BYTES 20
#define PROCESSOR_HAS_UID (1u << 1)
#define PROCESSOR_IS_THREAD (1u << 2)
#define PROCESSOR_IS_LEAF (1u << 3)

#define TYPE_CACHE 1
#define CACHE_FLAGS 4
#define CACHE_NEXT 8
#define CACHE_ATTRIBUTES 21
#define CACHE_BYTES 24
#define CACHE_HAS_TYPE (1u << 4)
#define CACHE_TYPE_SHIFT 2
#define CACHE_TYPE_INSTRUCTION 1u

#define STEPS_MAX 16 /* from a CPU to the root, and from a cache to the last: more is a circle, or damage */

static uint32_t read_le32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The record at this offset; NULL: there is no whole one of this type. */
static const uint8_t *record_at(const struct acpi_table *table, uint32_t offset, uint8_t type)
{
    uint32_t least = type == TYPE_PROCESSOR ? PROCESSOR_BYTES : CACHE_BYTES;

    if (offset < RECORDS || offset > table->bytes || table->bytes - offset < least)
        return NULL;
    const uint8_t *record = table->data + offset;

    if (record[0] != type || record[1] < least || record[1] > table->bytes - offset)
        return NULL;
    if (type == TYPE_PROCESSOR && read_le32(record + PROCESSOR_RESOURCES) > (record[1] - least) / 4)
        return NULL;
    return record;
}

/* Does the chain of caches that begins here hold data? 1: yes; 0: no, or it is no cache; -EINVAL. */
static int holds_data(const struct acpi_table *table, uint32_t offset)
{
    const uint8_t *cache = record_at(table, offset, TYPE_CACHE);

    if (cache == NULL) /* vendors' resources are of other types: there must be a record, which is all we know */
        return offset >= RECORDS && offset < table->bytes && table->data[offset] != TYPE_CACHE ? 0 : -EINVAL;
    for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
        unsigned type = cache[CACHE_ATTRIBUTES] >> CACHE_TYPE_SHIFT & 3;

        if ((read_le32(cache + CACHE_FLAGS) & CACHE_HAS_TYPE) == 0 || type != CACHE_TYPE_INSTRUCTION)
            return 1;
        uint32_t next = read_le32(cache + CACHE_NEXT);

        if (next == 0)
            return 0;
        cache = record_at(table, next, TYPE_CACHE);
        if (cache == NULL)
            return -EINVAL;
    }
    return -EINVAL;
}

/* Does this node of the tree have a cache for data of its own? 1, 0, -EINVAL. */
static int has_cache(const struct acpi_table *table, const uint8_t *processor)
{
    uint32_t count = read_le32(processor + PROCESSOR_RESOURCES);
    int found = 0;

    for (uint32_t i = 0; i < count && found == 0; i++)
        found = holds_data(table, read_le32(processor + PROCESSOR_BYTES + 4 * i));
    return found;
}

/* A node's resources are private to what is below it, and not shared with the next node that happens to list the
 * same record: so what shares a cache is the node, and what shares the last one the node nearest to the root that has
 * any. */
static int add_leaf(const struct acpi_table *table, uint32_t offset, struct acpi_pptt *out)
{
    const uint8_t *processor = table->data + offset;
    uint32_t uid = read_le32(processor + PROCESSOR_UID);
    bool is_thread = (read_le32(processor + PROCESSOR_FLAGS) & PROCESSOR_IS_THREAD) != 0;
    uint32_t at = offset;
    uint32_t core = offset;
    uint32_t cache = 0;

    for (unsigned steps = 0; at != 0; steps++) {
        processor = record_at(table, at, TYPE_PROCESSOR);
        if (processor == NULL || steps == STEPS_MAX)
            return -EINVAL;
        if (steps == 1 && is_thread)
            core = at;
        int found = has_cache(table, processor);

        if (found < 0)
            return found;
        if (found != 0)
            cache = at;
        at = read_le32(processor + PROCESSOR_PARENT);
    }
    if (out->cpu_count == ACPI_PPTT_CPUS_MAX)
        return 0;
    out->cpu[out->cpu_count].uid = uid;
    out->cpu[out->cpu_count].core = core;
    out->cpu[out->cpu_count].cache = cache == offset ? core : cache; /* a thread's own: its core is the least group */
    out->cpu_count++;
    return 0;
}

static int add_record(const struct acpi_table *table, uint32_t offset, struct acpi_pptt *out)
{
    const uint32_t wanted = PROCESSOR_HAS_UID | PROCESSOR_IS_LEAF;
    const uint8_t *record = table->data + offset;
    uint32_t left = table->bytes - offset;

    if (left < 2 || record[1] < 2 || record[1] > left)
        return -EINVAL;
    if (record[0] > TYPE_CACHE)
        return 0;
    if (record_at(table, offset, record[0]) == NULL)
        return -EINVAL;
    if (record[0] == TYPE_PROCESSOR && (read_le32(record + PROCESSOR_FLAGS) & wanted) == wanted)
        return add_leaf(table, offset, out);
    return 0;
}

int acpi_parse_pptt(const struct acpi_table *table, struct acpi_pptt *out)
{
    uint32_t offset = RECORDS;
    int error = 0;

    out->cpu_count = 0;
    if (table->bytes < RECORDS || memcmp(table->data, "PPTT", SIGNATURE_BYTES) != 0)
        return -EINVAL;
    if (table->data[HEADER_REVISION] < REVISION_WITH_LEAVES)
        return -ENOENT;
    while (error == 0 && offset < table->bytes) {
        error = add_record(table, offset, out);
        if (error == 0) /* else there may be no length */
            offset += table->data[offset + 1];
    }
    if (error == 0 && out->cpu_count == 0)
        error = -ENOENT;
    if (error != 0)
        out->cpu_count = 0;
    return error;
}
