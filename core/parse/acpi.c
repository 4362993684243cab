/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.5, chapter 5). All reads go through the caller's map() or stay inside a table that
 * acpi_find_table() has measured and summed. Owns no state, interprets no AML, no lock: the tables must not change.
 */
#include <parse/acpi.h>

#include <lib/string.h>

#include <k/errno.h>

#define RSDP_BYTES_V1 20 /* 5.2.5.3 */
#define RSDP_BYTES_V2 36
#define RSDP_BYTES_MAX 4096
#define RSDP_STEP 16 /* 5.2.5.1 */

#define HEADER_BYTES 36 /* 5.2.6 */
#define SIGNATURE_BYTES 4

/* Bounds of the work that a damaged table can cause. The largest tables of real firmware, DSDTs, are below 1 MiB, and
 * root tables list less than a hundred others. */
#define TABLE_BYTES_MAX (16u << 20)
#define ROOT_ENTRIES_MAX 1024u

/* Generic address structure, 5.2.3.2. */
#define GAS_BYTES 12
#define GAS_SPACE_MEMORY 0
#define GAS_SPACE_IO 1
#define IO_PORT_MAX 0xffffu

static uint16_t read_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t read_le32(const uint8_t *at)
{
    return read_le16(at) | (uint32_t)read_le16(at + 2) << 16;
}

static uint64_t read_le64(const uint8_t *at)
{
    return read_le32(at) | (uint64_t)read_le32(at + 4) << 32;
}

/* All bytes of a table add up to zero. */
static bool sum_is_zero(const uint8_t *data, uint32_t bytes)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + data[i]);
    return sum == 0;
}

static const uint8_t *map(const struct acpi_source *source, paddr_t pa, uint32_t bytes)
{
    if (pa == 0 || pa + bytes < pa)
        return NULL;
    return source->map(source->arg, pa, bytes);
}

/* Map a table whole: signature, length and checksum. -EFAULT, -ENOENT (another signature), -EINVAL. */
static int open_table(const struct acpi_source *source, paddr_t pa, const char *signature, struct acpi_table *out)
{
    const uint8_t *data = map(source, pa, HEADER_BYTES);
    uint32_t bytes;

    if (data == NULL)
        return -EFAULT;
    if (memcmp(data, signature, SIGNATURE_BYTES) != 0)
        return -ENOENT;
    bytes = read_le32(data + 4);
    if (bytes < HEADER_BYTES || bytes > TABLE_BYTES_MAX)
        return -EINVAL;
    data = map(source, pa, bytes);
    if (data == NULL)
        return -EFAULT;
    if (!sum_is_zero(data, bytes))
        return -EINVAL;
    *out = (struct acpi_table){.data = data, .bytes = bytes, .pa = pa};
    return 0;
}

/* The part that revision 2 added: a length, the XSDT and a second checksum. *out_root stays 0 if it names no XSDT. */
static int read_rsdp_v2(const struct acpi_source *source, paddr_t rsdp, paddr_t *out_root)
{
    const uint8_t *data = map(source, rsdp, RSDP_BYTES_V2);
    uint32_t bytes;

    if (data == NULL)
        return -EFAULT;
    bytes = read_le32(data + 20);
    if (bytes < RSDP_BYTES_V2 || bytes > RSDP_BYTES_MAX)
        return -EINVAL;
    data = map(source, rsdp, bytes);
    if (data == NULL)
        return -EFAULT;
    if (!sum_is_zero(data, bytes))
        return -EINVAL;
    *out_root = read_le64(data + 24);
    return 0;
}

static int check_rsdp(const uint8_t *data)
{
    if (memcmp(data, "RSD PTR ", 8) != 0)
        return -ENOENT;
    return sum_is_zero(data, RSDP_BYTES_V1) ? 0 : -EINVAL;
}

int acpi_open(struct acpi *acpi, const struct acpi_source *source, paddr_t rsdp)
{
    const uint8_t *data = map(source, rsdp, RSDP_BYTES_V1);
    struct acpi_table root;
    int error;

    if (data == NULL)
        return -EFAULT;
    error = check_rsdp(data);
    if (error != 0)
        return error;
    *acpi = (struct acpi){.source = *source};
    if (data[15] >= 2) {
        paddr_t rsdt = read_le32(data + 16);

        error = read_rsdp_v2(source, rsdp, &acpi->root);
        if (error != 0)
            return error;
        acpi->root_is_xsdt = acpi->root != 0;
        if (!acpi->root_is_xsdt)
            acpi->root = rsdt;
    } else {
        acpi->root = read_le32(data + 16);
    }
    error = open_table(source, acpi->root, acpi->root_is_xsdt ? "XSDT" : "RSDT", &root);
    if (error != 0)
        return error;
    acpi->table_count = (root.bytes - HEADER_BYTES) / (acpi->root_is_xsdt ? 8 : 4);
    return acpi->table_count <= ROOT_ENTRIES_MAX ? 0 : -EINVAL;
}

