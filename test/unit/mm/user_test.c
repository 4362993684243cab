/* SPDX-License-Identifier: MIT */
/*
 * core/mm/user.c: random copies, strings and exchanges over pages with holes and rights, compared with an array that
 * knows for each byte what it is and who may do what.
 */
#include "mm_test.h"

#include <hal/user.h>
#include <k/errno.h>
#include <mm/pagetable.h>
#include <mm/user.h>

#define USER_BASE ((vaddr_t)0x40000000)
#define PAGES 8
#define BYTES (PAGES * PAGE_BYTES)
#define LAST_PAGE ((vaddr_t)HAL_USER_END - PAGE_BYTES)

static struct {
    paddr_t root;
    paddr_t page[PAGES]; /* 0: a hole */
    bool is_writable[PAGES];
    uint8_t byte[BYTES];
} model;

static paddr_t table_alloc(void)
{
    return phys_alloc_zeroed(0);
}

static void table_free(paddr_t table)
{
    phys_free(table, 0);
}

static const struct pt_alloc tables = { .alloc = table_alloc, .free = table_free };

static void map(unsigned index, unsigned prot)
{
    vaddr_t va = USER_BASE + index * PAGE_BYTES;

    model.page[index] = phys_alloc_zeroed(0);
    model.is_writable[index] = (prot & PROT_WRITE) != 0;
    assert_true(model.page[index] != 0);
    assert_int_equal(pt_map(model.root, va, model.page[index], PAGE_BYTES, prot | PROT_USER, &tables), 0);
    memset(model.byte + index * PAGE_BYTES, 0, PAGE_BYTES);
}

static int begin(void **state)
{
    int result = mm_test_begin(state);

    memset(&model, 0, sizeof model);
    model.root = phys_alloc_zeroed(0);
    memcpy(phys_to_virt(model.root), phys_to_virt(kspace_root()), PAGE_BYTES);
    hal_tlb_flush_local(1, 0, HAL_TLB_ALL_PAGES); /* of the last one's */
    hal_mmu_activate(model.root, 1);
    return result;
}

static int end(void **state)
{
    hal_mmu_activate(kspace_root(), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        if (model.page[i] == 0)
            continue;
        pt_unmap(model.root, USER_BASE + i * PAGE_BYTES, PAGE_BYTES);
        phys_free(model.page[i], 0);
    }
    pt_free_tables(model.root, kspace_root(), &tables);
    phys_free(model.root, 0);
    return mm_test_end(state);
}

/* How many bytes from `at` on may be accessed so. */
static size_t reachable(size_t at, size_t bytes, bool is_write)
{
    size_t count = 0;

    while (count < bytes && at + count < BYTES && model.page[(at + count) / PAGE_BYTES] != 0 &&
           (!is_write || model.is_writable[(at + count) / PAGE_BYTES]))
        count++;
    return count;
}

static void assert_memory(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (model.page[i] != 0)
            assert_memory_equal(phys_to_virt(model.page[i]), model.byte + i * PAGE_BYTES, PAGE_BYTES);
}

struct request {
    size_t at, bytes;
    unsigned shift; /* the kernel side's alignment */
};

static struct request random_request(struct unit_random *random)
{
    struct request request = {
        .at = unit_random_below(random, BYTES),
        .shift = (unsigned)unit_random_below(random, 8),
    };

    /* Short ones, and those that begin or end near a page's border, are where it is easy to be wrong. */
    request.bytes = unit_random_below(random, unit_random_below(random, 2) == 0 ? 24 : 3 * PAGE_BYTES);
    if (unit_random_below(random, 2) == 0)
        request.at = ROUND_DOWN(request.at, PAGE_BYTES) + PAGE_BYTES - unit_random_below(random, 24);
    request.bytes = MIN(request.bytes, BYTES - request.at);
    return request;
}

static ALIGNED(8) uint8_t kernel_side[BYTES + 16];

static void try_out(const struct request *request, struct unit_random *random)
{
    uint8_t *from = kernel_side + request->shift;
    size_t good = reachable(request->at, request->bytes, true);

    for (size_t i = 0; i < request->bytes; i++)
        from[i] = (uint8_t)unit_random_next(random);
    memcpy(model.byte + request->at, from, good);
    assert_int_equal(user_copy_out(USER_BASE + request->at, from, request->bytes),
                     good == request->bytes ? 0 : -EFAULT);
}

