/* SPDX-License-Identifier: MIT */
/* Tests of core/parse/elf.c: a built program, each damage with its reason, and this very program as it was linked. */
#define _GNU_SOURCE
#include "unit.h"

#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <parse/elf.h>

#include <k/errno.h>

#include "elf_build.h"

static const struct elf_limits limits = {
    .machine = ELF_BUILD_MACHINE, .user_start = 0x10000, .user_end = UINT64_C(1) << 46,
};

static struct elf_build build;
static struct elf_file file;

static int read_build(const char **out_reason)
{
    struct elf_source source = {.read = elf_build_read, .arg = &build, .bytes = build.bytes};

    memset(&file, 0xa5, sizeof(file));
    return elf_read(&source, &limits, &file, out_reason);
}

/* The damaged program is refused for this reason, and nothing of it is left in *out. */
static void expect_refused(const char *expected)
{
    static const struct elf_file nothing;
    const char *reason = NULL;

    assert_int_equal(read_build(&reason), -ENOEXEC);
    assert_string_equal(reason, expected);
    assert_memory_equal(&file, &nothing, sizeof(file));
}

static void expect_segment(unsigned index, const struct elf_segment *expected)
{
    const struct elf_segment *segment = &file.segment[index];

    assert_true(index < file.segment_count);
    assert_int_equal(segment->start, expected->start);
    assert_int_equal(segment->bytes, expected->bytes);
    assert_int_equal(segment->file_offset, expected->file_offset);
    assert_int_equal(segment->file_bytes, expected->file_bytes);
    assert_int_equal(segment->zero_bytes, expected->zero_bytes);
    assert_int_equal(segment->rights, expected->rights);
}

static void expect_program(vaddr_t base)
{
    assert_int_equal(read_build(NULL), 0);
    assert_int_equal(file.entry, base + 0x1000);
    assert_int_equal(file.headers, base + ELF_BUILD_HEADERS_AT);
    assert_int_equal(file.header_count, BUILD_HEADERS);
    assert_int_equal(file.alignment, 0x10000);
    assert_int_equal(file.start, base);
    assert_int_equal(file.end, base + 0x13000);
    assert_int_equal(file.memory_end, base + 0x12010);
    assert_int_equal(file.stack, ELF_STACK_DATA);
    assert_int_equal(file.segment_count, 3);
    expect_segment(0, &(struct elf_segment){base, 0x2000, 0, 0x1800, 0, ELF_READ | ELF_EXECUTE});
    /* 0x2f00..0x4134: mapped from the page's start, the file's part from offset 0x1000. */
    expect_segment(1, &(struct elf_segment){base + 0x2000, 0x3000, 0x1000, 0x1000, 0x1134, ELF_READ | ELF_WRITE});
    /* Zeros only: what the file offset says does not matter. */
    expect_segment(2, &(struct elf_segment){base + 0x10000, 0x3000, 0, 0, 0x2010, ELF_READ | ELF_WRITE});
}

static void a_program_with_fixed_addresses_is_read(void **state)
{
    (void)state;
    elf_build_program(&build, false);
    expect_program(BUILD_BASE);
    assert_false(file.is_movable);
    assert_false(file.has_interpreter);
    assert_string_equal(file.interpreter, "");
}

static void a_movable_program_is_read_relative_to_nothing(void **state)
{
    (void)state;
    elf_build_program(&build, true);
    expect_program(0);
    assert_true(file.is_movable);
    assert_true(file.has_interpreter);
    assert_string_equal(file.interpreter, BUILD_INTERPRETER);
}

struct damage {
    size_t at;
    unsigned width;
    uint64_t value;
    const char *reason;
};

#define TEXT(field) ELF_BUILD_FIELD(BUILD_TEXT, field)
#define DATA(field) ELF_BUILD_FIELD(BUILD_DATA, field)
#define BSS(field) ELF_BUILD_FIELD(BUILD_BSS, field)
#define INTERP(field) ELF_BUILD_FIELD(BUILD_INTERP, field)

#define OUTSIDE "a segment outside of a user's addresses"
#define BEYOND "a segment beyond the end of the address space"

