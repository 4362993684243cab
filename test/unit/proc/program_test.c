/* SPDX-License-Identifier: MIT */
/* core/proc/program.c: the command line of a program as it is kept, cut where it is too long, and who holds it. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <fs/filesystem.h>
#include <fs/name.h>
#include <mm/fail.h>

#include "proc_priv.h"

#define LINE_BYTES PAGE_BYTES /* what is kept of it */

/* As exec has them when there was a script: strings in front, and the first of `text` skipped. */
static struct exec_args args_of(struct vm_object *object, uint64_t argv_bytes, uint64_t skipped)
{
    struct exec_args args = { .object = object, .bytes = argv_bytes, .argv_bytes = argv_bytes, .skipped = skipped };

    return args;
}

static struct vm_object *object_with(const char *text, size_t bytes)
{
    struct vm_object *object = NULL;

    CHECK(vm_object_create(4 * PAGE_BYTES, &object) == 0);
    CHECK(vm_object_write(object, 0, text, bytes) == (int64_t)bytes);
    return object;
}

static void lines_test(void)
{
    static char long_text[3 * PAGE_BYTES];
    struct vm_object *object = object_with("one\0two\0", 8);
    struct exec_args args = args_of(object, 8, 0);
    struct name *file = fs_root();
    struct program *program = program_create(file, &args, NULL);

    if (CHECK(program != NULL)) {
        CHECK(program->line_bytes == 8 && memcmp(program->line, "one\0two", 8) == 0 && program->file == file);
        program_get(program);
        program_put(program);
        CHECK(program->line_bytes == 8); /* one holds it still: sanitizers look */
        program_put(program);
    }
    args = args_of(object, 8, 4);
    args.front[0] = "/bin/sh";
    args.front[1] = "-e";
    args.front_count = 2;
    args.front_bytes = 11;
    program = program_create(file, &args, NULL);
    if (CHECK(program != NULL)) {
        CHECK(program->line_bytes == 15 && memcmp(program->line, "/bin/sh\0-e\0two", 15) == 0);
        program_put(program);
    }
    mm_fail_at(1);
    CHECK(program_create(file, &args, NULL) == NULL && mm_fail_fired());
    vm_object_put(object);
    memset(long_text, 'x', sizeof long_text);
    object = object_with(long_text, sizeof long_text);
    args = args_of(object, sizeof long_text, 0);
    args.front[0] = long_text + 2 * PAGE_BYTES + 100; /* less than a page, and not all of what is behind fits */
    long_text[sizeof long_text - 1] = '\0';
    args.front_count = 1;
    args.front_bytes = PAGE_BYTES - 100;
    program = program_create(file, &args, NULL);
    if (CHECK(program != NULL)) {
        CHECK(program->line_bytes == LINE_BYTES && program->line[PAGE_BYTES - 101] == '\0');
        CHECK(program->line[PAGE_BYTES - 100] == 'x' && program->line[LINE_BYTES - 1] == 'x');
        program_put(program);
    }
    vm_object_put(object);
    name_put(file);
}

const struct kernel_test booted_tests[] = { { "lines", lines_test }, { NULL, NULL } };

static void what_is_kept_of_a_command_line_is_its_beginning(void **state)
{
    (void)state;
    booted_run("lines", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_kept_of_a_command_line_is_its_beginning) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
