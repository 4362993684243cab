/* SPDX-License-Identifier: MIT */
/* The console: kept in the result, and written to standard output line by line if the config says so. */
#include "host_priv.h"

#include <unistd.h>

static struct {
    char line[256]; /* not yet written */
    size_t line_bytes;
    size_t input_at;
} console;

void host_console_reset(void)
{
    console.line_bytes = 0;
    console.input_at = 0;
}

void host_console_flush(void)
{
    size_t done = 0;

    while (done < console.line_bytes) {
        ssize_t wrote = write(STDOUT_FILENO, console.line + done, console.line_bytes - done);

        if (wrote <= 0)
            break;
        done += (size_t)wrote;
    }
    console.line_bytes = 0;
}

void hal_console_put(char c)
{
    struct host_result *result = host.result;

    if (result != NULL) {
        if (result->console_bytes < HOST_CONSOLE_BYTES - 1) {
            result->console[result->console_bytes] = c;
            result->console[result->console_bytes + 1] = '\0';
        }
        result->console_bytes++;
    }
    if (result != NULL && !host.config.console_echo)
        return;
    console.line[console.line_bytes++] = c;
    if (c == '\n' || console.line_bytes == sizeof console.line)
        host_console_flush();
}

int hal_console_get(void)
{
    const char *input = host.config.console_input;

    if (input == NULL || input[console.input_at] == '\0')
        return -1;
    return (unsigned char)input[console.input_at++];
}