int acpi_find_rsdp(const struct acpi_source *source, paddr_t from, paddr_t to, paddr_t *out)
{
    paddr_t pa = ROUND_UP(from, RSDP_STEP);

    if (pa < from)
        return -ENOENT;
    for (; pa < to && to - pa >= RSDP_BYTES_V1; pa += RSDP_STEP) {
        const uint8_t *data = map(source, pa, RSDP_BYTES_V1);

        if (data != NULL && check_rsdp(data) == 0) {
            *out = pa;
            return 0;
        }
    }
    return -ENOENT;
}

int acpi_find_table(const struct acpi *acpi, const char *signature, struct acpi_table *out)
{
    uint32_t entry_bytes = acpi->root_is_xsdt ? 8 : 4;

    for (unsigned i = 0; i < acpi->table_count; i++) {
        paddr_t entry_pa = acpi->root + HEADER_BYTES + (paddr_t)i * entry_bytes;
        const uint8_t *entry = map(&acpi->source, entry_pa, entry_bytes);

        if (entry == NULL)
            return -ENOENT;
        if (open_table(&acpi->source, acpi->root_is_xsdt ? read_le64(entry) : read_le32(entry), signature, out) == 0)
            return 0;
    }
    return -ENOENT;
}

/* MADT, 5.2.12. */
#define MADT_RECORDS 44
#define MADT_FLAG_PCAT 1u
#define MADT_LOCAL_APIC 0
#define MADT_IOAPIC 1
#define MADT_OVERRIDE 2
#define MADT_LOCAL_APIC_ADDRESS 5
#define MADT_LOCAL_X2APIC 9
#define MADT_CPU_ENABLED 1u
#define MADT_CPU_ONLINE_CAPABLE 2u
#define MADT_APIC_ID_NONE 0xffu /* in 8 bits it addresses all CPUs at once: firmware marks unused entries with it */

/* Firmware may list a CPU in both forms; two entries must not become two CPUs. */
static void madt_add_cpu(struct acpi_madt *madt, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
    bool enabled = (flags & MADT_CPU_ENABLED) != 0;

    if ((flags & (MADT_CPU_ENABLED | MADT_CPU_ONLINE_CAPABLE)) == 0)
        return;
    for (unsigned i = 0; i < madt->cpu_count; i++) {
        if (madt->cpu[i].apic_id == apic_id) {
            madt->cpu[i].enabled |= enabled;
            return;
        }
    }
    madt->cpu_listed++;
    if (madt->cpu_count < ACPI_MADT_CPUS_MAX) {
        madt->cpu[madt->cpu_count].apic_id = apic_id;
        madt->cpu[madt->cpu_count].uid = uid;
        madt->cpu[madt->cpu_count].enabled = enabled;
        madt->cpu_count++;
    }
}

static void madt_add_ioapic(struct acpi_madt *madt, const uint8_t *record)
{
    unsigned i = madt->ioapic_count;

    if (i == ACPI_MADT_IOAPICS_MAX)
        return; /* interrupts behind it stay unreachable, the machine still comes up */
    madt->ioapic[i].id = record[2];
    madt->ioapic[i].address = read_le32(record + 4);
    madt->ioapic[i].gsi_base = read_le32(record + 8);
    madt->ioapic_count++;
}

static void madt_add_override(struct acpi_madt *madt, const uint8_t *record)
{
    unsigned i = madt->override_count;

    if (i == ACPI_MADT_OVERRIDES_MAX || record[2] != 0)
        return; /* bus 0 is ISA, the only one defined; it has 16 sources */
    madt->override[i].source = record[3];
    madt->override[i].gsi = read_le32(record + 4);
    madt->override[i].flags = read_le16(record + 8);
    madt->override_count++;
}

/* The least length of a record whose fields are read. */
static uint8_t madt_record_bytes(uint8_t type)
{
    switch (type) {
    case MADT_LOCAL_APIC:
        return 8;
    case MADT_IOAPIC:
    case MADT_LOCAL_APIC_ADDRESS:
        return 12;
    case MADT_OVERRIDE:
        return 10;
    case MADT_LOCAL_X2APIC:
        return 16;
    default:
        return 2;
    }
}

