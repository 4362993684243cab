/* SPDX-License-Identifier: MIT */
/*
 * core/mm/bootmem.c against a brute-force map: one flag per 256 bytes of two windows of physical memory, the second one
 * far away, with maps as a hostile firmware would write them.
 */
#include "mm_test.h"

#include <k/image.h>

#define CHUNK_BYTES 256
#define PAGE_CHUNKS (PAGE_BYTES / CHUNK_BYTES)
#define WINDOW_PAGES 512
#define WINDOW_CHUNKS (WINDOW_PAGES * PAGE_CHUNKS)
#define WINDOW_BYTES (WINDOW_PAGES * PAGE_BYTES)
#define WINDOWS 2

static paddr_t window_base[WINDOWS]; /* the simulated RAM is sparse, so any of it may be used */
static const char *const no_room = "out of memory at boot";

static struct boot_info map;
static bool ram[WINDOWS][WINDOW_CHUNKS];
static bool taken[WINDOWS][WINDOW_CHUNKS]; /* reserved, or handed out */
static bool usable[WINDOWS][WINDOW_PAGES]; /* pages wholly of RAM, not reserved */
static bool seen[WINDOWS][WINDOW_PAGES];
static bool page_0_is_ram; /* outside of both windows */

static int enter(void **state)
{
    (void)state;
    mm_test_enter(UINT64_C(64) << 30);
    window_base[0] = host_boot_info()->memory[1].base;
    window_base[1] = host_boot_info()->memory[0].base;
    return 0;
}

static void mark(bool flags[WINDOWS][WINDOW_CHUNKS], paddr_t base, paddr_t end)
{
    for (unsigned w = 0; w < WINDOWS; w++)
        for (size_t i = 0; i < WINDOW_CHUNKS; i++) {
            paddr_t at = window_base[w] + i * CHUNK_BYTES;

            if (at + CHUNK_BYTES > base && at < end)
                flags[w][i] = true;
        }
}

static void model_map(void)
{
    page_0_is_ram = false;
    for (unsigned i = 0; i < map.memory_count; i++)
        page_0_is_ram |= map.memory[i].base == 0 && map.memory[i].bytes == PAGE_BYTES;
    memset(ram, 0, sizeof(ram));
    memset(taken, 0, sizeof(taken));
    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < MIN(map.memory_count, (unsigned)BOOT_RANGES_MAX); i++)
        if (map.memory[i].base + map.memory[i].bytes >= map.memory[i].base)
            mark(ram, map.memory[i].base, map.memory[i].base + map.memory[i].bytes);
    for (unsigned i = 0; i < map.reserved_count; i++) {
        paddr_t end = map.reserved[i].base + map.reserved[i].bytes;

        mark(taken, map.reserved[i].base, end < map.reserved[i].base ? UINT64_MAX : end);
    }
    mark(taken, map.image_paddr, map.image_paddr + (uintptr_t)(__image_end - __image_start));
    mark(taken, map.initrd.base, map.initrd.base + map.initrd.bytes);
    mark(taken, 0, PAGE_BYTES);
    for (unsigned w = 0; w < WINDOWS; w++)
        for (size_t page = 0; page < WINDOW_PAGES; page++) {
            usable[w][page] = true;
            for (size_t i = page * PAGE_CHUNKS; i < (page + 1) * PAGE_CHUNKS; i++)
                usable[w][page] &= ram[w][i] && !taken[w][i];
        }
}

static size_t usable_pages(void)
{
    size_t count = 0;

    for (unsigned w = 0; w < WINDOWS; w++)
        for (size_t page = 0; page < WINDOW_PAGES; page++)
            count += usable[w][page];
    return count;
}

static uint64_t ram_bytes(void)
{
    uint64_t bytes = page_0_is_ram ? PAGE_BYTES : 0;

    for (unsigned w = 0; w < WINDOWS; w++)
        for (size_t page = 0; page < WINDOW_PAGES; page++) {
            bool whole = true;

            for (size_t i = page * PAGE_CHUNKS; i < (page + 1) * PAGE_CHUNKS; i++)
                whole &= ram[w][i];
            bytes += whole ? PAGE_BYTES : 0;
        }
    return bytes;
}

static struct boot_range random_range(struct unit_random *random, size_t pages_max)
{
    paddr_t base = window_base[unit_random_below(random, WINDOWS)];
    uint64_t chunks = unit_random_below(random, pages_max * PAGE_CHUNKS);
    uint64_t at = unit_random_below(random, WINDOW_CHUNKS - chunks);

    if (unit_random_below(random, 3) != 0) {
        at = ROUND_DOWN(at, PAGE_CHUNKS);
        chunks = ROUND_UP(chunks, PAGE_CHUNKS);
    }
    return (struct boot_range){base + at * CHUNK_BYTES, chunks * CHUNK_BYTES};
}

