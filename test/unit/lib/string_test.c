/* SPDX-License-Identifier: MIT */
/* Tests of core/lib/string.c, compiled under other names (see CMakeLists.txt), against the host's libc. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *verdant_memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *verdant_memmove(void *to, const void *from, size_t bytes);
void *verdant_memset(void *to, int value, size_t bytes);
int verdant_memcmp(const void *a, const void *b, size_t bytes);
void *verdant_memchr(const void *bytes, int value, size_t count);
size_t verdant_strlen(const char *s);
size_t verdant_strnlen(const char *s, size_t max);
int verdant_strcmp(const char *a, const char *b);
int verdant_strncmp(const char *a, const char *b, size_t max);
char *verdant_strchr(const char *s, int c);
char *verdant_strstr(const char *text, const char *word);

#define SKEWS 16      /* two words: every pair of alignments, with room for guard bytes */
#define LENGTHS 160   /* past every unrolled loop, some rounds */
#define ARENA (LENGTHS + 4 * SKEWS)

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void fill_random(uint8_t *bytes, size_t count, uint64_t seed)
{
    struct unit_random random = {seed};

    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)unit_random_next(&random);
}

static void memcpy_copies_at_every_alignment_and_length(void **state)
{
    _Alignas(64) uint8_t from[ARENA], to[ARENA], expected[ARENA];

    (void)state;
    fill_random(from, ARENA, 3);
    for (size_t a = 0; a < SKEWS; a++) {
        for (size_t b = 0; b < SKEWS; b++) {
            for (size_t bytes = 0; bytes <= LENGTHS; bytes++) {
                memset(to, 0xee, ARENA);
                memset(expected, 0xee, ARENA);
                memcpy(expected + SKEWS + a, from + b, bytes);
                assert_ptr_equal(verdant_memcpy(to + SKEWS + a, from + b, bytes), to + SKEWS + a);
                assert_memory_equal(to, expected, ARENA);
            }
        }
    }
}

static void memmove_copies_at_every_overlap(void **state)
{
    _Alignas(64) uint8_t base[ARENA], ours[ARENA], libc[ARENA];

    (void)state;
    fill_random(base, ARENA, 4);
    for (size_t a = 0; a < 3 * SKEWS; a++) {
        for (size_t b = 0; b < 3 * SKEWS; b++) {
            for (size_t bytes = 0; bytes <= LENGTHS; bytes += 1 + bytes / 24) {
                memcpy(ours, base, ARENA);
                memcpy(libc, base, ARENA);
                memmove(libc + a, libc + b, bytes);
                assert_ptr_equal(verdant_memmove(ours + a, ours + b, bytes), ours + a);
                assert_memory_equal(ours, libc, ARENA);
            }
        }
    }
}

static void memset_fills_at_every_alignment_and_length(void **state)
{
    _Alignas(64) uint8_t ours[ARENA], libc[ARENA];

    (void)state;
    for (size_t a = 0; a < SKEWS; a++) {
        for (size_t bytes = 0; bytes <= LENGTHS; bytes++) {
            memset(libc, 0x11, ARENA);
            memset(ours, 0x11, ARENA);
            memset(libc + SKEWS + a, 0x1a5, bytes); /* only the low byte counts */
            assert_ptr_equal(verdant_memset(ours + SKEWS + a, 0x1a5, bytes), ours + SKEWS + a);
            assert_memory_equal(ours, libc, ARENA);
        }
    }
}

static void memcmp_finds_the_first_difference(void **state)
{
    _Alignas(64) uint8_t x[ARENA], y[ARENA];

    (void)state;
    for (size_t a = 0; a < SKEWS; a += 4) {
        for (size_t b = 0; b < SKEWS; b += 4) {
            for (size_t bytes = 0; bytes <= 80; bytes++) {
                fill_random(x, ARENA, 5);
                memcpy(y + b, x + a, bytes);
                y[b + bytes] = (uint8_t)~x[a + bytes]; /* behind the end: must not matter */
                assert_int_equal(verdant_memcmp(x + a, y + b, bytes), 0);
                for (size_t i = 0; i < bytes; i++) {
                    y[b + i] ^= 0x80; /* also tells signed from unsigned bytes */
                    assert_int_equal(sign(verdant_memcmp(x + a, y + b, bytes)), sign(memcmp(x + a, y + b, bytes)));
                    assert_int_not_equal(verdant_memcmp(x + a, y + b, bytes), 0);
                    y[b + i] ^= 0x80;
                }
            }
        }
    }
}

