/* SPDX-License-Identifier: MIT */
/*
 * ELF programs (System V ABI, chapters 4 and 5): the header, then one pass over the program headers, in which each
 * loaded segment is checked against the file, the user's half and the segment before it; then what only the whole can
 * tell: entry, place of the headers. Section headers are not looked at. Owns no state, allocates nothing, no lock.
 */
#include <parse/elf.h>

#include <lib/string.h>

#include <k/errno.h>

/* Offsets in the file header. */
#define E_CLASS 4
#define E_DATA 5
#define E_IDENT_VERSION 6
#define E_TYPE 16
#define E_MACHINE 18
#define E_VERSION 20
#define E_ENTRY 24
#define E_PHOFF 32
#define E_FLAGS 48
#define E_PHENTSIZE 54
#define E_PHNUM 56

#define CLASS_64 2
#define DATA_LSB 1
#define VERSION_CURRENT 1
#define TYPE_EXEC 2
#define TYPE_DYN 3

/* Offsets in a program header. */
#define P_TYPE 0
#define P_FLAGS 4
#define P_OFFSET 8
#define P_VADDR 16
#define P_FILESZ 32
#define P_MEMSZ 40
#define P_ALIGN 48

#define TYPE_LOAD 1u
#define TYPE_INTERP 3u
#define TYPE_GNU_STACK 0x6474e551u

#define RIGHTS_ALL (ELF_READ | ELF_WRITE | ELF_EXECUTE)
#define BATCH 8 /* program headers per read: a read of a file costs more than the bytes */

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, file_bytes, memory_bytes, align;
};

struct reading {
    const struct elf_source *source;
    const struct elf_limits *limits;
    struct elf_file *out;
    uint64_t headers_offset; /* in the file */
    const char *reason;
};