static void madt_add_record(struct acpi_madt *madt, const uint8_t *record)
{
    switch (record[0]) {
    case MADT_LOCAL_APIC:
        if (record[3] != MADT_APIC_ID_NONE)
            madt_add_cpu(madt, record[3], record[2], read_le32(record + 4));
        break;
    case MADT_LOCAL_X2APIC:
        if (read_le32(record + 4) != UINT32_MAX)
            madt_add_cpu(madt, read_le32(record + 4), read_le32(record + 12), read_le32(record + 8));
        break;
    case MADT_IOAPIC:
        madt_add_ioapic(madt, record);
        break;
    case MADT_OVERRIDE:
        madt_add_override(madt, record);
        break;
    case MADT_LOCAL_APIC_ADDRESS:
        madt->local_apic = read_le64(record + 4);
        break;
    default:
        break;
    }
}

int acpi_parse_madt(const struct acpi_table *table, struct acpi_madt *out)
{
    uint32_t offset = MADT_RECORDS;

    if (table->bytes < MADT_RECORDS || memcmp(table->data, "APIC", SIGNATURE_BYTES) != 0)
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    out->local_apic = read_le32(table->data + 36);
    out->has_pcat = (read_le32(table->data + 40) & MADT_FLAG_PCAT) != 0;
    while (offset < table->bytes) {
        const uint8_t *record = table->data + offset;
        uint32_t left = table->bytes - offset;

        if (left < 2 || record[1] > left || record[1] < madt_record_bytes(record[0]))
            return -EINVAL;
        madt_add_record(out, record);
        offset += record[1];
    }
    return 0;
}

/* IA-PC HPET specification 1.0a, 3.2.4: the base is a generic address at 40. */
#define HPET_BASE 40
#define HPET_BYTES 56

int acpi_parse_hpet(const struct acpi_table *table, paddr_t *out_base)
{
    const uint8_t *gas;

    if (table->bytes < HPET_BYTES || memcmp(table->data, "HPET", SIGNATURE_BYTES) != 0)
        return -EINVAL;
    gas = table->data + HPET_BASE;
    if (gas[0] != GAS_SPACE_MEMORY || read_le64(gas + 4) == 0)
        return -EINVAL;
    *out_base = read_le64(gas + 4);
    return 0;
}

/* FADT, 5.2.9. ACPI 1.0's ends behind the flags; the X_ fields are there if the length says so. */
#define FADT_BYTES_V1 116
#define FADT_DSDT 40
#define FADT_PM1A_CONTROL 64
#define FADT_PM_TIMER 76
#define FADT_PM_TIMER_BYTES 91
#define FADT_RTC_CENTURY 108
#define FADT_BOOT_FLAGS 109
#define FADT_FLAGS 112
#define FADT_X_DSDT 140
#define FADT_X_PM1A_CONTROL 172
#define FADT_X_PM_TIMER 208
#define FADT_FLAG_TIMER_32BIT (1u << 8)
#define FADT_FLAG_HW_REDUCED (1u << 20)
#define FADT_BOOT_FLAG_NO_RTC (1u << 5)

/* An I/O port: the X_ field if there is one and it names a port, else the 32-bit field; 0 if neither does. */
static uint32_t fadt_port(const struct acpi_table *table, uint32_t field, uint32_t x_field)
{
    uint64_t port = read_le32(table->data + field);

    if (table->bytes >= x_field + GAS_BYTES) {
        const uint8_t *gas = table->data + x_field;

        if (gas[0] == GAS_SPACE_IO && read_le64(gas + 4) != 0)
            port = read_le64(gas + 4);
    }
    return port <= IO_PORT_MAX ? (uint32_t)port : 0;
}

int acpi_parse_fadt(const struct acpi_table *table, struct acpi_fadt *out)
{
    uint32_t flags;

    if (table->bytes < FADT_BYTES_V1 || memcmp(table->data, "FACP", SIGNATURE_BYTES) != 0)
        return -EINVAL;
    flags = read_le32(table->data + FADT_FLAGS);
    *out = (struct acpi_fadt){
        .pm_timer_is_32bit = (flags & FADT_FLAG_TIMER_32BIT) != 0,
        .dsdt = read_le32(table->data + FADT_DSDT),
        .rtc_century = table->data[FADT_RTC_CENTURY],
        .has_no_rtc = (table->data[FADT_BOOT_FLAGS] & FADT_BOOT_FLAG_NO_RTC) != 0,
    };
    if (table->bytes >= FADT_X_DSDT + 8 && read_le64(table->data + FADT_X_DSDT) != 0)
        out->dsdt = read_le64(table->data + FADT_X_DSDT);
    if ((flags & FADT_FLAG_HW_REDUCED) != 0)
        return 0; /* such a machine has none of these registers (4.1) */
    out->pm1a_control_port = fadt_port(table, FADT_PM1A_CONTROL, FADT_X_PM1A_CONTROL);
    if (table->data[FADT_PM_TIMER_BYTES] == 4)
        out->pm_timer_port = fadt_port(table, FADT_PM_TIMER, FADT_X_PM_TIMER);
    return 0;
}