static void try_in(const struct request *request)
{
    uint8_t *to = kernel_side + request->shift;
    size_t good = reachable(request->at, request->bytes, false);

    memset(kernel_side, 0xa5, sizeof kernel_side);
    assert_int_equal(user_copy_in(to, USER_BASE + request->at, request->bytes), good == request->bytes ? 0 : -EFAULT);
    assert_memory_equal(to, model.byte + request->at, good);
    for (uint8_t *at = kernel_side; at < kernel_side + sizeof kernel_side; at++)
        if (at < to || at >= to + good)
            assert_int_equal(*at, 0xa5);
}

static void try_clear(const struct request *request)
{
    size_t good = reachable(request->at, request->bytes, true);

    memset(model.byte + request->at, 0, good);
    assert_int_equal(user_clear(USER_BASE + request->at, request->bytes), good == request->bytes ? 0 : -EFAULT);
}

static void try_string(const struct request *request)
{
    char *to = (char *)kernel_side + request->shift;
    size_t good = reachable(request->at, request->bytes, false);
    size_t length = strnlen((const char *)model.byte + request->at, good);
    int64_t want = length < good ? (int64_t)length : good < request->bytes ? -EFAULT : -ENAMETOOLONG;

    memset(kernel_side, 0xa5, sizeof kernel_side);
    assert_int_equal(user_copy_string(to, USER_BASE + request->at, request->bytes), want);
    if (want >= 0)
        assert_memory_equal(to, model.byte + request->at, length + 1);
    for (uint8_t *at = (uint8_t *)to + request->bytes; at < kernel_side + sizeof kernel_side; at++)
        assert_int_equal(*at, 0xa5);
}

static void try_word(const struct request *request, struct unit_random *random)
{
    uint32_t was, expected, got;
    vaddr_t va = USER_BASE + request->at;
    bool is_aligned = va % sizeof was == 0;
    bool is_there = is_aligned && reachable(request->at, sizeof was, false) == sizeof was;
    bool is_writable = is_there && reachable(request->at, sizeof was, true) == sizeof was;

    memcpy(&was, model.byte + request->at, is_there ? sizeof was : 0);
    assert_int_equal(user_read32(va, &got), is_there ? 0 : is_aligned ? -EFAULT : -EINVAL);
    if (is_there)
        assert_int_equal(got, was);
    bool is_equal = is_there && unit_random_below(random, 2) == 0;
    uint32_t desired = (uint32_t)unit_random_next(random);
    uint32_t guess = expected = is_equal ? was : 0x12345678;

    assert_int_equal(user_cas32(va, &expected, desired), is_writable ? 0 : is_aligned ? -EFAULT : -EINVAL);
    if (is_writable && is_equal)
        memcpy(model.byte + request->at, &desired, sizeof desired);
    assert_int_equal(expected, is_writable ? was : guess);
}

static void random_accesses_equal_an_array(void **state)
{
    unsigned kinds = 0;

    (void)state;
    map(0, PROT_WRITE);
    map(1, PROT_WRITE);
    map(3, PROT_READ_ONLY);
    map(4, PROT_WRITE);
    map(5, PROT_WRITE);
    map(7, PROT_READ_ONLY);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct unit_random random = { seed };

        for (unsigned step = 0; step < 300; step++) {
            struct request request = random_request(&random);
            unsigned kind = (unsigned)unit_random_below(&random, 5);

            kinds |= 1u << kind;
            switch (kind) {
            case 0: try_out(&request, &random); break;
            case 1: try_in(&request); break;
            case 2: try_clear(&request); break;
            case 3: try_string(&request); break;
            default: try_word(&request, &random); break;
            }
        }
        assert_memory();
    }
    assert_int_equal(kinds, 0x1f);
}

