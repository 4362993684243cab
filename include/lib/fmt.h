/* SPDX-License-Identifier: MIT */
/*
 * Bounded formatting. %d %i %u %x %X %c %s %p %%, with flags 0 - + # space, width, precision and * , and lengths
 * hh h l ll z j t; nothing with floating point. An unknown conversion is printed as it stands.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include <k/compiler.h>

/* As vsnprintf: at most room bytes with the NUL; returns what the whole would have needed, without the NUL. */
int fmt_vprint(char *to, size_t room, const char *format, va_list args) PRINTF_LIKE(3, 0);
int fmt_print(char *to, size_t room, const char *format, ...) PRINTF_LIKE(3, 4);
