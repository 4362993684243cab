/* SPDX-License-Identifier: MIT */
/*
 * The first line of a script: "#!INTERPRETER [ARGUMENT]", as Linux reads it (execve(2), "Interpreter scripts").
 * Untrusted bytes in, two strings out. Context: any.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

#define SCRIPT_LINE_MAX 255 /* bytes of the line that count, "#!" among them and the newline not */
#define SCRIPT_FIRST_BYTES (SCRIPT_LINE_MAX + 1) /* so many of a file are enough for script_read() */

struct script {
    char interpreter[SCRIPT_LINE_MAX + 1]; /* never empty */
    bool has_argument;
    char argument[SCRIPT_LINE_MAX + 1]; /* ONE, blanks inside kept, those around it not; "" if there is none */
};

/* Whether a file that begins with these bytes is a script. */
bool script_is(const uint8_t *first, size_t bytes);

/*
 * `first`: the first SCRIPT_FIRST_BYTES of the file, or all of it if it is shorter. A longer line is cut, in its
 * argument only. -ENOEXEC: no script, no name, or a name that may have been cut.
 */
int script_read(const uint8_t *first, size_t bytes, struct script *out) MUST_USE;
