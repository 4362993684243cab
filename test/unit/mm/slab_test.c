/* SPDX-License-Identifier: MIT */
/* core/mm/slab.c: objects of all sizes against a plain list of them, misuse, constructors, several CPUs on a cache. */
#include "mm_test.h"

#include <stdlib.h>

#define OBJECTS_MAX 3000

static const struct {
    size_t bytes, align;
} shapes[] = {{1, 1},     {8, 8},      {24, 8},      {40, 8},       {64, 64},      {65, 1},      {200, 16},
              {1000, 8},  {1024, 64},  {2048, 2048}, {4096, 8},     {4096, 4096},  {9000, 64},   {32768, 8},
              {16, 4096}, {3000, 128}, {512, 1},     {32768, 4096}, {12288, 4096}, {1365, 1024}};

static struct slab_cache caches[ARRAY_COUNT(shapes)];
static struct slab_cache other;
static unsigned char *objects[OBJECTS_MAX];

static int enter(void **state)
{
    (void)mm_test_boot(state);
    for (unsigned i = 0; i < ARRAY_COUNT(shapes); i++)
        slab_cache_init(&caches[i], "test", shapes[i].bytes, shapes[i].align);
    slab_cache_init(&other, "other", 200, 16);
    return 0;
}

static void fill(unsigned char *object, size_t bytes)
{
    memset(object, (int)((uintptr_t)object >> 3 & 0xff), bytes);
}

static void check(const unsigned char *object, size_t bytes)
{
    bool same = true;

    for (size_t i = 0; i < bytes; i++)
        same &= object[i] == ((uintptr_t)object >> 3 & 0xff);
    assert_true(same);
}

static void churn_cache(struct slab_cache *cache, size_t bytes, size_t align, struct unit_random *random)
{
    unsigned limit = (unsigned)MIN((size_t)OBJECTS_MAX, ((size_t)4 << 20) / bytes);
    unsigned count = 0;

    for (unsigned step = 0; step < 4000; step++) {
        bool grow = unit_random_below(random, 100) < (step / 700 % 2 == 0 ? 80 : 20);

        if (grow && count < limit) {
            unsigned char *object = slab_alloc(cache);

            assert_non_null(object);
            assert_true((uintptr_t)object % align == 0);
            /* As few cache lines as the size needs. */
            if (bytes <= CACHE_LINE_BYTES)
                assert_true(((uintptr_t)object ^ ((uintptr_t)object + bytes - 1)) < CACHE_LINE_BYTES);
            objects[count++] = object;
            fill(object, bytes);
        } else if (count > 0) {
            unsigned victim = (unsigned)unit_random_below(random, count);

            check(objects[victim], bytes);
            slab_free(cache, objects[victim]);
            objects[victim] = objects[--count];
        }
        assert_true(slab_used(cache) == count);
    }
    while (count > 0) {
        check(objects[--count], bytes);
        slab_free(cache, objects[count]);
    }
}

static void random_objects_of_all_shapes_never_overlap(void **state)
{
    struct unit_random random = {19};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(shapes); i++) {
        churn_cache(&caches[i], shapes[i].bytes, shapes[i].align, &random);
        assert_true(slab_used(&caches[i]) == 0);
        /* A few empty slabs are kept until somebody asks, those of objects in the magazine, and the magazine. */
        assert_true(caches[i].slabs <= 2 + caches[i].magazine_limit);
        assert_true(mm_test_pages_before - mm_test_free_pages() <= (caches[i].slabs << caches[i].order) + 1);
        slab_reclaim_all();
        assert_true(mm_test_free_pages() == mm_test_pages_before);
        assert_true(caches[i].slabs == 0);
    }
}

static void slabs_waste_little(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(shapes); i++) {
        size_t slab = PAGE_BYTES << caches[i].order;

        assert_true(caches[i].per_slab > 0);
        assert_true(caches[i].per_slab * caches[i].stride_bytes < slab);
        /* The header takes a place of the object's alignment, which for page-aligned objects is much. */
        if (shapes[i].align < PAGE_BYTES && shapes[i].bytes < 8 * PAGE_BYTES)
            assert_true(caches[i].per_slab * caches[i].stride_bytes * 4 >= slab * 3);
    }
}