static void random_map(struct unit_random *random)
{
    static const struct boot_range odd[] = {
        {0x1000, 0},
        {0, PAGE_BYTES},        /* the page that must never be used */
        {0x800, 0x100},         /* no whole page */
        {UINT64_MAX - 0xfff, 0x2000},
        {UINT64_MAX, 1},
        {UINT64_MAX, UINT64_MAX},
        {0xffffffff000, UINT64_MAX - 0x100}, /* wraps to below its base */
        {HAL_DIRECT_MAP_BYTES, UINT64_C(1) << 40},
        {UINT64_MAX - 0x100000, 0x100000},
    };
    size_t odd_reserved = ARRAY_COUNT(odd) - 3; /* the others would reserve all memory there is, or the far end */

    memset(&map, 0, sizeof(map));
    map.memory_count = 1 + (unsigned)unit_random_below(random, unit_random_below(random, 4) == 0 ? BOOT_RANGES_MAX : 9);
    map.reserved_count = (unsigned)unit_random_below(random, unit_random_below(random, 4) == 0 ? BOOT_RANGES_MAX : 9);
    for (unsigned i = 0; i < map.memory_count; i++)
        map.memory[i] = unit_random_below(random, 6) == 0 ? odd[unit_random_below(random, ARRAY_COUNT(odd))]
                                                          : random_range(random, WINDOW_PAGES / 2);
    for (unsigned i = 0; i < map.reserved_count; i++)
        map.reserved[i] = unit_random_below(random, 6) == 0 ? odd[unit_random_below(random, odd_reserved)]
                                                            : random_range(random, 16);
    /* What is reserved often lies across the border of RAM. */
    if (map.reserved_count > 0)
        map.reserved[0] = (struct boot_range){map.memory[0].base - 0x800, 0x1000};
    map.image_paddr = window_base[unit_random_below(random, WINDOWS)] + unit_random_below(random, 256) * PAGE_BYTES;
    map.initrd = random_range(random, 20);
}

static void init(void *arg)
{
    (void)arg;
    bootmem_init(&map);
}

struct request {
    size_t bytes;
    size_t align;
    void *result;
};

static void take(void *arg)
{
    struct request *request = arg;

    request->result = bootmem_alloc(request->bytes, request->align, "a test");
}

/* Bytes in a row that are free in the model and could hold an aligned request of that size. */
static bool model_has_room(const struct request *request)
{
    size_t need = (request->bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
    size_t step = MAX(request->align / CHUNK_BYTES, (size_t)1);

    for (unsigned w = 0; w < WINDOWS; w++)
        for (size_t at = 0; at + need <= WINDOW_CHUNKS; at += step) {
            size_t i = 0;

            while (i < need && usable[w][(at + i) / PAGE_CHUNKS] && !taken[w][at + i])
                i++;
            if (i == need)
                return true;
        }
    return false;
}

static void check_taken(const struct request *request)
{
    paddr_t at = virt_to_phys(request->result);

    assert_true(at % request->align == 0);
    for (size_t i = 0; i < request->bytes; i++)
        assert_int_equal(((unsigned char *)request->result)[i], 0);
    memset(request->result, 0xee, request->bytes);
    for (paddr_t chunk = ROUND_DOWN(at, CHUNK_BYTES); chunk < at + request->bytes; chunk += CHUNK_BYTES) {
        unsigned w = chunk >= window_base[1] ? 1 : 0;
        size_t i = (chunk - window_base[w]) / CHUNK_BYTES;

        assert_true(i < WINDOW_CHUNKS);
        assert_true(usable[w][i / PAGE_CHUNKS]);
        assert_false(taken[w][i]);
        taken[w][i] = true;
    }
}

/* Sizes in whole chunks, so that the model's taken[] is exact. Returns false when memory ran out. */
static bool take_some(struct unit_random *random)
{
    for (unsigned i = 0; i < 30; i++) {
        struct request request = {
            .bytes = CHUNK_BYTES * (1 + unit_random_below(random, 1 + unit_random_below(random, 100))),
            .align = CHUNK_BYTES << unit_random_below(random, 8),
        };

        if (!model_has_room(&request)) {
            assert_panics(take, &request, no_room);
            return false;
        }
        take(&request);
        check_taken(&request);
    }
    return true;
}

/* Drain the buddy allocator: whole pages of RAM, never reserved, never taken, and all of them but for the
 * descriptors. */
static void check_handed_over(void)
{
    size_t missing = 0;
    struct phys_stats stats;

    phys_stats_get(&stats);
    assert_true((stats.total_pages + stats.reserved_pages) * PAGE_BYTES == ram_bytes());
    for (paddr_t page; (page = phys_alloc(0)) != 0;) {
        unsigned w = page >= window_base[1] ? 1 : 0;
        size_t index = (page - window_base[w]) / PAGE_BYTES;

        assert_true(page >= window_base[w] && index < WINDOW_PAGES);
        assert_true(usable[w][index]);
        assert_false(seen[w][index]);
        seen[w][index] = true;
        for (size_t i = 0; i < PAGE_CHUNKS; i++)
            assert_false(taken[w][index * PAGE_CHUNKS + i]);
    }
    for (unsigned w = 0; w < WINDOWS; w++)
        for (size_t page = 0; page < WINDOW_PAGES; page++) {
            bool free = usable[w][page] && !seen[w][page];

            for (size_t i = 0; i < PAGE_CHUNKS; i++)
                free &= !taken[w][page * PAGE_CHUNKS + i];
            missing += free;
        }
    /* 4 bytes per page of two windows and of small holes between parts: a page or two each. */
    assert_true(missing <= 4);
}

static void random_maps_hand_out_each_page_at_most_once(void **state)
{
    struct unit_random random = {11};
    struct request descriptors = {8192, PAGE_BYTES, NULL}; /* more than those of all spans */
    unsigned finished = 0;
    unsigned refused = 0;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        random_map(&random);
        model_map();
        if (usable_pages() == 0) {
            assert_panics(init, NULL, "no usable memory");
            refused++;
            continue;
        }
        bootmem_init(&map);
        assert_true(bootmem_ram_bytes() == ram_bytes());
        if (!take_some(&random) || !model_has_room(&descriptors))
            continue;
        bootmem_finish();
        check_handed_over();
        finished++;
    }
    /* The maps must not all be of one kind, or the test says nothing. */
    assert_true(finished > 100);
    assert_true(refused > 3);
}