static const struct damage damages[] = {
    {0, 1, 0x7e, "not an ELF file"},
    {4, 1, 1, "not a program of 64 bits"},
    {5, 1, 2, "not in this machine's order of bytes"},
    {6, 1, 2, "an unknown version of ELF"},
    {E_VERSION_AT, 4, 0, "an unknown version of ELF"},
    {E_MACHINE_AT, 2, ELF_BUILD_MACHINE + 1, "a program for another machine"},
    {E_TYPE_AT, 2, 1, "an ELF file, but not a program"},
    {E_TYPE_AT, 2, 4, "an ELF file, but not a program"},
    {E_PHENTSIZE_AT, 2, 57, "program headers of an unknown size"},
    {E_PHNUM_AT, 2, 0, "no program headers"},
    {E_PHNUM_AT, 2, ELF_HEADERS_MAX + 1, "too many program headers"},
    {E_PHNUM_AT, 2, 0xffff, "too many program headers"},
    {E_PHOFF_AT, 8, BUILD_FILE_BYTES - 5 * ELF_PROGRAM_HEADER_BYTES + 1, "program headers outside of the file"},
    {E_PHOFF_AT, 8, UINT64_MAX - 8, "program headers outside of the file"},
    {E_ENTRY_AT, 8, BUILD_BASE - 1, "an entry that is in no executable segment"},
    {E_ENTRY_AT, 8, BUILD_BASE + 0x2f00, "an entry that is in no executable segment"},
    {E_ENTRY_AT, 8, BUILD_BASE + 0x2000, "an entry that is in no executable segment"},
    {E_ENTRY_AT, 8, UINT64_MAX, "an entry that is in no executable segment"},
    {TEXT(P_FLAGS_AT), 4, ELF_READ, "an entry that is in no executable segment"},
    {TEXT(P_FILESZ_AT), 8, 0x1801, "a segment has more bytes in the file than in memory"},
    {BSS(P_MEMSZ_AT), 8, UINT64_MAX, BEYOND},
    {BSS(P_VADDR_AT), 8, UINT64_MAX - 0x2100, BEYOND},
    {DATA(P_OFFSET_AT), 8, UINT64_MAX - 0x100, "a segment outside of the file"},
    {DATA(P_OFFSET_AT), 8, 0x1f01, "a segment outside of the file"},
    {DATA(P_VADDR_AT), 8, BUILD_BASE + 0x2f10, "a segment that is misaligned in the file"},
    {DATA(P_ALIGN_AT), 8, 0x1800, "an alignment that is no power of two"},
    {DATA(P_ALIGN_AT), 8, UINT64_C(1) << 47, "an alignment larger than a user's addresses"},
    {BSS(P_VADDR_AT), 8, (UINT64_C(1) << 46) - 0x1fff, OUTSIDE},
    {BSS(P_VADDR_AT), 8, UINT64_C(0xffffffff80000000), OUTSIDE},
    {TEXT(P_VADDR_AT), 8, 0xf000, OUTSIDE},
    {TEXT(P_VADDR_AT), 8, 0, OUTSIDE},
    {TEXT(P_VADDR_AT), 8, BUILD_BASE + 0x3000, "segments that are not in ascending order"},
    {BSS(P_VADDR_AT), 8, 0x20000, "segments that are not in ascending order"},
    {DATA(P_VADDR_AT), 8, BUILD_BASE + 0x1f00, "segments that overlap"},
    {BSS(P_VADDR_AT), 8, BUILD_BASE + 0x4fff, "segments that overlap"},
    {DATA(P_MEMSZ_AT), 8, 0xe000, "segments that overlap"},
};

static void each_damage_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        elf_build_program(&build, false);
        for (unsigned byte = 0; byte < damages[i].width; byte++)
            build.file[damages[i].at + byte] = (uint8_t)(damages[i].value >> (8 * byte));
        expect_refused(damages[i].reason);
    }
}

static const struct damage movable_damages[] = {
    {INTERP(P_FILESZ_AT), 8, 0, "an interpreter without a name"},
    {INTERP(P_FILESZ_AT), 8, 1, "an interpreter without a name"},
    {INTERP(P_FILESZ_AT), 8, sizeof(BUILD_INTERPRETER) - 1, "an interpreter's name without an end"},
    {INTERP(P_FILESZ_AT), 8, ELF_INTERPRETER_BYTES + 1, "an interpreter with too long a name"},
    {INTERP(P_FILESZ_AT), 8, UINT64_MAX, "an interpreter with too long a name"},
    {INTERP(P_OFFSET_AT), 8, BUILD_FILE_BYTES - 2, "an interpreter's name outside of the file"},
    {INTERP(P_OFFSET_AT), 8, UINT64_MAX, "an interpreter's name outside of the file"},
    {INTERP(P_OFFSET_AT), 8, 0x700, "an interpreter without a name"},
    {ELF_BUILD_FIELD(BUILD_STACK, P_TYPE_AT), 4, 3, "an interpreter without a name"},
    {BSS(P_VADDR_AT), 8, (UINT64_C(1) << 46) - 0x10000 - 0x1000, OUTSIDE},
    {BSS(P_VADDR_AT), 8, UINT64_MAX - 0x2100, BEYOND},
    {BSS(P_VADDR_AT), 8, UINT64_C(1) << 63, OUTSIDE},
    {E_ENTRY_AT, 8, 0x14000, "an entry that is in no executable segment"},
};

