/* SPDX-License-Identifier: MIT */
/*
 * cpio archives, "newc" (cpio(5)): a header of hexadecimal digits, the name, the data, each padded to 4 bytes. Owns no
 * state, allocates nothing, no lock.
 */
#include <parse/cpio.h>

#include <lib/string.h>

#include <k/errno.h>

#define MAGIC_BYTES 6
#define FIELD_BYTES 8
#define FIELDS 13
#define HEADER_BYTES (MAGIC_BYTES + FIELDS * FIELD_BYTES)
#define ALIGNMENT 4
#define CPIO_MODE_MAX 0177777u

enum field {
    INO, MODE, UID, GID, LINK_COUNT, MTIME, BYTES, DEV_MAJOR, DEV_MINOR, RDEV_MAJOR, RDEV_MINOR, NAME_BYTES, CHECKSUM
};

static const char last_name[] = "TRAILER!!!";

void cpio_open(struct cpio *cpio, const void *data, size_t bytes)
{
    *cpio = (struct cpio){.data = data, .bytes = bytes};
}

static int refuse(struct cpio *cpio, size_t at, const char *reason)
{
    cpio->at = at;
    cpio->reason = reason;
    return -EINVAL;
}

/* What the bytes where a header should be are instead. */
static const char *name_format(const uint8_t *at, size_t bytes)
{
    static const struct {
        const char *magic;
        uint8_t magic_bytes;
        const char *reason;
    } formats[] = {
        {"\x1f\x8b", 2, "compressed with gzip: unpack it first"},
        {"\x28\xb5\x2f\xfd", 4, "compressed with zstd: unpack it first"},
        {"\xfd" "7zXZ", 5, "compressed with xz: unpack it first"},
        {"BZh", 3, "compressed with bzip2: unpack it first"},
        {"\x5d\0\0", 3, "compressed with lzma: unpack it first"},
        {"\x02\x21\x4c\x18", 4, "compressed with lz4: unpack it first"},
        {"\x89LZO", 4, "compressed with lzop: unpack it first"},
        {"070707", 6, "an old format of cpio (odc): write it as newc"},
        {"\xc7\x71", 2, "an old format of cpio (binary): write it as newc"},
        {"\x71\xc7", 2, "an old format of cpio (binary): write it as newc"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(formats); i++)
        if (bytes >= formats[i].magic_bytes && memcmp(at, formats[i].magic, formats[i].magic_bytes) == 0)
            return formats[i].reason;
    return "no cpio header";
}

static bool read_hex(const uint8_t *at, uint32_t *out)
{
    uint32_t number = 0;

    for (int i = 0; i < FIELD_BYTES; i++) {
        uint8_t c = at[i], lower = c | 0x20;

        if (c >= '0' && c <= '9')
            number = number << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            number = number << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    *out = number;
    return true;
}

/* The padding may be missing at the very end. */
static size_t align(const struct cpio *cpio, size_t at)
{
    size_t odd = at % ALIGNMENT;

    if (odd == 0 || cpio->bytes - at < ALIGNMENT - odd)
        return odd == 0 ? at : cpio->bytes;
    return at + ALIGNMENT - odd;
}

static int read_fields(struct cpio *cpio, uint32_t field[FIELDS], bool *out_has_checksum)
{
    const uint8_t *at = cpio->data + cpio->at;
    size_t left = cpio->bytes - cpio->at;

    if (left < MAGIC_BYTES || memcmp(at, "07070", MAGIC_BYTES - 1) != 0 ||
        (at[MAGIC_BYTES - 1] != '1' && at[MAGIC_BYTES - 1] != '2'))
        return refuse(cpio, cpio->at, name_format(at, left));
    if (left < HEADER_BYTES)
        return refuse(cpio, cpio->at, "a header that is cut off");
    *out_has_checksum = at[MAGIC_BYTES - 1] == '2';
    for (size_t i = 0; i < FIELDS; i++)
        if (!read_hex(at + MAGIC_BYTES + i * FIELD_BYTES, &field[i]))
            return refuse(cpio, cpio->at + MAGIC_BYTES + i * FIELD_BYTES, "a number that is none");
    return 0;
}

/* A name, and behind its NUL nothing but more of them: so writers bring the data to a boundary (gen_init_cpio -a). */
static bool ends_well(const char *name, size_t bytes)
{
    const char *end = memchr(name, '\0', bytes);

    if (end == NULL || end == name)
        return false;
    while (end < name + bytes && *end == '\0')
        end++;
    return end == name + bytes;
}

/* Name and data behind the header, and *out_next behind them. */
static int locate(struct cpio *cpio, const uint32_t field[FIELDS], struct cpio_entry *out, size_t *out_next)
{
    size_t name_at = cpio->at + HEADER_BYTES, data_at;
    uint32_t name_bytes = field[NAME_BYTES];

    if (name_bytes < 2 || name_bytes > CPIO_NAME_MAX)
        return refuse(cpio, cpio->at, "an entry with an empty name, or one that is too long");
    if (name_bytes > cpio->bytes - name_at)
        return refuse(cpio, cpio->at, "a name that is cut off");
    out->name = (const char *)cpio->data + name_at;
    if (!ends_well(out->name, name_bytes))
        return refuse(cpio, name_at, "a name that does not end where it should");
    data_at = align(cpio, name_at + name_bytes);
    if (field[BYTES] > cpio->bytes - data_at)
        return refuse(cpio, cpio->at, "data that is cut off");
    out->data = cpio->data + data_at;
    out->bytes = field[BYTES];
    *out_next = align(cpio, data_at + field[BYTES]);
    return 0;
}

static int check_link(struct cpio *cpio, const struct cpio_entry *entry)
{
    if (entry->bytes == 0 || entry->bytes >= CPIO_NAME_MAX)
        return refuse(cpio, cpio->at, "a symbolic link with an empty target, or one that is too long");
    if (memchr(entry->data, '\0', entry->bytes) != NULL)
        return refuse(cpio, cpio->at, "a symbolic link with a NUL in its target");
    return 0;
}

/* Whether a file's bytes have this sum. Other types have none in either format. */
static bool has_sum(const struct cpio_entry *entry, uint32_t expected)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < entry->bytes; i++)
        sum += entry->data[i];
    return sum == expected;
}

