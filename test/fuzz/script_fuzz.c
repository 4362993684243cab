/* SPDX-License-Identifier: MIT */
/* Damaged first lines of scripts: core/parse/script.c reads them as a model made of C strings does. */
#include "fuzz.h"

#include <string.h>

#include <parse/script.h>

#include <k/errno.h>

static const char *const bases[] = {
    "#!/bin/sh\necho\n", "#! \t/usr/bin/env -S python3  -u \t\nimport sys\n", "#!/bin/sh",
};

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    const char *line = bases[fuzz_random_below(random, sizeof(bases) / sizeof(bases[0]))];
    size_t bytes = strlen(line), at = 3 + fuzz_random_below(random, bytes - 3), fill = 0;

    if (fuzz_random_below(random, 2) != 0) /* make the line about as long as it may be */
        fill = 200 + fuzz_random_below(random, 100);
    memcpy(to, line, at);
    memset(to + at, fuzz_random_below(random, 4) == 0 ? ' ' : 'x', fill);
    memcpy(to + at + fill, line + at, bytes - at);
    return bytes + fill;
}

static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    (void)random;
    (void)data;
    return bytes;
}

/* The line as a string, the words by strspn(). */
static int model(const uint8_t *data, size_t bytes, char *name, char *argument)
{
    char line[SCRIPT_LINE_MAX + 2] = {0}, *at;
    size_t length, end;
    bool is_long;

    memcpy(line, data, bytes < sizeof(line) - 1 ? bytes : sizeof(line) - 1);
    if (strncmp(line, "#!", 2) != 0)
        return -ENOEXEC;
    line[strcspn(line, "\n")] = '\0';
    is_long = strlen(line) > SCRIPT_LINE_MAX;
    at = line + 2 + strspn(line + 2, " \t");
    length = strcspn(at, " \t");
    if (length == 0 || (is_long && at + length > line + SCRIPT_LINE_MAX))
        return -ENOEXEC;
    line[SCRIPT_LINE_MAX] = '\0';
    memcpy(name, at, length);
    name[length] = '\0';
    at += length;
    at += strspn(at, " \t");
    for (end = strlen(at); end > 0 && (at[end - 1] == ' ' || at[end - 1] == '\t'); end--)
        ;
    memcpy(argument, at, end);
    argument[end] = '\0';
    return 0;
}

static bool run(const uint8_t *data, size_t bytes)
{
    char name[SCRIPT_LINE_MAX + 1], argument[SCRIPT_LINE_MAX + 1];
    struct script script;
    int err;

    memset(&script, 0xff, sizeof(script));
    err = script_read(data, bytes, &script);
    FUZZ_CHECK(err == model(data, bytes, name, argument));
    if (err != 0)
        return false;
    FUZZ_CHECK(strcmp(script.interpreter, name) == 0 && strcmp(script.argument, argument) == 0);
    FUZZ_CHECK(script.has_argument == (argument[0] != '\0'));
    return true;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "script", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