static void each_damage_of_a_movable_program_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(movable_damages) / sizeof(movable_damages[0]); i++) {
        elf_build_program(&build, true);
        for (unsigned byte = 0; byte < movable_damages[i].width; byte++)
            build.file[movable_damages[i].at + byte] = (uint8_t)(movable_damages[i].value >> (8 * byte));
        expect_refused(movable_damages[i].reason);
    }
}

static void a_second_interpreter_is_refused(void **state)
{
    (void)state;
    elf_build_program(&build, true);
    memcpy(build.file + ELF_BUILD_FIELD(BUILD_STACK, 0), build.file + INTERP(0), ELF_PROGRAM_HEADER_BYTES);
    expect_refused("two interpreters");
}

static void a_program_without_loaded_segments_is_refused(void **state)
{
    (void)state;
    elf_build_program(&build, false);
    elf_build_put16(&build, E_PHNUM_AT, 1);
    expect_refused("nothing to load");
    /* Segments without a byte are none. */
    elf_build_program(&build, false);
    for (unsigned i = BUILD_TEXT; i <= BUILD_BSS; i++) {
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_FILESZ_AT), 0);
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_MEMSZ_AT), 0);
    }
    expect_refused("nothing to load");
}

/* `count` segments of one page each, and as many headers. */
static void build_segments(unsigned count)
{
    elf_build_program(&build, false);
    build.bytes = sizeof(build.file);
    elf_build_put16(&build, E_PHNUM_AT, (uint16_t)count);
    elf_build_put64(&build, E_ENTRY_AT, BUILD_BASE);
    for (unsigned i = 0; i < count; i++) {
        elf_build_put32(&build, ELF_BUILD_FIELD(i, P_TYPE_AT), 1);
        elf_build_put32(&build, ELF_BUILD_FIELD(i, P_FLAGS_AT), ELF_EXECUTE);
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_OFFSET_AT), 0);
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_VADDR_AT), BUILD_BASE + i * PAGE_BYTES);
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_FILESZ_AT), 0);
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_MEMSZ_AT), 1);
        elf_build_put64(&build, ELF_BUILD_FIELD(i, P_ALIGN_AT), 1);
    }
}

static void as_many_segments_as_there_is_room_for_are_read_and_one_more_is_not(void **state)
{
    (void)state;
    build_segments(ELF_SEGMENTS_MAX);
    assert_int_equal(read_build(NULL), 0);
    assert_int_equal(file.segment_count, ELF_SEGMENTS_MAX);
    assert_int_equal(file.end, BUILD_BASE + ELF_SEGMENTS_MAX * PAGE_BYTES);
    assert_int_equal(file.headers, 0); /* no byte of the file is in memory */
    build_segments(ELF_SEGMENTS_MAX + 1);
    expect_refused("too many segments");
    /* The last header that is looked at. */
    build_segments(ELF_SEGMENTS_MAX);
    elf_build_put16(&build, E_PHNUM_AT, ELF_HEADERS_MAX);
    elf_build_put32(&build, ELF_BUILD_FIELD(ELF_HEADERS_MAX - 1, P_TYPE_AT), 0x6474e551);
    elf_build_put32(&build, ELF_BUILD_FIELD(ELF_HEADERS_MAX - 1, P_FLAGS_AT), ELF_EXECUTE);
    assert_int_equal(read_build(NULL), 0);
    assert_int_equal(file.stack, ELF_STACK_EXECUTABLE);
}

static void program_headers_that_are_half_in_memory_have_no_address(void **state)
{
    (void)state;
    elf_build_program(&build, false);
    elf_build_put64(&build, TEXT(P_FILESZ_AT), ELF_BUILD_FIELD(BUILD_HEADERS, 0) - 1);
    assert_int_equal(read_build(NULL), 0);
    assert_int_equal(file.headers, 0);
    elf_build_put64(&build, TEXT(P_FILESZ_AT), ELF_BUILD_FIELD(BUILD_HEADERS, 0));
    assert_int_equal(read_build(NULL), 0);
    assert_int_equal(file.headers, BUILD_BASE + ELF_BUILD_HEADERS_AT);
}

static void a_program_that_says_nothing_of_its_stack_is_told_apart(void **state)
{
    (void)state;
    elf_build_program(&build, false);
    elf_build_put32(&build, ELF_BUILD_FIELD(BUILD_STACK, P_TYPE_AT), 0x6474e552);
    assert_int_equal(read_build(NULL), 0);
    assert_int_equal(file.stack, ELF_STACK_UNSAID);
}

