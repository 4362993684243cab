/* SPDX-License-Identifier: MIT */
/* Damaged programs: core/parse/elf.c refuses them with a reason, or what it tells can be mapped as it says. */
#include "fuzz.h"

#include <string.h>

#include <parse/elf.h>

#include <k/errno.h>

#include "elf_build.h"

#define ROUND (PAGE_BYTES - 1)

static const struct elf_limits limits = {
    .machine = ELF_BUILD_MACHINE, .user_start = 0x10000, .user_end = UINT64_C(1) << 46,
};

struct bytes {
    const uint8_t *data;
    size_t bytes;
};

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    struct elf_build build;

    elf_build_program(&build, fuzz_random_below(random, 2) != 0);
    memcpy(to, build.file, build.bytes);
    return build.bytes;
}

/* Most damage goes where the facts are. */
static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    if (bytes > ELF_BUILD_FIELD(BUILD_HEADERS, 0) && fuzz_random_below(random, 2) != 0) {
        size_t at = ELF_BUILD_HEADERS_AT +
                    fuzz_random_below(random, ELF_BUILD_FIELD(BUILD_HEADERS, 0) - ELF_BUILD_HEADERS_AT);

        data[at] = (uint8_t)fuzz_random_next(random);
    }
    return bytes;
}

static int read_bytes(void *arg, uint64_t offset, void *to, size_t count)
{
    const struct bytes *file = arg;

    FUZZ_CHECK(offset <= file->bytes && count <= file->bytes - offset);
    memcpy(to, file->data + offset, count);
    return 0;
}

static void check_segment(const struct elf_file *file, const struct elf_segment *segment, vaddr_t free_from,
                          size_t file_bytes)
{
    FUZZ_CHECK(segment->start >= free_from);
    FUZZ_CHECK((segment->start & ROUND) == 0 && (segment->bytes & ROUND) == 0 && segment->bytes > 0);
    FUZZ_CHECK(segment->file_bytes <= segment->bytes && segment->zero_bytes <= segment->bytes - segment->file_bytes);
    FUZZ_CHECK(segment->bytes - segment->file_bytes - segment->zero_bytes < PAGE_BYTES);
    FUZZ_CHECK(segment->file_bytes == 0 || (segment->file_offset & ROUND) == 0);
    FUZZ_CHECK(segment->file_bytes == 0 || segment->file_offset + segment->file_bytes <= file_bytes);
    FUZZ_CHECK(segment->rights <= 7);
    FUZZ_CHECK(segment->start >= file->start && segment->start + segment->bytes <= file->end);
}

static void check_file(const struct elf_file *file, size_t file_bytes)
{
    vaddr_t free_from = file->is_movable ? 0 : limits.user_start, headers_end;
    bool entry = false, headers = file->headers == 0;

    headers_end = file->headers + file->header_count * (vaddr_t)ELF_PROGRAM_HEADER_BYTES;
    FUZZ_CHECK(file->segment_count > 0 && file->segment_count <= ELF_SEGMENTS_MAX);
    for (unsigned i = 0; i < file->segment_count; i++) {
        const struct elf_segment *segment = &file->segment[i];
        vaddr_t end = segment->start + segment->bytes;

        check_segment(file, segment, free_from, file_bytes);
        free_from = end;
        entry |= (segment->rights & ELF_EXECUTE) != 0 && file->entry >= segment->start && file->entry < end;
        headers |= file->headers >= segment->start && headers_end <= segment->start + segment->file_bytes;
    }
    FUZZ_CHECK(entry && headers);
    FUZZ_CHECK(file->start == file->segment[0].start && file->end == free_from);
    FUZZ_CHECK(file->memory_end <= file->end && file->memory_end > file->end - PAGE_BYTES);
    FUZZ_CHECK(file->end - (file->is_movable ? 0 : file->start) <= limits.user_end);
    FUZZ_CHECK(file->alignment >= PAGE_BYTES && (file->alignment & (file->alignment - 1)) == 0);
    FUZZ_CHECK(memchr(file->interpreter, '\0', sizeof(file->interpreter)) != NULL);
    FUZZ_CHECK(file->has_interpreter == (file->interpreter[0] != '\0'));
}

static bool run(const uint8_t *data, size_t bytes)
{
    struct bytes all = {data, bytes};
    struct elf_source source = {.read = read_bytes, .arg = &all, .bytes = bytes};
    const char *reason = NULL;
    struct elf_file file;
    int err;

    memset(&file, 0xff, sizeof(file));
    err = elf_read(&source, &limits, &file, &reason);
    FUZZ_CHECK(err == 0 || (err == -ENOEXEC && reason != NULL && file.segment_count == 0));
    if (err == 0)
        check_file(&file, bytes);
    return err == 0;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "elf", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
