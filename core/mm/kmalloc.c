/* SPDX-License-Identifier: MIT */
/*
 * Sizes without a type. Owns a cache for each class of sizes: 16 to 128 bytes in powers of two, from there two classes
 * for each, so that above 128 bytes at most a third is wasted. Above CLASS_BYTES_MAX come blocks of pages, which waste
 * nothing at 32 KiB, where a slab, with its header, would hold one object and waste half. No lock of its own.
 *
 * kfree() gets no size. What a piece of memory is stands in the descriptor of its page (page.used, which belongs to
 * whoever holds the page): the class of a slab's pages, or BLOCK_MARK. Nothing of it lies before the memory, where an
 * underrun would destroy it and the alignment would suffer. For an object the mark is only a hint: the cache that it
 * names looks whether the object is one of its own.
 */
#include "mm_priv.h"

#include <mm/kmalloc.h>

#include <lib/string.h>

#define ALIGN 16
#define SMALL_BYTES_MAX ((size_t)1024)
#define CLASS_BYTES_MAX ((size_t)24576)
#define BLOCK_MARK UINT16_MAX

static const struct {
    size_t bytes;
    const char *name;
} shapes[] = {
    {16, "kmalloc 16"},       {32, "kmalloc 32"},       {64, "kmalloc 64"},       {128, "kmalloc 128"},
    {192, "kmalloc 192"},     {256, "kmalloc 256"},     {384, "kmalloc 384"},     {512, "kmalloc 512"},
    {768, "kmalloc 768"},     {1024, "kmalloc 1024"},   {1536, "kmalloc 1536"},   {2048, "kmalloc 2048"},
    {3072, "kmalloc 3072"},   {4096, "kmalloc 4096"},   {6144, "kmalloc 6144"},   {8192, "kmalloc 8192"},
    {12288, "kmalloc 12288"}, {16384, "kmalloc 16384"}, {24576, "kmalloc 24576"},
};

#define CLASS_COUNT ARRAY_COUNT(shapes)

static struct slab_cache classes[CLASS_COUNT];

/* The class by size: in steps of 16 up to SMALL_BYTES_MAX, in steps of 512 above. */
static const uint8_t small_class[SMALL_BYTES_MAX / 16 + 1] = {
    [0 ... 1] = 0,   [2] = 1,         [3 ... 4] = 2,   [5 ... 8] = 3,   [9 ... 12] = 4,
    [13 ... 16] = 5, [17 ... 24] = 6, [25 ... 32] = 7, [33 ... 48] = 8, [49 ... 64] = 9,
};
static const uint8_t large_class[CLASS_BYTES_MAX / 512 + 1] = {
    [0 ... 3] = 10,  [4] = 11,         [5 ... 6] = 12,   [7 ... 8] = 13,   [9 ... 12] = 14,
    [13 ... 16] = 15, [17 ... 24] = 16, [25 ... 32] = 17, [33 ... 48] = 18,
};

void kmalloc_init(void)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        slab_cache_init(&classes[i], shapes[i].name, shapes[i].bytes, ALIGN);
        classes[i].page_mark = (uint16_t)(i + 1);
    }
}

static NOINLINE void *block_alloc(size_t bytes)
{
    unsigned order = 0;
    paddr_t block;

    if (bytes > PAGE_BYTES << PHYS_ORDER_MAX)
        return NULL;
    while (PAGE_BYTES << order < bytes)
        order++;
    block = phys_alloc(order);
    if (block == 0)
        return NULL;
    page_find(block)->used = BLOCK_MARK;
    mm_stat_add(MM_KMALLOC, (int64_t)1 << order);
    return direct_map(block);
}

static ALWAYS_INLINE void *alloc_for(size_t bytes, uintptr_t pc)
{
    struct slab_cache *cache;
    void *object;

    if (LIKELY(bytes <= SMALL_BYTES_MAX))
        cache = &classes[small_class[(bytes + 15) / 16]];
    else if (bytes <= CLASS_BYTES_MAX)
        cache = &classes[large_class[(bytes + 511) / 512]];
    else
        return block_alloc(bytes);
    if (!KERNEL_DEBUG)
        return slab_alloc(cache);
    object = slab_alloc(cache);
    if (object != NULL)
        slab_debug_set_owner(cache, object, pc);
    return object;
}

void *kmalloc(size_t bytes)
{
    return alloc_for(bytes, (uintptr_t)__builtin_return_address(0));
}

void *kzalloc(size_t bytes)
{
    void *memory = alloc_for(bytes, (uintptr_t)__builtin_return_address(0));

    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void *kmalloc_array(size_t count, size_t bytes)
{
    size_t all;

    if (__builtin_mul_overflow(count, bytes, &all))
        return NULL;
    return alloc_for(all, (uintptr_t)__builtin_return_address(0));
}

[[noreturn]] COLD NOINLINE static void refuse(const void *memory)
{
    panic("kfree of %p, which kmalloc did not give, or has back already", memory);
}

/* What the descriptor of its page says of it; 0: nothing. */
static ALWAYS_INLINE unsigned mark_of(const void *memory, struct page **out_page)
{
    paddr_t pa = (uintptr_t)memory - (uintptr_t)HAL_DIRECT_MAP_BASE;

    *out_page = page_find(ROUND_DOWN(pa, PAGE_BYTES));
    return LIKELY(*out_page != NULL) ? (*out_page)->used : 0;
}

/* The order of a block that begins here. */
static unsigned block_order(const void *memory, struct page *page)
{
    unsigned tag = page_tag(page);

    if ((uintptr_t)memory % PAGE_BYTES != 0 || tag < TAG_ALLOCATED)
        refuse(memory);
    return tag - TAG_ALLOCATED;
}

static NOINLINE void block_free(void *memory, struct page *page, unsigned mark)
{
    unsigned order;

    if (mark != BLOCK_MARK)
        refuse(memory);
    order = block_order(memory, page);
    page->used = 0;
    mm_stat_add(MM_KMALLOC, -((int64_t)1 << order));
    phys_free(virt_to_phys(memory), order);
}

void kfree(void *memory)
{
    struct page *page;
    unsigned mark;

    if (UNLIKELY(memory == NULL))
        return;
    mark = mark_of(memory, &page);
    if (LIKELY(mark - 1 < CLASS_COUNT))
        slab_free(&classes[mark - 1], memory);
    else
        block_free(memory, page, mark);
}

size_t kmalloc_usable(const void *memory)
{
    struct page *page;
    unsigned mark = mark_of(memory, &page);

    if (LIKELY(mark - 1 < CLASS_COUNT))
        return shapes[mark - 1].bytes;
    if (mark != BLOCK_MARK)
        refuse(memory);
    return PAGE_BYTES << block_order(memory, page);
}
