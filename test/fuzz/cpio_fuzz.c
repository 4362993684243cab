/* SPDX-License-Identifier: MIT */
/* Damaged archives: core/parse/cpio.c tells entries inside the bytes, and ends, or says where it cannot go on. */
#include "fuzz.h"

#include <string.h>

#include <parse/cpio.h>

#include <k/errno.h>

#include "cpio_build.h"

#define HEADER_BYTES 110

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    static struct cpio_build build;

    (void)random;
    if (build.bytes == 0)
        cpio_build_two(&build);
    memcpy(to, build.data, build.bytes);
    return build.bytes;
}

/* Sometimes one digit of a header becomes another: the numbers stay numbers. */
static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t at = fuzz_random_below(random, 4) * HEADER_BYTES + fuzz_random_below(random, HEADER_BYTES);

    if (at < bytes && fuzz_random_below(random, 2) != 0 && memchr(digits, data[at], sizeof(digits) - 1) != NULL)
        data[at] = (uint8_t)digits[fuzz_random_below(random, sizeof(digits) - 1)];
    return bytes;
}

static bool is_inside(const uint8_t *data, size_t bytes, const void *at, size_t count)
{
    const uint8_t *from = at;

    return from >= data && from <= data + bytes && count <= (size_t)(data + bytes - from);
}

static void check_entry(const uint8_t *data, size_t bytes, const struct cpio_entry *entry)
{
    uint32_t type = entry->mode & CPIO_TYPE_MASK;

    FUZZ_CHECK(is_inside(data, bytes, entry->name, 1));
    FUZZ_CHECK(is_inside(data, bytes, entry->name, strlen(entry->name) + 1));
    FUZZ_CHECK(entry->name[0] != '\0' && strlen(entry->name) < CPIO_NAME_MAX);
    FUZZ_CHECK(strcmp(entry->name, "TRAILER!!!") != 0);
    FUZZ_CHECK(is_inside(data, bytes, entry->data, entry->bytes));
    FUZZ_CHECK(entry->bytes == 0 || type == CPIO_FILE || type == CPIO_LINK);
    FUZZ_CHECK(type != CPIO_LINK || (entry->bytes > 0 && memchr(entry->data, '\0', entry->bytes) == NULL));
    FUZZ_CHECK(entry->archive < bytes && entry->archive % 4 == 0);
}

static bool run(const uint8_t *data, size_t bytes)
{
    struct cpio_entry entry;
    struct cpio cpio;
    size_t before, count = 0;
    int err;

    cpio_open(&cpio, data, bytes);
    for (;; count++) {
        before = cpio.at;
        memset(&entry, 0xff, sizeof(entry));
        err = cpio_next(&cpio, &entry);
        FUZZ_CHECK(cpio.at <= bytes);
        if (err != 0)
            break;
        FUZZ_CHECK(cpio.at >= before + HEADER_BYTES && count * HEADER_BYTES < bytes);
        check_entry(data, bytes, &entry);
    }
    FUZZ_CHECK(err == -ENOENT || err == -EINVAL);
    FUZZ_CHECK((cpio.reason != NULL) == (err == -EINVAL));
    FUZZ_CHECK(cpio_next(&cpio, &entry) == err);
    return err == -ENOENT && count > 0;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "cpio", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