static void no_memory_is_null_and_undone(void **state)
{
    unsigned count = 0;
    void *chain = NULL;
    void *object;

    (void)state;
    for (uint32_t nth = 1; nth <= 2; nth++) {
        mm_fail_at(nth); /* the call itself, then the pages */
        assert_null(slab_alloc(&caches[8]));
        assert_true(mm_fail_fired());
        assert_true(mm_test_free_pages() == mm_test_pages_before);
    }
    mm_fail_at(3);
    object = slab_alloc(&caches[8]);
    assert_non_null(object);
    assert_false(mm_fail_fired());
    slab_free(&caches[8], object);
    /* And with memory really gone. */
    while ((object = slab_alloc(&caches[8])) != NULL) {
        *(void **)object = chain;
        chain = object;
        count++;
    }
    assert_true(slab_used(&caches[8]) == count && count > 10000);
    while (chain != NULL) {
        object = chain;
        chain = *(void **)object;
        slab_free(&caches[8], object);
    }
}

static void free_twice(void *object)
{
    slab_free(&caches[6], object);
    slab_free(&caches[6], object);
}

static void free_it(void *object)
{
    slab_free(&caches[6], object);
}

static void free_elsewhere(void *object)
{
    slab_free(&other, object);
}

static void wrong_frees_panic_in_every_build(void **state)
{
    char *object = slab_alloc(&caches[6]);
    char *neighbour = slab_alloc(&caches[6]);
    paddr_t page = phys_alloc_zeroed(0);
    int local;

    (void)state;
    assert_panics(free_twice, object, "free already");
    assert_panics(free_it, object + 1, "not the start of an object");
    assert_panics(free_it, object + 8, "not the start of an object");
    assert_panics(free_it, (void *)ROUND_DOWN((uintptr_t)object, PAGE_BYTES), "not the start of an object");
    assert_panics(free_elsewhere, object, "no object of this cache");
    assert_panics(free_it, phys_to_virt(page), "no object of this cache");
    assert_panics(free_it, &local, "no object at all");
    assert_panics(free_it, NULL, "no object at all");
    phys_free(page, 0);
    slab_free(&caches[6], object);
    slab_free(&caches[6], neighbour);
}

static void overrun(void *object)
{
    ((volatile unsigned char *)object)[200] = 1;
    slab_free(&caches[6], object);
}

static void write_after_free(void *object)
{
    slab_free(&caches[6], object);
    ((volatile unsigned char *)object)[100] = 1;
    (void)slab_alloc(&caches[6]);
}

static void overruns_and_late_writes_are_found_in_debug_builds(void **state)
{
    void *object = slab_alloc(&caches[6]);

    (void)state;
    if (KERNEL_DEBUG) {
        assert_panics(overrun, object, "the red zone");
        assert_panics(write_after_free, object, "the poison");
    }
    slab_free(&caches[6], object);
}

static void init_too_large(void *arg)
{
    (void)arg;
    slab_cache_init(&other, "too large", 8 * PAGE_BYTES + 1, 8);
}

static void init_odd_align(void *arg)
{
    (void)arg;
    slab_cache_init(&other, "odd", 8, 24);
}

static void impossible_caches_panic(void **state)
{
    (void)state;
    assert_panics(init_too_large, NULL, "SLAB_OBJECT_BYTES_MAX");
    assert_panics(init_odd_align, NULL, "align");
}

/* ---- Objects that stay constructed ---- */

struct gadget {
    struct list_node waiters;
    uint64_t serial;
    uint64_t uses; /* not part of what is constructed, and 0 when it is freed */
    char name[21];
};

#define GADGET_BYTES (offsetof(struct gadget, name) + 21) /* no whole number of words */

static struct slab_cache gadgets;
static uint64_t constructed;

static void gadget_construct(void *object)
{
    struct gadget *gadget = object;

    list_init(&gadget->waiters);
    gadget->serial = ++constructed;
    gadget->uses = 0;
    memset(gadget->name, 'g', sizeof(gadget->name));
}

static bool gadget_is_constructed(const struct gadget *gadget)
{
    bool is_named = true;

    for (unsigned i = 0; i < sizeof(gadget->name); i++)
        is_named &= gadget->name[i] == 'g';
    return is_named && list_is_empty(&gadget->waiters) && gadget->uses == 0 && gadget->serial <= constructed;
}

