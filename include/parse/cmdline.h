/* SPDX-License-Identifier: MIT */
/* The boot command line: words "key=value" or "key", separated by blanks; "quoted values" keep their blanks. */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

struct cmdline_option {
    char key[32];
    char value[128]; /* "" if there was no '=' */
    bool has_value;
};

/* Take the next option from *cursor and advance it. 0; -ENOENT at the end; -E2BIG: a key or value too long (the word is
 * skipped, key holds what fitted); -EINVAL: an unclosed quote or an empty key (skipped). */
int cmdline_next(const char **cursor, struct cmdline_option *out) MUST_USE;

/* Take the next word, without its quotes, whatever is in it. 0; -ENOENT at the end; -E2BIG: longer than `room` with its
 * NUL; -EINVAL: an unclosed quote; both skip it. */
int cmdline_next_word(const char **cursor, char *out, size_t room) MUST_USE;

/* Unsigned number: decimal, 0x hex, with K, M, G suffix. -EINVAL, -ERANGE. */
int parse_u64(const char *text, uint64_t *out) MUST_USE;
