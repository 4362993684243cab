/* SPDX-License-Identifier: MIT */
/*
 * Bounded formatting for logs and panics: works with any lock held, allocates nothing, never writes past its room and
 * never loops longer than format, room and argument strings are long. Refuses floating point, wide characters and %n.
 */
#include <lib/fmt.h>

#include <lib/string.h>

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define DIGITS_MAX 20 /* of UINT64_MAX in decimal */
#define PRECISION_NONE (-1)

enum length { LENGTH_INT, LENGTH_CHAR, LENGTH_SHORT, LENGTH_64 };

/* z, j, t and l are all 64 bits wide in the LP64 models that this kernel is compiled for. */
_Static_assert(sizeof(long) == 8 && sizeof(size_t) == 8 && sizeof(ptrdiff_t) == 8 && sizeof(intmax_t) == 8, "LP64");

struct sink {
    char *to;
    size_t room;   /* with the NUL */
    size_t length; /* of the whole text, also what did not fit */
};

struct spec {
    bool left, zero, plus, blank, alternate;
    int width;
    int precision;
    enum length length;
    char conversion;
};

static void sink_put(struct sink *sink, const char *text, size_t bytes)
{
    if (sink->length < sink->room) {
        size_t space = sink->room - sink->length;

        memcpy(sink->to + sink->length, text, bytes < space ? bytes : space);
    }
    sink->length += bytes;
}

static void sink_fill(struct sink *sink, char c, size_t count)
{
    if (sink->length < sink->room) {
        size_t space = sink->room - sink->length;

        memset(sink->to + sink->length, c, count < space ? count : space);
    }
    sink->length += count;
}

/* A decimal number that sticks at INT_MAX. */
static int read_number(const char **format)
{
    int number = 0;

    for (; **format >= '0' && **format <= '9'; (*format)++) {
        int digit = **format - '0';

        number = number > (INT_MAX - digit) / 10 ? INT_MAX : number * 10 + digit;
    }
    return number;
}

static const char *read_flags(const char *format, struct spec *spec)
{
    for (;; format++) {
        switch (*format) {
        case '-':
            spec->left = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->blank = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return format;
        }
    }
}

static const char *read_length(const char *format, struct spec *spec)
{
    spec->length = LENGTH_INT;
    switch (*format) {
    case 'h':
        spec->length = format[1] == 'h' ? LENGTH_CHAR : LENGTH_SHORT;
        return format + (format[1] == 'h' ? 2 : 1);
    case 'l':
        spec->length = LENGTH_64;
        return format + (format[1] == 'l' ? 2 : 1);
    case 'z':
    case 'j':
    case 't':
        spec->length = LENGTH_64;
        return format + 1;
    default:
        return format;
    }
}

/* Reads what stands behind a '%'; takes the arguments of '*'. Returns the place behind the conversion. */
static const char *read_spec(const char *format, struct spec *spec, va_list *args)
{
    *spec = (struct spec){.precision = PRECISION_NONE};
    format = read_flags(format, spec);
    if (*format == '*') {
        int width = va_arg(*args, int);

        spec->left |= width < 0;
        spec->width = width >= 0 ? width : width == INT_MIN ? INT_MAX : -width;
        format++;
    } else {
        spec->width = read_number(&format);
    }
    if (*format == '.') {
        format++;
        if (*format == '*') {
            int precision = va_arg(*args, int);

            spec->precision = precision >= 0 ? precision : PRECISION_NONE;
            format++;
        } else {
            spec->precision = read_number(&format);
        }
    }
    format = read_length(format, spec);
    spec->conversion = *format;
    return *format == '\0' ? format : format + 1;
}

static void put_padded(struct sink *sink, const struct spec *spec, const char *text, size_t bytes)
{
    size_t pad = (size_t)spec->width > bytes ? (size_t)spec->width - bytes : 0;

    if (!spec->left)
        sink_fill(sink, ' ', pad);
    sink_put(sink, text, bytes);
    if (spec->left)
        sink_fill(sink, ' ', pad);
}

/* Digits end at `end`; returns their start. Nothing for 0: the precision adds it (C23 7.23.6.1). */
static char *make_digits(char *end, uint64_t value, const struct spec *spec)
{
    const char *hex = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";

    if (spec->conversion == 'x' || spec->conversion == 'X' || spec->conversion == 'p') {
        for (; value != 0; value >>= 4)
            *--end = hex[value & 15];
    } else {
        for (; value != 0; value /= 10)
            *--end = (char)('0' + value % 10);
    }
    return end;
}

