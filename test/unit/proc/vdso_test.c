/* SPDX-License-Identifier: MIT */
/* core/proc/vdso.c: every space can have the pages; they hold the machine's code, by its names, and the clock's
 * numbers, and nobody writes to them. */
#include "signal_program.h"
#include "unit.h"

#include <hal/usermode.h>
#include <hal/vdso.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <proc/clock.h>
#include <proc/vdso.h>
#include <time/wall.h>

static void the_page_is_there(void)
{
    const uint8_t want[] = HAL_SIGNAL_RETURN_CODE;
    struct space *space[2];
    struct vdso_place place[2];

    for (unsigned i = 0; i < 2; i++) {
        struct space_region region;

        CHECK(space_create(&space[i]) == 0 && vdso_map(space[i], &place[i]) == 0);
        vaddr_t va = place[i].return_code;

        CHECK(space_query(space[i], va, &region) == 0 && region.start <= va);
        CHECK(region.end - region.start == 2 * PAGE_BYTES && region.rights == (VM_READ | VM_EXEC));
        CHECK(space_fault(space[i], va, VM_EXEC) == 0 && space_fault(space[i], va, VM_WRITE) == -EACCES);
        CHECK(place[i].image == region.start + PAGE_BYTES && va > place[i].image);
        CHECK(va % sizeof(uint32_t) == 0 && va % PAGE_BYTES + sizeof want <= PAGE_BYTES);
    }
    for (unsigned i = 0; i < 2; i++)
        space_put(space[i]);
}

static struct process *process;
static struct vdso_place where;

static void reads(uintptr_t area)
{
    const uint8_t want[] = HAL_SIGNAL_RETURN_CODE;
    uint8_t got[sizeof want] = { 0xff };

    (void)area;
    get(got, where.return_code, sizeof got);
    for (unsigned i = 0; i < sizeof want; i++)
        CHECK(got[i] == want[i]);
    CHECK(user_copy_out(where.return_code, want, sizeof want) == -EFAULT);
    die(process->pid, SIGKILL);
}

/* ---- As a C library looks ---- */

static uint64_t number(size_t at, size_t bytes)
{
    uint64_t value = 0;

    get(&value, where.image + at, bytes);
    return value;
}

static bool is_string(size_t at, const char *text)
{
    for (size_t i = 0; i == 0 || text[i - 1] != 0; i++)
        if (number(at + i, 1) != (uint8_t)text[i])
            return false;
    return true;
}

/* A value of the dynamic segment, which the second program header names. */
static uint64_t dynamic(uint64_t tag)
{
    uint64_t at = number(64 + 56 + 16, 8), end = at + number(64 + 56 + 32, 8);

    CHECK(number(64 + 56, 4) == 2);
    for (; at < end; at += 16)
        if (number(at, 8) == tag)
            return number(at + 8, 8);
    CHECK(false);
    return 0;
}

/* The version with that index must be the machine's. */
static bool is_own_version(uint64_t index)
{
    uint64_t at = dynamic(0x6ffffffc);

    for (uint64_t left = dynamic(0x6ffffffd); left > 0; left--, at += number(at + 16, 4))
        if (number(at + 4, 2) == index)
            return is_string(dynamic(5) + number(at + number(at + 12, 4), 4), hal_vdso.version);
    return false;
}

/* Where the function is, by the table of hashes; 0: there is none. */
static uint64_t find(const char *name)
{
    uint64_t hash = dynamic(4), symbols = dynamic(6), buckets = number(hash, 4);

    CHECK(buckets == 1 && dynamic(11) == 24);
    for (uint64_t i = number(hash + 8, 4), seen = 0; i != 0; i = number(hash + 8 + 4 * (buckets + i), 4)) {
        CHECK(++seen < number(hash + 4, 4));
        if (!is_string(dynamic(5) + number(symbols + 24 * i, 4), name))
            continue;
        CHECK(number(symbols + 24 * i + 4, 1) == 0x12 && number(symbols + 24 * i + 6, 2) != 0);
        CHECK(is_own_version(number(dynamic(0x6ffffff0) + 2 * i, 2)));
        return number(symbols + 24 * i + 8, 8);
    }
    return 0;
}

static void looks_up(uintptr_t area)
{
    (void)area;
    CHECK(number(0, 4) == 0x464c457f && number(4, 1) == 2 && number(16, 2) == 3 && number(18, 2) == HAL_ELF_MACHINE);
    CHECK(number(64, 4) == 1 && number(64 + 4, 4) == 5 && number(64 + 16, 8) == 0); /* loaded, and not writable */
    for (unsigned i = 0; i < hal_vdso.symbol_count; i++) {
        const struct hal_vdso_symbol *symbol = &hal_vdso.symbols[i];
        uint64_t at = find(symbol->name);

        CHECK(at != 0 && at < number(64 + 32, 8));
        for (size_t j = 0; symbol->code + j < hal_vdso.end; j++)
            CHECK(number(at + j, 1) == symbol->code[j]);
    }
    CHECK(find(hal_vdso.return_name) == where.return_code - where.image);
    CHECK(find("__vdso_clock") == 0 && find("") == 0);
    CHECK(is_string(dynamic(5) + dynamic(14), "linux-vdso.so.1"));
    die(process->pid, SIGKILL);
}

/* The time from the numbers, between two looks of the kernel's. */
static void reads_the_time(uintptr_t area)
{
    struct hal_vdso_data data;

    (void)area;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = wall_ns();

        get(&data, where.image - PAGE_BYTES, sizeof data);
        uint64_t now = (uint64_t)((unsigned __int128)hal_clock_ticks() * data.ns_mult >> HAL_VDSO_SHIFT);

        now += load_relaxed(&data.wall_offset_ns);
        CHECK(before <= now && now <= wall_ns());
        CHECK(clock_set(CLOCK_REALTIME, now + 1000 * NS_PER_SEC) == 0); /* it goes on from there */
    }
    die(process->pid, SIGKILL);
}

static void in_a_program(void (*program)(uintptr_t area))
{
    struct begun begun;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    CHECK(vdso_map(process->space, &where) == 0);
    struct task *task = program_thread(process, program, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGKILL);
}

static void a_program_reads_it(void)
{
    in_a_program(reads);
}

static void a_program_looks_it_up(void)
{
    in_a_program(looks_up);
}

static void a_program_reads_the_time(void)
{
    in_a_program(reads_the_time);
}

const struct kernel_test booted_tests[] = {
    { "page", the_page_is_there },
    { "read", a_program_reads_it },
    { "names", a_program_looks_it_up },
    { "time", a_program_reads_the_time },
    { NULL, NULL },
};

static void each_space_maps_the_page_to_execute_it(void **state)
{
    (void)state;
    booted_run("page", 8);
}

static void a_program_finds_the_code_and_cannot_change_it(void **state)
{
    (void)state;
    booted_run("read", 8);
}

static void a_program_finds_all_functions_by_name_and_version(void **state)
{
    (void)state;
    booted_run("names", 4);
}

static void a_program_reads_the_time_of_day_also_after_it_was_set(void **state)
{
    (void)state;
    booted_run("time", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_space_maps_the_page_to_execute_it),
        cmocka_unit_test(a_program_finds_the_code_and_cannot_change_it),
        cmocka_unit_test(a_program_finds_all_functions_by_name_and_version),
        cmocka_unit_test(a_program_reads_the_time_of_day_also_after_it_was_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
