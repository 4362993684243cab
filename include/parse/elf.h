/* SPDX-License-Identifier: MIT */
/*
 * ELF programs of 64 bits, least significant byte first (System V ABI, chapters 4 and 5; elf(5)): untrusted bytes in,
 * checked facts out. A file is read through the caller's function, in small pieces, header and program headers only.
 * Nothing is allocated, nothing is kept. Context: task, if read() may sleep, else any.
 *
 * What is refused is refused whole, with -ENOEXEC and a sentence: there is no partly read program.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

#define ELF_HEADERS_MAX 128     /* program headers looked at; real programs have about ten */
#define ELF_SEGMENTS_MAX 32     /* of them, loaded ones; real programs have two to five */
#define ELF_INTERPRETER_BYTES 256 /* with the NUL; "/lib64/ld-linux-x86-64.so.2" is a long one */

struct elf_source {
    /* Copy all of [offset, offset + bytes) or return a negative errno, which elf_read() passes on. The range is inside
     * the file. */
    int (*read)(void *arg, uint64_t offset, void *to, size_t bytes);
    void *arg;
    uint64_t bytes; /* of the file */
};

/* What the machine takes. */
struct elf_limits {
    uint16_t machine;    /* e_machine */
    vaddr_t user_start;  /* lowest address that a program may ask for, page aligned */
    vaddr_t user_end;    /* first that it may not, page aligned */
};

enum elf_rights { ELF_EXECUTE = 1, ELF_WRITE = 2, ELF_READ = 4 }; /* p_flags */

/* Pages to map: start, bytes and file_offset are multiples of PAGE_BYTES. */
struct elf_segment {
    vaddr_t start;        /* for a movable program, relative to where it will be */
    size_t bytes;         /* > 0 */
    uint64_t file_offset; /* of what belongs at start; meaningful if file_bytes > 0 */
    size_t file_bytes;    /* so many come from the file, all of them inside it */
    size_t zero_bytes;    /* so many behind them are zero; behind those, the last page may have anything */
    unsigned rights;      /* enum elf_rights; may be none */
};

enum elf_stack { ELF_STACK_UNSAID, ELF_STACK_DATA, ELF_STACK_EXECUTABLE }; /* PT_GNU_STACK */

struct elf_file {
    bool is_movable;       /* ET_DYN: add a multiple of `alignment` to every address below */
    uint32_t flags;        /* e_flags */
    vaddr_t entry;         /* inside an executable segment */
    vaddr_t headers;       /* the program headers in memory (AT_PHDR), or 0: no segment has all of them */
    unsigned header_count; /* AT_PHNUM */
    size_t alignment;      /* largest p_align of a segment, a power of two, at least PAGE_BYTES */
    vaddr_t start, end;    /* all segments, whole pages */
    vaddr_t memory_end;    /* the end of the highest segment to the byte: where brk begins */
    enum elf_stack stack;
    bool has_interpreter;
    char interpreter[ELF_INTERPRETER_BYTES]; /* PT_INTERP */
    unsigned segment_count;
    struct elf_segment segment[ELF_SEGMENTS_MAX]; /* ascending; no two share a page */
};

#define ELF_HEADER_BYTES 64
#define ELF_PROGRAM_HEADER_BYTES 56

/*
 * Read and check a program. 0; -ENOEXEC: not one for this machine, or damaged; anything else is read()'s. After an
 * error *out holds nothing, and *out_reason (out_reason may be NULL) points to a constant sentence.
 */
int elf_read(const struct elf_source *source, const struct elf_limits *limits, struct elf_file *out,
             const char **out_reason) MUST_USE;