static int check_type(struct cpio *cpio, const struct cpio_entry *entry)
{
    if (entry->mode > CPIO_MODE_MAX)
        return refuse(cpio, cpio->at, "an entry of an unknown type");
    switch (entry->mode & CPIO_TYPE_MASK) {
    case CPIO_FILE:
        return 0;
    case CPIO_LINK:
        return check_link(cpio, entry);
    case CPIO_FOLDER:
    case CPIO_CHARACTER:
    case CPIO_BLOCK:
    case CPIO_FIFO:
    case CPIO_SOCKET:
        return entry->bytes == 0 ? 0 : refuse(cpio, cpio->at, "data of an entry whose type has none");
    default:
        return refuse(cpio, cpio->at, "an entry of an unknown type");
    }
}

static void fill(struct cpio_entry *out, const uint32_t field[FIELDS], size_t archive)
{
    out->mode = field[MODE];
    out->uid = field[UID];
    out->gid = field[GID];
    out->mtime_seconds = field[MTIME];
    out->link_count = field[LINK_COUNT];
    out->ino = field[INO];
    out->dev_major = field[DEV_MAJOR];
    out->dev_minor = field[DEV_MINOR];
    out->rdev_major = field[RDEV_MAJOR];
    out->rdev_minor = field[RDEV_MINOR];
    out->archive = archive;
}

/* Past the zeros behind an archive, to the next one. -ENOENT: there is none. */
static int find_archive(struct cpio *cpio)
{
    while (cpio->at < cpio->bytes && cpio->data[cpio->at] == 0)
        cpio->at++;
    if (cpio->at == cpio->bytes)
        return -ENOENT;
    if (cpio->at % ALIGNMENT != 0)
        return refuse(cpio, cpio->at, "an archive that begins at no multiple of 4");
    cpio->archive = cpio->at;
    cpio->is_inside = true;
    return 0;
}

/* One entry, the last of an archive too; then *out_is_last, and *out is not to be used. */
static int read_entry(struct cpio *cpio, struct cpio_entry *out, bool *out_is_last)
{
    uint32_t field[FIELDS];
    bool has_checksum;
    size_t next;
    int err;

    if (cpio->at == cpio->bytes)
        return refuse(cpio, cpio->at, "an archive without its last entry, TRAILER!!!");
    err = read_fields(cpio, field, &has_checksum);
    if (err == 0)
        err = locate(cpio, field, out, &next);
    if (err != 0)
        return err;
    *out_is_last = strcmp(out->name, last_name) == 0;
    fill(out, field, cpio->archive);
    err = *out_is_last ? 0 : check_type(cpio, out);
    if (err != 0)
        return err;
    if (has_checksum && !*out_is_last && (out->mode & CPIO_TYPE_MASK) == CPIO_FILE && !has_sum(out, field[CHECKSUM]))
        return refuse(cpio, cpio->at, "data with a wrong checksum");
    cpio->at = next;
    return 0;
}

int cpio_next(struct cpio *cpio, struct cpio_entry *out)
{
    bool is_last = true;
    int err = cpio->reason != NULL ? -EINVAL : 0;

    while (err == 0 && is_last) {
        if (!cpio->is_inside)
            err = find_archive(cpio);
        if (err == 0)
            err = read_entry(cpio, out, &is_last);
        if (err == 0 && is_last)
            cpio->is_inside = false;
    }
    return err;
}