static uint32_t read_le32(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static uint16_t read_le16(const uint8_t *at)
{
    return (uint16_t)(at[1] << 8 | at[0]);
}

static uint64_t read_le64(const uint8_t *at)
{
    return (uint64_t)read_le32(at + 4) << 32 | read_le32(at);
}

static int refuse(struct reading *reading, const char *reason)
{
    reading->reason = reason;
    return -ENOEXEC;
}

/* Whether [offset, offset + bytes) is inside the file. */
static bool is_in_file(const struct reading *reading, uint64_t offset, uint64_t bytes)
{
    return offset <= reading->source->bytes && bytes <= reading->source->bytes - offset;
}

static int fetch(struct reading *reading, uint64_t offset, void *to, size_t bytes)
{
    int err = reading->source->read(reading->source->arg, offset, to, bytes);

    if (err != 0)
        reading->reason = "the file cannot be read";
    return err;
}

static int check_ident(struct reading *reading, const uint8_t *header)
{
    if (memcmp(header, "\177ELF", 4) != 0)
        return refuse(reading, "not an ELF file");
    if (header[E_CLASS] != CLASS_64)
        return refuse(reading, "not a program of 64 bits");
    if (header[E_DATA] != DATA_LSB)
        return refuse(reading, "not in this machine's order of bytes");
    if (header[E_IDENT_VERSION] != VERSION_CURRENT || read_le32(header + E_VERSION) != VERSION_CURRENT)
        return refuse(reading, "an unknown version of ELF");
    if (read_le16(header + E_MACHINE) != reading->limits->machine)
        return refuse(reading, "a program for another machine");
    return 0;
}

static int read_header(struct reading *reading)
{
    uint8_t header[ELF_HEADER_BYTES];
    struct elf_file *out = reading->out;
    uint16_t type;
    int err;

    if (!is_in_file(reading, 0, sizeof(header)))
        return refuse(reading, "shorter than an ELF header");
    err = fetch(reading, 0, header, sizeof(header));
    if (err == 0)
        err = check_ident(reading, header);
    if (err != 0)
        return err;
    type = read_le16(header + E_TYPE);
    if (type != TYPE_EXEC && type != TYPE_DYN)
        return refuse(reading, "an ELF file, but not a program");
    out->is_movable = type == TYPE_DYN;
    out->entry = read_le64(header + E_ENTRY);
    out->flags = read_le32(header + E_FLAGS);
    out->header_count = read_le16(header + E_PHNUM);
    reading->headers_offset = read_le64(header + E_PHOFF);
    if (read_le16(header + E_PHENTSIZE) != ELF_PROGRAM_HEADER_BYTES)
        return refuse(reading, "program headers of an unknown size");
    if (out->header_count == 0)
        return refuse(reading, "no program headers");
    if (out->header_count > ELF_HEADERS_MAX)
        return refuse(reading, "too many program headers");
    if (!is_in_file(reading, reading->headers_offset, out->header_count * (uint64_t)ELF_PROGRAM_HEADER_BYTES))
        return refuse(reading, "program headers outside of the file");
    return 0;
}

static struct program_header decode(const uint8_t *at)
{
    return (struct program_header){
        .type = read_le32(at + P_TYPE),
        .flags = read_le32(at + P_FLAGS),
        .offset = read_le64(at + P_OFFSET),
        .vaddr = read_le64(at + P_VADDR),
        .file_bytes = read_le64(at + P_FILESZ),
        .memory_bytes = read_le64(at + P_MEMSZ),
        .align = read_le64(at + P_ALIGN),
    };
}

/* A movable program may lie anywhere that it fits; what its addresses are relative to is not known yet. */
static bool is_in_user_half(const struct reading *reading, uint64_t start, uint64_t end)
{
    const struct elf_limits *limits = reading->limits;

    if (reading->out->is_movable)
        return end <= limits->user_end - limits->user_start;
    return start >= limits->user_start && end <= limits->user_end;
}

static int check_placement(struct reading *reading, const struct program_header *header)
{
    const struct elf_file *out = reading->out;
    uint64_t end;

    if (header->file_bytes > header->memory_bytes)
        return refuse(reading, "a segment has more bytes in the file than in memory");
    if (header->file_bytes > 0 && !is_in_file(reading, header->offset, header->file_bytes))
        return refuse(reading, "a segment outside of the file");
    if (__builtin_add_overflow(header->vaddr, header->memory_bytes, &end) || end > UINT64_MAX - (PAGE_BYTES - 1))
        return refuse(reading, "a segment beyond the end of the address space");
    if (!is_in_user_half(reading, header->vaddr, ROUND_UP(end, PAGE_BYTES)))
        return refuse(reading, "a segment outside of a user's addresses");
    if ((header->align & (header->align - 1)) != 0)
        return refuse(reading, "an alignment that is no power of two");
    if (header->align > reading->limits->user_end)
        return refuse(reading, "an alignment larger than a user's addresses");
    /* Files are mapped by pages: a byte keeps its place in its page. */
    if (header->file_bytes > 0 && (header->vaddr - header->offset) % PAGE_BYTES != 0)
        return refuse(reading, "a segment that is misaligned in the file");
    if (out->segment_count > 0 && header->vaddr < out->segment[out->segment_count - 1].start)
        return refuse(reading, "segments that are not in ascending order");
    if (out->segment_count > 0 && ROUND_DOWN(header->vaddr, PAGE_BYTES) < out->end)
        return refuse(reading, "segments that overlap");
    return 0;
}

static int add_segment(struct reading *reading, const struct program_header *header)
{
    size_t lead = header->vaddr % PAGE_BYTES; /* mapped before the segment's first byte */
    struct elf_file *out = reading->out;
    struct elf_segment *segment;
    int err;

    if (header->memory_bytes == 0 && header->file_bytes == 0)
        return 0;
    err = check_placement(reading, header);
    if (err != 0)
        return err;
    if (out->segment_count == ELF_SEGMENTS_MAX)
        return refuse(reading, "too many segments");
    segment = &out->segment[out->segment_count++];
    *segment = (struct elf_segment){
        .start = header->vaddr - lead,
        .bytes = ROUND_UP(lead + header->memory_bytes, PAGE_BYTES),
        .rights = header->flags & RIGHTS_ALL,
        .zero_bytes = header->memory_bytes - header->file_bytes,
    };
    if (header->file_bytes > 0) {
        segment->file_offset = header->offset - lead;
        segment->file_bytes = lead + header->file_bytes;
    } else {
        segment->zero_bytes += lead; /* nothing of the file: the page begins with zeros, too */
    }
    if (out->segment_count == 1)
        out->start = segment->start;
    out->end = segment->start + segment->bytes;
    out->memory_end = header->vaddr + header->memory_bytes;
    out->alignment = MAX(out->alignment, header->align);
    if (out->headers == 0 && reading->headers_offset >= header->offset) {
        uint64_t skipped = reading->headers_offset - header->offset;

        if (skipped < header->file_bytes &&
            header->file_bytes - skipped >= out->header_count * (uint64_t)ELF_PROGRAM_HEADER_BYTES)
            out->headers = header->vaddr + skipped;
    }
    return 0;
}

static int read_interpreter(struct reading *reading, const struct program_header *header)
{
    struct elf_file *out = reading->out;
    int err;

    if (out->has_interpreter)
        return refuse(reading, "two interpreters");
    if (header->file_bytes < 2)
        return refuse(reading, "an interpreter without a name");
    if (header->file_bytes > sizeof(out->interpreter))
        return refuse(reading, "an interpreter with too long a name");
    if (!is_in_file(reading, header->offset, header->file_bytes))
        return refuse(reading, "an interpreter's name outside of the file");
    err = fetch(reading, header->offset, out->interpreter, header->file_bytes);
    if (err != 0)
        return err;
    if (out->interpreter[header->file_bytes - 1] != '\0')
        return refuse(reading, "an interpreter's name without an end");
    if (out->interpreter[0] == '\0')
        return refuse(reading, "an interpreter without a name");
    out->has_interpreter = true;
    return 0;
}

static int take_header(struct reading *reading, const struct program_header *header)
{
    switch (header->type) {
    case TYPE_LOAD:
        return add_segment(reading, header);
    case TYPE_INTERP:
        return read_interpreter(reading, header);
    case TYPE_GNU_STACK:
        reading->out->stack = (header->flags & ELF_EXECUTE) != 0 ? ELF_STACK_EXECUTABLE : ELF_STACK_DATA;
        return 0;
    default: /* notes, properties, thread-local storage: the program's own business */
        return 0;
    }
}

static int read_program_headers(struct reading *reading)
{
    uint8_t batch[BATCH * ELF_PROGRAM_HEADER_BYTES];
    unsigned count = reading->out->header_count;

    for (unsigned done = 0; done < count; done += BATCH) {
        unsigned some = MIN(BATCH, count - done);
        int err = fetch(reading, reading->headers_offset + done * (uint64_t)ELF_PROGRAM_HEADER_BYTES, batch,
                        some * (size_t)ELF_PROGRAM_HEADER_BYTES);

        for (unsigned i = 0; err == 0 && i < some; i++) {
            struct program_header header = decode(batch + i * (size_t)ELF_PROGRAM_HEADER_BYTES);

            err = take_header(reading, &header);
        }
        if (err != 0)
            return err;
    }
    return 0;
}

/* What is mapped, zeros and the rest of the last page included, is the program's to jump to. */
static bool is_executable(const struct elf_file *file, vaddr_t at)
{
    for (unsigned i = 0; i < file->segment_count; i++) {
        const struct elf_segment *segment = &file->segment[i];

        if (at >= segment->start && at - segment->start < segment->bytes)
            return (segment->rights & ELF_EXECUTE) != 0;
    }
    return false;
}

int elf_read(const struct elf_source *source, const struct elf_limits *limits, struct elf_file *out,
             const char **out_reason)
{
    struct reading reading = {.source = source, .limits = limits, .out = out};
    int err;

    memset(out, 0, sizeof(*out));
    out->alignment = PAGE_BYTES;
    err = read_header(&reading);
    if (err == 0)
        err = read_program_headers(&reading);
    if (err == 0 && out->segment_count == 0)
        err = refuse(&reading, "nothing to load");
    if (err == 0 && !is_executable(out, out->entry))
        err = refuse(&reading, "an entry that is in no executable segment");
    if (err == 0)
        return 0;
    memset(out, 0, sizeof(*out));
    if (out_reason != NULL)
        *out_reason = reading.reason;
    return err;
}
