/* SPDX-License-Identifier: MIT */
/* See elf_build.h. */
#include "elf_build.h"

#include <stdlib.h>
#include <string.h>

#include <k/errno.h>

static void put(struct elf_build *build, size_t at, uint64_t value, size_t width)
{
    if (at > sizeof(build->file) - width)
        abort();
    for (size_t i = 0; i < width; i++)
        build->file[at + i] = (uint8_t)(value >> (8 * i));
}

void elf_build_put16(struct elf_build *build, size_t at, uint16_t value)
{
    put(build, at, value, 2);
}

void elf_build_put32(struct elf_build *build, size_t at, uint32_t value)
{
    put(build, at, value, 4);
}

void elf_build_put64(struct elf_build *build, size_t at, uint64_t value)
{
    put(build, at, value, 8);
}

struct build_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, file_bytes, memory_bytes, align;
};

static void put_header(struct elf_build *build, unsigned index, const struct build_header *header)
{
    elf_build_put32(build, ELF_BUILD_FIELD(index, P_TYPE_AT), header->type);
    elf_build_put32(build, ELF_BUILD_FIELD(index, P_FLAGS_AT), header->flags);
    elf_build_put64(build, ELF_BUILD_FIELD(index, P_OFFSET_AT), header->offset);
    elf_build_put64(build, ELF_BUILD_FIELD(index, P_VADDR_AT), header->vaddr);
    elf_build_put64(build, ELF_BUILD_FIELD(index, P_FILESZ_AT), header->file_bytes);
    elf_build_put64(build, ELF_BUILD_FIELD(index, P_MEMSZ_AT), header->memory_bytes);
    elf_build_put64(build, ELF_BUILD_FIELD(index, P_ALIGN_AT), header->align);
}

void elf_build_program(struct elf_build *build, bool is_movable)
{
    static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    uint64_t base = is_movable ? 0 : BUILD_BASE;
    struct build_header headers[BUILD_HEADERS] = {
        [BUILD_STACK] = {.type = 0x6474e551, .flags = 6},
        [BUILD_TEXT] = {1, 5, 0, base, 0x1800, 0x1800, 0x1000},
        [BUILD_DATA] = {1, 6, 0x1f00, base + 0x2f00, 0x100, 0x1234, 0x1000},
        [BUILD_BSS] = {1, 6, 0x2345, base + 0x10010, 0, 0x2000, 0x10000},
        [BUILD_INTERP] = {is_movable ? 3 : 4, 4, 0x600, base + 0x600, sizeof(BUILD_INTERPRETER),
                          sizeof(BUILD_INTERPRETER), 1},
    };

    memset(build, 0, sizeof(*build));
    build->bytes = BUILD_FILE_BYTES;
    memcpy(build->file, ident, sizeof(ident));
    elf_build_put16(build, E_TYPE_AT, is_movable ? 3 : 2);
    elf_build_put16(build, E_MACHINE_AT, ELF_BUILD_MACHINE);
    elf_build_put32(build, E_VERSION_AT, 1);
    elf_build_put64(build, E_ENTRY_AT, base + 0x1000);
    elf_build_put64(build, E_PHOFF_AT, ELF_BUILD_HEADERS_AT);
    elf_build_put16(build, E_PHENTSIZE_AT, ELF_PROGRAM_HEADER_BYTES);
    elf_build_put16(build, E_PHNUM_AT, BUILD_HEADERS);
    for (unsigned i = 0; i < BUILD_HEADERS; i++)
        put_header(build, i, &headers[i]);
    memcpy(build->file + 0x600, BUILD_INTERPRETER, sizeof(BUILD_INTERPRETER));
}

int elf_build_read(void *arg, uint64_t offset, void *to, size_t bytes)
{
    const struct elf_build *build = arg;

    if (offset > build->bytes || bytes > build->bytes - offset)
        abort();
    memcpy(to, build->file + offset, bytes);
    return 0;
}