/* Wherever the file ends, no byte behind the end is asked for, and only the whole one is taken. */
static void a_file_that_is_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < BUILD_FILE_BYTES; bytes += bytes < 0x700 ? 1 : 0x33) {
        elf_build_program(&build, true);
        build.bytes = bytes;
        assert_int_equal(read_build(NULL), -ENOEXEC);
    }
}

static int fails_at;

static int read_until_failure(void *arg, uint64_t offset, void *to, size_t bytes)
{
    if (fails_at-- == 0)
        return -EIO;
    return elf_build_read(arg, offset, to, bytes);
}

static void an_error_of_the_reader_is_passed_on(void **state)
{
    struct elf_source source = {.read = read_until_failure, .arg = &build};
    int good = 0;

    (void)state;
    elf_build_program(&build, true);
    source.bytes = build.bytes;
    for (;; good++) {
        const char *reason = NULL;

        fails_at = good;
        if (elf_read(&source, &limits, &file, &reason) == 0)
            break;
        assert_string_equal(reason, "the file cannot be read");
        assert_int_equal(file.segment_count, 0);
        fails_at = good;
        assert_int_equal(elf_read(&source, &limits, &file, NULL), -EIO);
    }
    assert_int_equal(good, 3); /* header, program headers, interpreter */
}

static int read_descriptor(void *arg, uint64_t offset, void *to, size_t bytes)
{
    return pread(*(int *)arg, to, bytes, (off_t)offset) == (ssize_t)bytes ? 0 : -EIO;
}

/* The dynamic linker's view of the program itself: the first that it reports. */
static int compare_with_loaded(struct dl_phdr_info *info, size_t size, void *arg)
{
    unsigned count = 0;

    (void)size;
    (void)arg;
    assert_int_equal(info->dlpi_phnum, file.header_count);
    assert_ptr_equal((void *)(info->dlpi_addr + file.headers), info->dlpi_phdr);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const struct elf_segment *segment = &file.segment[count];

        if (header->p_type != PT_LOAD)
            continue;
        assert_int_equal(segment->start, header->p_vaddr / PAGE_BYTES * PAGE_BYTES);
        assert_int_equal(segment->rights, header->p_flags);
        assert_int_equal(segment->start + segment->file_bytes, header->p_vaddr + header->p_filesz);
        assert_int_equal(segment->zero_bytes, header->p_memsz - header->p_filesz);
        assert_int_equal(segment->file_offset % PAGE_BYTES, 0);
        count++;
    }
    assert_int_equal(count, file.segment_count);
    return 1;
}

static void this_program_is_read_as_its_loader_did(void **state)
{
    int descriptor = open("/proc/self/exe", O_RDONLY);
    struct elf_source source = {.read = read_descriptor, .arg = &descriptor};
    struct elf_limits any = limits;
    const char *reason = "none";
    ElfW(Ehdr) header;
    struct stat status;

    (void)state;
    assert_true(descriptor >= 0);
    assert_int_equal(fstat(descriptor, &status), 0);
    assert_int_equal(read_descriptor(&descriptor, 0, &header, sizeof(header)), 0);
    source.bytes = (uint64_t)status.st_size;
    any.machine = header.e_machine;
    if (elf_read(&source, &any, &file, &reason) != 0)
        fail_msg("refused: %s", reason);
    assert_int_equal(file.is_movable, header.e_type == ET_DYN);
    dl_iterate_phdr(compare_with_loaded, NULL);
    assert_int_equal(file.entry + (getauxval(AT_PHDR) - file.headers), getauxval(AT_ENTRY));
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_with_fixed_addresses_is_read),
        cmocka_unit_test(a_movable_program_is_read_relative_to_nothing),
        cmocka_unit_test(each_damage_is_refused_with_its_reason),
        cmocka_unit_test(each_damage_of_a_movable_program_is_refused_with_its_reason),
        cmocka_unit_test(a_second_interpreter_is_refused),
        cmocka_unit_test(a_program_without_loaded_segments_is_refused),
        cmocka_unit_test(as_many_segments_as_there_is_room_for_are_read_and_one_more_is_not),
        cmocka_unit_test(program_headers_that_are_half_in_memory_have_no_address),
        cmocka_unit_test(a_program_that_says_nothing_of_its_stack_is_told_apart),
        cmocka_unit_test(a_file_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(an_error_of_the_reader_is_passed_on),
        cmocka_unit_test(this_program_is_read_as_its_loader_did),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