static void objects_are_constructed_once_and_stay_so(void **state)
{
    static uint64_t serial_of[OBJECTS_MAX];
    struct gadget **held = (struct gadget **)objects;

    (void)state;
    slab_cache_init_with(&gadgets, "gadget", GADGET_BYTES, alignof(struct gadget), gadget_construct);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 200; i++) {
            held[i] = slab_alloc(&gadgets);
            assert_true(gadget_is_constructed(held[i]));
            if (round == 0)
                serial_of[i] = held[i]->serial;
            held[i]->uses = round + 1;
        }
        /* All of a slab when it is made, and none when it is handed out again; slabs that are empty may go. */
        assert_true(constructed % gadgets.per_slab == 0);
        assert_true(round > 0 || constructed == gadgets.slabs * gadgets.per_slab);
        assert_true(constructed <= (round + 1) * gadgets.slabs * gadgets.per_slab);
        for (unsigned i = 0; i < 200; i++) {
            held[i]->uses = 0;
            slab_free(&gadgets, held[i]);
        }
    }
    for (unsigned i = 0; i < 200; i++)
        for (unsigned j = 0; j < i; j++)
            assert_true(serial_of[i] != serial_of[j]);
    slab_reclaim_all();
    assert_true(gadgets.slabs == 0);
    uint64_t before = constructed;

    held[0] = slab_alloc(&gadgets);
    assert_true(held[0]->serial > before);
    slab_free(&gadgets, held[0]);
}

static void write_to_free_gadget(void *object)
{
    slab_free(&gadgets, object);
    ((struct gadget *)object)->name[20] = 'h'; /* the last byte, which is in no whole word */
    (void)slab_alloc(&gadgets);
}

static void overrun_gadget(void *object)
{
    ((volatile char *)object)[GADGET_BYTES] = 1;
    slab_free(&gadgets, object);
}

static void late_writes_to_constructed_objects_are_found_in_debug_builds(void **state)
{
    struct gadget *gadget = slab_alloc(&gadgets);

    (void)state;
    if (KERNEL_DEBUG) {
        assert_panics(write_to_free_gadget, gadget, "written to while it was free");
        assert_panics(overrun_gadget, gadget, "the red zone");
    }
    slab_free(&gadgets, gadget);
}

/* The index of every offset is found without a division: against one, for every stride that there can be. */
static void the_position_of_an_offset_is_what_division_says(void **state)
{
    (void)state;
    for (size_t stride = 8; stride <= SLAB_OBJECT_BYTES_MAX + 64; stride += 8) {
        uint64_t inverse = UINT64_MAX / stride + 1;

        for (size_t offset = 0; offset < PAGE_BYTES << 4; offset += 1 + offset % 7) {
            unsigned __int128 position = (unsigned __int128)offset * inverse;

            assert_true((size_t)(position >> 64) == offset / stride);
            assert_true(((uint64_t)position < inverse) == (offset % stride == 0));
        }
    }
}

/* ---- Several CPUs ---- */

static struct slab_cache shared[2];

static void prepare(void)
{
    slab_cache_init(&shared[0], "small", 48, 8);
    slab_cache_init(&shared[1], "large", 1500, 8);
}

static void churn(cpu_id_t cpu, struct unit_random *random)
{
    uintptr_t *own[40] = {NULL};

    for (unsigned step = 0; step < 600; step++) {
        unsigned i = (unsigned)unit_random_below(random, ARRAY_COUNT(own));

        if (own[i] == NULL) {
            own[i] = slab_alloc(&shared[i % 2]);
            ASSERT(own[i] != NULL);
            own[i][0] = own[i][5] = cpu * 1000 + i;
        } else {
            ASSERT(own[i][0] == cpu * 1000 + i && own[i][5] == cpu * 1000 + i);
            slab_free(&shared[i % 2], own[i]);
            own[i] = NULL;
        }
        if (step % 100 == 0)
            slab_reclaim_all();
    }
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        if (own[i] != NULL)
            slab_free(&shared[i % 2], own[i]);
}

static void several_cpus_share_a_cache(void **state)
{
    (void)state;
    mm_test_run_team(prepare, churn, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(random_objects_of_all_shapes_never_overlap),
        mm_test(slabs_waste_little),
        mm_test(no_memory_is_null_and_undone),
        mm_test(wrong_frees_panic_in_every_build),
        mm_test(overruns_and_late_writes_are_found_in_debug_builds),
        mm_test(impossible_caches_panic),
        mm_test(objects_are_constructed_once_and_stay_so),
        mm_test(late_writes_to_constructed_objects_are_found_in_debug_builds),
        mm_test(the_position_of_an_offset_is_what_division_says),
    };
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(several_cpus_share_a_cache),
    };

    return cmocka_run_group_tests(tests, enter, mm_test_shutdown) + cmocka_run_group_tests(teams, NULL, NULL);
}