static void put_number(struct sink *sink, const struct spec *spec, uint64_t value, const char *prefix)
{
    char buffer[DIGITS_MAX];
    char *digits = make_digits(buffer + DIGITS_MAX, value, spec);
    size_t count = (size_t)(buffer + DIGITS_MAX - digits);
    size_t prefix_bytes = strlen(prefix), width = (size_t)spec->width, zeros = 0, total;

    if (spec->precision != PRECISION_NONE) {
        zeros = (size_t)spec->precision > count ? (size_t)spec->precision - count : 0;
    } else {
        zeros = count == 0 ? 1 : 0;
        if (spec->zero && !spec->left && width > prefix_bytes + zeros + count)
            zeros = width - prefix_bytes - count;
    }
    total = prefix_bytes + zeros + count;
    if (!spec->left && width > total)
        sink_fill(sink, ' ', width - total);
    sink_put(sink, prefix, prefix_bytes);
    sink_fill(sink, '0', zeros);
    sink_put(sink, digits, count);
    if (spec->left && width > total)
        sink_fill(sink, ' ', width - total);
}

static void put_signed(struct sink *sink, const struct spec *spec, va_list *args)
{
    int64_t value = spec->length == LENGTH_64 ? va_arg(*args, int64_t) : va_arg(*args, int);

    if (spec->length == LENGTH_CHAR)
        value = (signed char)value;
    else if (spec->length == LENGTH_SHORT)
        value = (short)value;
    if (value < 0)
        put_number(sink, spec, -(uint64_t)value, "-");
    else
        put_number(sink, spec, (uint64_t)value, spec->plus ? "+" : spec->blank ? " " : "");
}

static void put_unsigned(struct sink *sink, const struct spec *spec, va_list *args)
{
    uint64_t value = spec->length == LENGTH_64 ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);
    const char *prefix = "";

    if (spec->length == LENGTH_CHAR)
        value = (unsigned char)value;
    else if (spec->length == LENGTH_SHORT)
        value = (unsigned short)value;
    if (spec->alternate && value != 0 && spec->conversion != 'u')
        prefix = spec->conversion == 'X' ? "0X" : "0x";
    put_number(sink, spec, value, prefix);
}

static void put_string(struct sink *sink, const struct spec *spec, const char *text)
{
    size_t max = spec->precision == PRECISION_NONE ? SIZE_MAX : (size_t)spec->precision;

    if (text == NULL)
        text = "(null)";
    put_padded(sink, spec, text, strnlen(text, max));
}

/* One conversion. False: it is not one of ours and took no argument. */
static bool put_conversion(struct sink *sink, const struct spec *spec, va_list *args)
{
    char c;

    switch (spec->conversion) {
    case 'd':
    case 'i':
        put_signed(sink, spec, args);
        return true;
    case 'u':
    case 'x':
    case 'X':
        put_unsigned(sink, spec, args);
        return true;
    case 'p':
        put_number(sink, spec, (uintptr_t)va_arg(*args, void *), "0x");
        return true;
    case 'c':
        if (spec->length != LENGTH_INT)
            return false;
        c = (char)va_arg(*args, int);
        put_padded(sink, spec, &c, 1);
        return true;
    case 's':
        if (spec->length != LENGTH_INT)
            return false;
        put_string(sink, spec, va_arg(*args, const char *));
        return true;
    case '%':
        sink_put(sink, "%", 1);
        return true;
    default:
        return false;
    }
}

int fmt_vprint(char *to, size_t room, const char *format, va_list args)
{
    struct sink sink = {.to = to, .room = room};
    va_list rest;

    va_copy(rest, args); /* a va_list parameter may be an array: only a local one has an address to pass on */
    while (*format != '\0') {
        const char *start = format;
        struct spec spec;

        if (*format != '%') {
            while (*format != '\0' && *format != '%')
                format++;
            sink_put(&sink, start, (size_t)(format - start));
            continue;
        }
        format = read_spec(format + 1, &spec, &rest);
        if (!put_conversion(&sink, &spec, &rest))
            sink_put(&sink, start, (size_t)(format - start));
    }
    va_end(rest);
    if (room > 0)
        to[sink.length < room ? sink.length : room - 1] = '\0';
    return sink.length > INT_MAX ? INT_MAX : (int)sink.length;
}

int fmt_print(char *to, size_t room, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = fmt_vprint(to, room, format, args);
    va_end(args);
    return length;
}
