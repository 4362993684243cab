/* SPDX-License-Identifier: MIT */
/* Writes ELF programs for tests, and damages them field by field. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <parse/elf.h>

#define ELF_BUILD_BYTES 0x3000
#define ELF_BUILD_MACHINE 62
#define ELF_BUILD_HEADERS_AT 64

/* Offsets of fields, for damage: of the file header and, with ELF_BUILD_FIELD(), of a program header. */
enum {
    E_TYPE_AT = 16, E_MACHINE_AT = 18, E_VERSION_AT = 20, E_ENTRY_AT = 24, E_PHOFF_AT = 32, E_PHENTSIZE_AT = 54,
    E_PHNUM_AT = 56,
    P_TYPE_AT = 0, P_FLAGS_AT = 4, P_OFFSET_AT = 8, P_VADDR_AT = 16, P_FILESZ_AT = 32, P_MEMSZ_AT = 40, P_ALIGN_AT = 48,
};
#define ELF_BUILD_FIELD(index, field) (ELF_BUILD_HEADERS_AT + (size_t)(index) * ELF_PROGRAM_HEADER_BYTES + (field))

/* The program headers of the built program, by index. */
enum { BUILD_STACK, BUILD_TEXT, BUILD_DATA, BUILD_BSS, BUILD_INTERP, BUILD_HEADERS };

#define BUILD_FILE_BYTES 0x2000
#define BUILD_BASE 0x400000u
#define BUILD_INTERPRETER "/lib/ld.so"

struct elf_build {
    uint8_t file[ELF_BUILD_BYTES];
    size_t bytes;
};

/* A program of three segments: text with the headers in it, data with some zeros behind, and zeros only. A movable one
 * begins at 0 and has an interpreter; the other begins at BUILD_BASE, and BUILD_INTERP is a note. */
void elf_build_program(struct elf_build *build, bool is_movable);

void elf_build_put16(struct elf_build *build, size_t at, uint16_t value);
void elf_build_put32(struct elf_build *build, size_t at, uint32_t value);
void elf_build_put64(struct elf_build *build, size_t at, uint64_t value);

/* For struct elf_source: arg is the struct elf_build. Fails the program if a range outside of `bytes` is asked for. */
int elf_build_read(void *arg, uint64_t offset, void *to, size_t bytes);