static void small_map(void)
{
    memset(&map, 0, sizeof(map));
    map.memory[0] = (struct boot_range){window_base[0], WINDOW_BYTES};
    map.memory_count = 1;
    map.image_paddr = window_base[0] + 16 * PAGE_BYTES;
}

static void nothing_at_all_panics(void **state)
{
    (void)state;
    memset(&map, 0, sizeof(map));
    assert_panics(init, NULL, "no usable memory: the firmware lists 0 ranges");
    small_map();
    map.reserved[0] = (struct boot_range){0, UINT64_MAX};
    map.reserved_count = 1;
    assert_panics(init, NULL, "all of it is reserved");
    map.reserved_count = 0;
    map.memory[0] = (struct boot_range){0, PAGE_BYTES};
    assert_panics(init, NULL, "all of it is reserved");
    small_map();
    map.reserved_count = 1;
    /* A range that wraps as a reservation reaches to the end. */
    map.reserved[0] = (struct boot_range){0x800, UINT64_MAX};
    assert_panics(init, NULL, "all of it is reserved");
}

static void too_many_reservations_panic_and_too_many_memories_warn(void **state)
{
    (void)state;
    small_map();
    map.memory_count = BOOT_RANGES_MAX + 5;
    assert_true(host_unit_returns(init, NULL, &mm_test_result));
    assert_non_null(strstr(mm_test_result.console, "only the first 128 are used"));
    map.memory_count = 1;
    map.reserved_count = BOOT_RANGES_MAX + 1;
    assert_panics(init, NULL, "at most 128");
}

static void memory_beyond_the_direct_map_is_named_and_ignored(void **state)
{
    (void)state;
    small_map();
    map.memory[1] = (struct boot_range){HAL_DIRECT_MAP_BYTES, UINT64_C(1) << 30};
    map.memory_count = 2;
    assert_true(host_unit_returns(init, NULL, &mm_test_result));
    assert_non_null(strstr(mm_test_result.console, "beyond the direct map"));
    assert_true(bootmem_ram_bytes() == WINDOW_BYTES);
}

static void too_large_a_request_says_what_for(void **state)
{
    struct request request = {2 * WINDOW_BYTES, PAGE_BYTES, NULL};

    (void)state;
    small_map();
    bootmem_init(&map);
    assert_panics(take, &request, "need 4096 KiB for a test");
    request.bytes = SIZE_MAX - 5;
    assert_panics(take, &request, no_room);
}

static void memory_near_the_image_comes_first(void **state)
{
    (void)state;
    small_map();
    map.memory[1] = (struct boot_range){window_base[1], WINDOW_BYTES};
    map.memory_count = 2;
    map.image_paddr = window_base[1] + 8 * PAGE_BYTES;
    bootmem_init(&map);
    assert_true(virt_to_phys(bootmem_alloc(64, 64, "a test")) == window_base[1]);
    assert_true(virt_to_phys(bootmem_alloc(WINDOW_BYTES - 20 * PAGE_BYTES, 64, "a test")) > window_base[1]);
    /* What does not fit there goes to the lowest place that has room. */
    assert_true(virt_to_phys(bootmem_alloc(WINDOW_BYTES / 2, 64, "a test")) == window_base[0]);
}

static void alloc_after_finish(void *arg)
{
    bootmem_init(&map);
    bootmem_finish();
    take(arg);
}

static void it_ends_with_the_hand_over(void **state)
{
    struct request request = {64, 64, NULL};

    (void)state;
    small_map();
    assert_panics(alloc_after_finish, &request, "!bootmem.finished");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_maps_hand_out_each_page_at_most_once),
        cmocka_unit_test(nothing_at_all_panics),
        cmocka_unit_test(too_many_reservations_panic_and_too_many_memories_warn),
        cmocka_unit_test(memory_beyond_the_direct_map_is_named_and_ignored),
        cmocka_unit_test(too_large_a_request_says_what_for),
        cmocka_unit_test(memory_near_the_image_comes_first),
        cmocka_unit_test(it_ends_with_the_hand_over),
    };

    return cmocka_run_group_tests(tests, enter, mm_test_shutdown);
}
