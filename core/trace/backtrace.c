/* SPDX-License-Identifier: MIT */
/*
 * Backtraces: walks frame records, names addresses from the table that the build links in (cmake/image.cmake). Reads
 * only records inside the stack it was given, so a damaged stack shortens the trace and nothing else. No lock.
 */
#include <trace/backtrace.h>

#include <hal/debug.h>
#include <k/limits.h>
#include <k/log.h>
#include <lib/fmt.h>
#include <lib/string.h>

struct ksym {
    uint32_t offset; /* from __image_start */
    uint32_t name;   /* from ksyms_names */
};

extern const char __image_start[];
extern const uint64_t ksyms_count;
extern const uint64_t ksyms_linked; /* where __image_start was linked: a number, which does not move */
extern const struct ksym ksyms_table[];
extern const char ksyms_names[];

void symbol_format(uintptr_t address, char *to, size_t room)
{
    uintptr_t start = (uintptr_t)__image_start;
    size_t low = 0;
    size_t high = ksyms_count;

    if (ksyms_count == 0 || address < start || address - start > UINT32_MAX) {
        (void)str_copy(to, "?", room);
        return;
    }
    uint32_t offset = (uint32_t)(address - start);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ksyms_table[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        (void)str_copy(to, "?", room);
    else
        (void)fmt_print(to, room, "%s+%#x", ksyms_names + ksyms_table[low - 1].name,
                        offset - ksyms_table[low - 1].offset);
}

bool symbol_slide(uintptr_t *out_slide)
{
    *out_slide = (uintptr_t)__image_start - (uintptr_t)ksyms_linked;
    return ksyms_count != 0;
}

static void print_frame(unsigned index, uintptr_t pc, bool is_return)
{
    char name[96];

    /* A return address points behind its call, which may be the next function's first byte. */
    symbol_format(pc - (is_return ? 1 : 0), name, sizeof name);
    log_error("  #%u %#018lx %s", index, (unsigned long)pc, name);
}

void backtrace_print(uintptr_t pc, uintptr_t frame_pointer, uintptr_t stack_low, uintptr_t stack_high)
{
    unsigned index = 0;

    if (pc != 0)
        print_frame(index++, pc, false);
    while (index < BACKTRACE_FRAMES_MAX) {
        uintptr_t next_at = frame_pointer + (uintptr_t)HAL_FRAME_NEXT;
        uintptr_t return_at = frame_pointer + (uintptr_t)HAL_FRAME_RETURN;

        if (frame_pointer % sizeof(uintptr_t) != 0 || MIN(next_at, return_at) < stack_low ||
            MAX(next_at, return_at) > stack_high - sizeof(uintptr_t) || stack_high < sizeof(uintptr_t))
            return;
        uintptr_t return_address = *(const uintptr_t *)return_at;
        uintptr_t next = *(const uintptr_t *)next_at;

        if (return_address == 0)
            return;
        print_frame(index++, return_address, true);
        if (next <= frame_pointer)
            return;
        frame_pointer = next;
    }
}
