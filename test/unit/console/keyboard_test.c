/* SPDX-License-Identifier: MIT */
/* core/console/keyboard.c: keys reach the terminal, all and in order, and wait until somebody has it open. */
#include "booted.h"
#include "unit.h"

#include <string.h>

#include <console/console.h>
#include <fs/cred.h>
#include <fs/path.h>
#include <host/machine.h>

static void read_line(void)
{
    struct fs_context *context = NULL;
    struct file *file = NULL;
    struct io_span span;
    char line[64];

    CHECK(keyboard_start() == 0);
    CHECK(fs_context_create(&context) == 0);
    const struct path_place place = { .context = context, .cred = &cred_root };

    CHECK(path_open(&place, "/dev/console", O_RDWR, 0, &file) == 0);
    for (unsigned i = 0; i < 2; i++) {
        io_span_kernel(&span, line, sizeof line);
        int64_t bytes = file_read(file, &span);

        if (CHECK(bytes > 0))
            log_error("read %d: %.*s", (int)bytes, (int)bytes - 1, line);
    }
    file_put(file);
    fs_context_put(context);
}

/* Not by booted_run(): that ends with as many tasks as it began with, and the keyboard's stays. */
const struct kernel_test booted_tests[] = { { "read", read_line }, { NULL, NULL } };

static struct host_result result;

static void keys_reach_who_reads_the_terminal(void **state)
{
    static const unsigned cpus[] = { 1, 2, 4 };

    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct host_config config = {
            .cpus = cpus[seed % 3], .seed = seed, .memory_bytes = 16 << 20, .cmdline = "init=test:read loglevel=1",
            .console_input = "firts\x7f\x7fst line\rand the second\r",
        };

        (void)host_machine_run_forked(&config, &result);
        if (strstr(result.console, "read 11: first line") == NULL ||
            strstr(result.console, "read 15: and the second") == NULL)
            fail_msg("seed %d: %s\n%s", (int)seed, result.report, result.console);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(keys_reach_who_reads_the_terminal) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
