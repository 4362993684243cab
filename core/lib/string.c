/* SPDX-License-Identifier: MIT */
/*
 * The memory and string functions that a freestanding compiler calls by name. Whole words are moved where the
 * addresses allow it; no byte outside the given ranges is read. Owns no state, refuses nothing, takes no lock.
 */
#include <lib/string.h>

#include <stdint.h>

#include <k/compiler.h>

#define WORD_BYTES sizeof(uint64_t)
#define WORD_MASK (WORD_BYTES - 1)
#define WORDS_MIN_BYTES 32 /* below this, aligning costs more than it saves */

/* copy_shifted() joins two loads by shifts that assume it. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

static size_t bytes_to_boundary(const void *address)
{
    return -(uintptr_t)address & WORD_MASK;
}

static void copy_bytes(uint8_t *to, const uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = from[i];
}

#define CHUNK_BYTES 512

/*
 * Both addresses on a word boundary. Whole chunks, in the way that the compiler knows to be best on this machine: a
 * string instruction, or all loads and stores in a row. It may store before it has loaded everything, so `to` and
 * `from` must be a chunk apart. Returns how much was copied.
 */
static size_t copy_chunks(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t done = 0;

    if ((uintptr_t)from - (uintptr_t)to < CHUNK_BYTES)
        return 0;
    for (; bytes - done >= CHUNK_BYTES; done += CHUNK_BYTES)
        __builtin_memcpy_inline(__builtin_assume_aligned(to + done, WORD_BYTES),
                                __builtin_assume_aligned(from + done, WORD_BYTES), CHUNK_BYTES);
    return done;
}

/* Both addresses on a word boundary. Loads of a round come before its stores, so `to` may overlap below `from`. */
static size_t copy_words(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t done = copy_chunks(to, from, bytes);
    uint64_t *out = (uint64_t *)(to + done);
    const uint64_t *in = (const uint64_t *)(from + done);
    size_t words = (bytes - done) / WORD_BYTES;

    for (; words >= 4; words -= 4, in += 4, out += 4) {
        uint64_t a = in[0], b = in[1], c = in[2], d = in[3];

        out[0] = a;
        out[1] = b;
        out[2] = c;
        out[3] = d;
    }
    for (; words > 0; words--)
        *out++ = *in++;
    return bytes & ~WORD_MASK;
}

/*
 * `to` on a word boundary, `from` between two, and the bytes of from's word before it are readable: loads are aligned
 * and two neighbours give one word. Returns how much was copied; the last word is left when a load would pass the end.
 */
static size_t copy_shifted(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t skew = (uintptr_t)from & WORD_MASK;
    unsigned low_bits = (unsigned)skew * 8, high_bits = 64 - low_bits;
    uint64_t *out = (uint64_t *)to;
    const uint64_t *in = (const uint64_t *)(from - skew);
    uint64_t low = *in++;
    size_t done = 0;

    for (; bytes - done >= 2 * WORD_BYTES; done += WORD_BYTES) {
        uint64_t high = *in++;

        *out++ = low >> low_bits | high << high_bits;
        low = high;
    }
    return done;
}

/* Ascending copy: right for ranges that are apart, or that overlap with `to` below `from`. */
static void copy_up(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t done = 0;

    if (bytes >= WORDS_MIN_BYTES) {
        done = bytes_to_boundary(to);
        if (bytes_to_boundary(from) == done) {
            copy_bytes(to, from, done);
            done += copy_words(to + done, from + done, bytes - done);
        } else {
            done += WORD_BYTES; /* now the word before from + done belongs to the range */
            copy_bytes(to, from, done);
            done += copy_shifted(to + done, from + done, bytes - done);
        }
    }
    copy_bytes(to + done, from + done, bytes - done);
}

/* Descending copy, for ranges that overlap with `to` above `from`. */
static void copy_down(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (((uintptr_t)to & WORD_MASK) == ((uintptr_t)from & WORD_MASK)) {
        for (; bytes > 0 && ((uintptr_t)(to + bytes) & WORD_MASK) != 0; bytes--)
            to[bytes - 1] = from[bytes - 1];
        for (; bytes >= WORD_BYTES; bytes -= WORD_BYTES)
            *(uint64_t *)(to + bytes - WORD_BYTES) = *(const uint64_t *)(from + bytes - WORD_BYTES);
    }
    for (; bytes > 0; bytes--)
        to[bytes - 1] = from[bytes - 1];
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    copy_up(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    /* One unsigned comparison: true if `to` lies below `from` or at least `bytes` above it. */
    if ((uintptr_t)to - (uintptr_t)from >= bytes)
        copy_up(to, from, bytes);
    else
        copy_down(to, from, bytes);
    return to;
}

/* `count` is a constant: the compiler writes one store for each. */
static ALWAYS_INLINE void set_words(uint64_t *words, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        words[i] = value;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *out = to;
    uint64_t word = UINT64_C(0x0101010101010101) * (uint8_t)value;

    if (bytes >= WORDS_MIN_BYTES) {
        for (; ((uintptr_t)out & WORD_MASK) != 0; bytes--)
            *out++ = (uint8_t)value;
        for (; bytes >= 16 * WORD_BYTES; bytes -= 16 * WORD_BYTES, out += 16 * WORD_BYTES)
            set_words((uint64_t *)out, word, 16);
        for (; bytes >= 4 * WORD_BYTES; bytes -= 4 * WORD_BYTES, out += 4 * WORD_BYTES)
            set_words((uint64_t *)out, word, 4);
        for (; bytes >= WORD_BYTES; bytes -= WORD_BYTES, out += WORD_BYTES)
            *(uint64_t *)out = word;
    }
    for (; bytes > 0; bytes--)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;

    /* Skip equal words; the byte loop finds the place in the first unequal one. */
    if (bytes >= WORDS_MIN_BYTES && (((uintptr_t)x | (uintptr_t)y) & WORD_MASK) == 0) {
        while (bytes >= WORD_BYTES && *(const uint64_t *)x == *(const uint64_t *)y) {
            x += WORD_BYTES;
            y += WORD_BYTES;
            bytes -= WORD_BYTES;
        }
    }
    for (; bytes > 0; bytes--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

void *memchr(const void *bytes, int value, size_t count)
{
    const uint8_t *in = bytes;

    for (; count > 0; count--, in++)
        if (*in == (uint8_t)value)
            return (void *)in;
    return NULL;
}

size_t strlen(const char *s)
{
    const char *end = s;

    while (*end != '\0')
        end++;
    return (size_t)(end - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t length = 0;

    while (length < max && s[length] != '\0')
        length++;
    return length;
}

int strncmp(const char *a, const char *b, size_t max)
{
    for (; max > 0; max--, a++, b++) {
        if (*a != *b)
            return (uint8_t)*a < (uint8_t)*b ? -1 : 1;
        if (*a == '\0')
            return 0;
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (*s == '\0')
            return NULL;
    }
}

char *strstr(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (;; text++) {
        if (strncmp(text, word, length) == 0)
            return (char *)text;
        if (*text == '\0')
            return NULL;
    }
}