/* Two pages of random bytes, surrounded by pages that cannot be touched. */
static uint8_t *map_guarded(size_t *page)
{
    uint8_t *base;

    *page = (size_t)sysconf(_SC_PAGESIZE);
    base = mmap(NULL, 4 * *page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    assert_int_equal(mprotect(base + *page, 2 * *page, PROT_READ | PROT_WRITE), 0);
    fill_random(base + *page, 2 * *page, 6);
    return base + *page;
}

static void nothing_is_touched_outside_the_ranges(void **state)
{
    size_t page;
    uint8_t *low = map_guarded(&page), *end = low + 2 * page;
    uint8_t other[LENGTHS + SKEWS];

    (void)state;
    for (size_t skew = 0; skew < 8; skew++) {
        for (size_t bytes = 0; bytes <= LENGTHS; bytes++) {
            verdant_memcpy(other + skew, end - bytes, bytes);
            assert_memory_equal(other + skew, end - bytes, bytes);
            assert_int_equal(verdant_memcmp(other + skew, end - bytes, bytes), 0);
            verdant_memcpy(other + skew, low, bytes);
            assert_memory_equal(other + skew, low, bytes);
            verdant_memcpy(end - bytes, other + skew, bytes);
            verdant_memcpy(low, other + skew, bytes);
            verdant_memmove(end - bytes, end - bytes - skew, bytes);
            verdant_memmove(low, low + skew, bytes);
            verdant_memset(end - bytes, (int)bytes, bytes);
            verdant_memset(low, (int)bytes, bytes);
            assert_null(verdant_memchr(low, (int)bytes + 1, bytes));
        }
    }
    end[-1] = '\0';
    assert_int_equal(verdant_strlen((char *)end - 1), 0);
    end[-1] = 'x';
    assert_int_equal(verdant_strnlen((char *)end - 1, 1), 1);
    assert_int_equal(munmap(low - page, 4 * page), 0);
}

/* Here the sanitizer of a host-asan build sees single bytes, where a page would hide them. */
static void not_a_byte_behind_the_end_is_read(void **state)
{
    uint8_t to[LENGTHS + SKEWS];

    (void)state;
    for (size_t skew = 0; skew < 8; skew++) {
        for (size_t to_skew = 0; to_skew < 8; to_skew++) {
            for (size_t bytes = 1; bytes <= 100; bytes++) {
                uint8_t *from = malloc(skew + bytes);

                assert_non_null(from);
                memset(from, 0x77, skew + bytes);
                verdant_memcpy(to + to_skew, from + skew, bytes);
                assert_int_equal(verdant_memcmp(to + to_skew, from + skew, bytes), 0);
                assert_null(verdant_memchr(from + skew, 0x78, bytes));
                assert_int_equal(verdant_strnlen((char *)from + skew, bytes), bytes);
                free(from);
            }
        }
    }
}

static void memchr_finds_the_first_of_many(void **state)
{
    uint8_t bytes[256];

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    for (int i = 0; i < 256; i++) {
        assert_ptr_equal(verdant_memchr(bytes, i, 256), bytes + i);
        assert_ptr_equal(verdant_memchr(bytes, i + 256, 256), bytes + i);
        assert_null(verdant_memchr(bytes, i, (size_t)i));
    }
    bytes[200] = 7;
    assert_ptr_equal(verdant_memchr(bytes, 7, 256), bytes + 7);
}

static const char *const texts[] = {
    "", "a", "b", "ab", "abc", "abd", "aab", "aaab", "abcabcabd", "abcabd", "\x7f", "\x80", "\xff", "a\xff", "a\x01",
    "the quick brown fox", "fox", "brown fox ", "quick",
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static void comparisons_agree_with_libc(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEXTS; i++) {
        for (size_t j = 0; j < TEXTS; j++) {
            assert_int_equal(sign(verdant_strcmp(texts[i], texts[j])), sign(strcmp(texts[i], texts[j])));
            for (size_t max = 0; max < 12; max++)
                assert_int_equal(sign(verdant_strncmp(texts[i], texts[j], max)),
                                 sign(strncmp(texts[i], texts[j], max)));
        }
    }
}

static void searches_and_lengths_agree_with_libc(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEXTS; i++) {
        assert_int_equal(verdant_strlen(texts[i]), strlen(texts[i]));
        for (size_t max = 0; max < 24; max++)
            assert_int_equal(verdant_strnlen(texts[i], max), strnlen(texts[i], max));
        for (int c = 0; c < 256; c++)
            assert_ptr_equal(verdant_strchr(texts[i], c), strchr(texts[i], c));
        for (size_t j = 0; j < TEXTS; j++)
            assert_ptr_equal(verdant_strstr(texts[i], texts[j]), strstr(texts[i], texts[j]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memcpy_copies_at_every_alignment_and_length),
        cmocka_unit_test(memmove_copies_at_every_overlap),
        cmocka_unit_test(memset_fills_at_every_alignment_and_length),
        cmocka_unit_test(memcmp_finds_the_first_difference),
        cmocka_unit_test(nothing_is_touched_outside_the_ranges),
        cmocka_unit_test(not_a_byte_behind_the_end_is_read),
        cmocka_unit_test(memchr_finds_the_first_of_many),
        cmocka_unit_test(comparisons_agree_with_libc),
        cmocka_unit_test(searches_and_lengths_agree_with_libc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