static void a_range_is_the_users_up_to_its_very_end(void **state)
{
    static const struct {
        vaddr_t va;
        size_t bytes;
        bool is_valid;
    } ranges[] = {
        { 0, 0, true },
        { 0, HAL_USER_END, true },
        { 0, (size_t)HAL_USER_END + 1, false },
        { HAL_USER_END - 1, 1, true },
        { HAL_USER_END - 1, 2, false },
        { HAL_USER_END, 0, true },
        { HAL_USER_END, 1, false },
        { HAL_USER_END + 1, 0, false },
        { 1, HAL_USER_END, false },
        { HAL_USER_END - PAGE_BYTES, (size_t)1 << 62, false }, /* across the hole */
        { UINT64_MAX, 1, false },                              /* the last byte of all */
        { UINT64_MAX, 2, false },                              /* wraps */
        { UINT64_MAX - 7, 16, false },
        { 8, SIZE_MAX, false },                                /* wraps to before itself */
        { 8, SIZE_MAX - 7, false },
        { HAL_DIRECT_MAP_BASE, 8, false },
    };
    char byte = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(ranges); i++) {
        assert_int_equal(user_range_is_valid(ranges[i].va, ranges[i].bytes), ranges[i].is_valid);
        if (ranges[i].is_valid && ranges[i].bytes > 0)
            continue;
        /* Nothing is accessed: neither the kernel's side, nor the user's. */
        int want = ranges[i].is_valid ? 0 : -EFAULT;

        assert_int_equal(user_copy_in(&byte, ranges[i].va, ranges[i].bytes), want);
        assert_int_equal(user_copy_out(ranges[i].va, &byte, ranges[i].bytes), want);
        assert_int_equal(user_clear(ranges[i].va, ranges[i].bytes), want);
    }
    uint32_t word = 7;

    assert_int_equal(user_read32(HAL_USER_END, &word), -EFAULT);
    assert_int_equal(user_cas32(HAL_USER_END, &word, 8), -EFAULT);
    assert_int_equal(user_cas32(HAL_DIRECT_MAP_BASE + 1, &word, 8), -EINVAL);
    assert_int_equal(user_copy_string(&byte, HAL_DIRECT_MAP_BASE, 1), -EFAULT);
    assert_int_equal(user_copy_string(&byte, UINT64_MAX, 1), -EFAULT);
    assert_int_equal(word, 7);
}

static void the_last_page_can_be_used_to_its_last_byte(void **state)
{
    paddr_t page = phys_alloc_zeroed(0);
    char text[8] = { 0 };

    (void)state;
    assert_int_equal(pt_map(model.root, LAST_PAGE, page, PAGE_BYTES, PROT_USER | PROT_WRITE, &tables), 0);
    assert_int_equal(user_copy_out(HAL_USER_END - 8, "abcdefgh", 8), 0);
    assert_int_equal(user_copy_in(text, HAL_USER_END - 8, 8), 0);
    assert_memory_equal(text, "abcdefgh", 8);
    assert_int_equal(user_copy_in(text, HAL_USER_END - 7, 8), -EFAULT);
    /* A string without an end, up to where there is nothing more. */
    assert_int_equal(user_copy_string((char *)kernel_side, HAL_USER_END - 8, 8), -ENAMETOOLONG);
    assert_int_equal(user_copy_string((char *)kernel_side, HAL_USER_END - 8, 9), -EFAULT);
    assert_int_equal(user_copy_out(HAL_USER_END - 1, "", 1), 0);
    assert_int_equal(user_copy_string((char *)kernel_side, HAL_USER_END - 8, 9), 7);
    hal_mmu_activate(kspace_root(), 0);
    pt_unmap(model.root, LAST_PAGE, PAGE_BYTES);
    phys_free(page, 0);
}

static void a_string_may_end_with_its_page(void **state)
{
    char *end_of_page;

    (void)state;
    map(0, PROT_WRITE);
    end_of_page = (char *)phys_to_virt(model.page[0]) + PAGE_BYTES;
    memset(end_of_page - 200, 'x', 200);
    for (size_t length = 0; length < 200; length++) {
        vaddr_t va = USER_BASE + PAGE_BYTES - length - 1;

        end_of_page[-1] = '\0';
        assert_int_equal(user_copy_string((char *)kernel_side, va, 1000), length);
        assert_int_equal(user_copy_string((char *)kernel_side, va, length + 1), length);
        assert_int_equal(user_copy_string((char *)kernel_side, va, length), -ENAMETOOLONG);
        end_of_page[-1] = 'x';
        assert_int_equal(user_copy_string((char *)kernel_side, va, length + 1), -ENAMETOOLONG);
        assert_int_equal(user_copy_string((char *)kernel_side, va, length + 2), -EFAULT);
    }
}

#define user_test(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        user_test(random_accesses_equal_an_array),
        user_test(a_range_is_the_users_up_to_its_very_end),
        user_test(the_last_page_can_be_used_to_its_last_byte),
        user_test(a_string_may_end_with_its_page),
    };

    return cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
