/* SPDX-License-Identifier: MIT */
/*
 * The pages that programs get from the kernel: the numbers of the clock, and behind them an ELF image, made at boot, of
 * the machine's code and the names that C libraries look for (ELF specification; symbol versions: the Linux Standard
 * Base). Owns their object. The numbers that change are one word each: no lock.
 */
#include <proc/vdso.h>

#include <hal/usermode.h>
#include <hal/vdso.h>
#include <k/panic.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <time/wall.h>
#include <vm/object.h>
#include <vm/space.h>

#define VDSO_PAGES 2 /* numbers, image */

static const uint8_t return_code[] = HAL_SIGNAL_RETURN_CODE;

static struct {
    struct vm_object *object;    /* one reference, for ever */
    struct hal_vdso_data *data;
    size_t return_at;            /* in the image */
} vdso RO_AFTER_INIT;

static_assert(HAL_VDSO_SHIFT == CLOCK_SHIFT);

/* ---- The image ---- */

struct header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, segments, sections;
    uint32_t flags;
    uint16_t bytes, segment_bytes, segment_count, section_bytes, section_count, section_names;
};

struct segment {
    uint32_t type, flags;
    uint64_t offset, va, pa, file_bytes, memory_bytes, align;
};

struct symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, bytes;
};

struct version {
    uint16_t revision, flags, index, count;
    uint32_t hash, name_at, next_at;
    uint32_t name, next_name_at;
};

struct dynamic {
    int64_t tag;
    uint64_t value;
};

#define SYMBOLS_MAX 16
#define DYNAMIC_COUNT 10
#define VERSION_BASE 1
#define VERSION_OWN 2
#define SYMBOL_GLOBAL_FUNCTION 0x12
#define SECTION_ANY 1 /* there are none; but 0 would say that the symbol is somewhere else */

/* What stands in front of the code; the strings follow. */
struct image {
    struct header header;
    struct segment segments[2];
    struct dynamic dynamic[DYNAMIC_COUNT];
    struct symbol symbols[SYMBOLS_MAX];
    struct version versions[2];
    uint32_t hash[3 + SYMBOLS_MAX]; /* of one bucket */
    uint16_t symbol_versions[SYMBOLS_MAX];
};

struct builder {
    struct image *image;
    size_t used; /* bytes of the page */
    size_t strings_at;
    unsigned symbol_count;
};

static uint32_t add_string(struct builder *builder, const char *text)
{
    size_t bytes = strlen(text) + 1;
    size_t at = builder->used;

    ASSERT(at + bytes <= PAGE_BYTES);
    (void)memcpy((uint8_t *)builder->image + at, text, bytes);
    builder->used += bytes;
    return (uint32_t)(at - builder->strings_at);
}

static size_t add_code(struct builder *builder, const uint8_t *code, size_t bytes)
{
    size_t at = ROUND_UP(builder->used, (size_t)HAL_VDSO_ALIGN);

    ASSERT(at + bytes <= PAGE_BYTES);
    (void)memcpy((uint8_t *)builder->image + at, code, bytes);
    builder->used = at + bytes;
    return at;
}

/* The ELF specification's. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 0;

    for (; *name != '\0'; name++) {
        hash = (hash << 4) + (uint8_t)*name;
        uint32_t high = hash & 0xf0000000;

        hash = (hash ^ high >> 24) & ~high;
    }
    return hash;
}

static void add_symbol(struct builder *builder, const char *name, size_t value, size_t bytes)
{
    struct image *image = builder->image;
    unsigned index = builder->symbol_count++;

    ASSERT(index < SYMBOLS_MAX);
    image->symbols[index] = (struct symbol){
        .name = add_string(builder, name),
        .info = SYMBOL_GLOBAL_FUNCTION,
        .section = SECTION_ANY,
        .value = value,
        .bytes = bytes,
    };
    image->symbol_versions[index] = VERSION_OWN;
}

static void fill_version(struct builder *builder, unsigned index, const char *name, bool is_base)
{
    builder->image->versions[index] = (struct version){
        .revision = 1,
        .flags = is_base,
        .index = is_base ? VERSION_BASE : VERSION_OWN,
        .count = 1,
        .hash = hash_of(name),
        .name_at = offsetof(struct version, name),
        .next_at = is_base ? sizeof(struct version) : 0,
        .name = add_string(builder, name),
    };
}

/* One bucket: its chain has all symbols. */
static void fill_hash(struct image *image, unsigned count)
{
    image->hash[0] = 1;
    image->hash[1] = count;
    image->hash[2] = count > 1 ? 1 : 0;
    for (unsigned i = 1; i < count; i++)
        image->hash[3 + i] = i + 1 < count ? i + 1 : 0;
}

static void fill_dynamic(struct builder *builder, size_t strings_end)
{
    struct image *image = builder->image;
    const struct dynamic dynamic[DYNAMIC_COUNT] = {
        { 14, image->versions[0].name }, /* SONAME */
        { 4, offsetof(struct image, hash) },
        { 5, builder->strings_at },
        { 10, strings_end - builder->strings_at },
        { 6, offsetof(struct image, symbols) },
        { 11, sizeof(struct symbol) },
        { 0x6ffffff0, offsetof(struct image, symbol_versions) },
        { 0x6ffffffc, offsetof(struct image, versions) },
        { 0x6ffffffd, 2 }, /* so many */
        { 0, 0 },
    };

    (void)memcpy(image->dynamic, dynamic, sizeof dynamic);
}

static void fill_headers(struct builder *builder)
{
    struct image *image = builder->image;

    image->header = (struct header){
        .ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, /* 64 bits, little-endian */
        .type = 3,                                 /* shared object */
        .machine = HAL_ELF_MACHINE,
        .version = 1,
        .segments = offsetof(struct image, segments),
        .bytes = sizeof(struct header),
        .segment_bytes = sizeof(struct segment),
        .segment_count = 2,
    };
    image->segments[0] = (struct segment){
        .type = 1, .flags = 5, .file_bytes = builder->used, .memory_bytes = builder->used, .align = PAGE_BYTES,
    };
    image->segments[1] = (struct segment){
        .type = 2,
        .flags = 4,
        .offset = offsetof(struct image, dynamic),
        .va = offsetof(struct image, dynamic),
        .file_bytes = sizeof image->dynamic,
        .memory_bytes = sizeof image->dynamic,
        .align = sizeof(uint64_t),
    };
}

/* Symbols' strings come before the code, whose place they need: it is counted first. */
static size_t strings_bytes(void)
{
    size_t bytes = 1 + sizeof "linux-vdso.so.1" + strlen(hal_vdso.version) + 1;

    if (hal_vdso.return_name != NULL)
        bytes += strlen(hal_vdso.return_name) + 1;
    for (unsigned i = 0; i < hal_vdso.symbol_count; i++)
        bytes += strlen(hal_vdso.symbols[i].name) + 1;
    return bytes;
}

static void build(void *page)
{
    struct builder builder = { .image = page, .strings_at = sizeof(struct image), .symbol_count = 1 };

    builder.used = builder.strings_at + strings_bytes();
    size_t strings_end = builder.used;
    /* Not at the page's beginning: unwinders look for the caller of what returns there, one instruction before. */
    vdso.return_at = add_code(&builder, return_code, sizeof return_code);
    size_t code_at = add_code(&builder, hal_vdso.code, (size_t)(hal_vdso.end - hal_vdso.code));
    size_t end = builder.used;

    builder.used = builder.strings_at;
    (void)add_string(&builder, "");
    fill_version(&builder, 0, "linux-vdso.so.1", true);
    fill_version(&builder, 1, hal_vdso.version, false);
    if (hal_vdso.return_name != NULL)
        add_symbol(&builder, hal_vdso.return_name, vdso.return_at, sizeof return_code);
    for (unsigned i = 0; i < hal_vdso.symbol_count; i++) {
        size_t offset = (size_t)(hal_vdso.symbols[i].code - hal_vdso.code);

        add_symbol(&builder, hal_vdso.symbols[i].name, code_at + offset, (size_t)(end - code_at - offset));
    }
    ASSERT(builder.used == strings_end);
    builder.used = end;
    fill_hash(page, builder.symbol_count);
    fill_dynamic(&builder, strings_end);
    fill_headers(&builder);
}

/* ---- Its life ---- */

void vdso_init(void)
{
    paddr_t data, image;

    if (vm_object_create((uint64_t)VDSO_PAGES * PAGE_BYTES, &vdso.object) != 0 ||
        vm_object_page(vdso.object, 0, &data) != 0 || vm_object_page(vdso.object, 1, &image) != 0)
        panic("no memory for the pages of code that programs get");
    build(phys_to_virt(image));
    vdso.data = phys_to_virt(data);
    vdso.data->ns_mult = clock_scale.ns_mult;
    vdso_wall_was_set();
    phys_put(data);
    phys_put(image);
}

void vdso_wall_was_set(void)
{
    store_relaxed(&vdso.data->wall_offset_ns, load_relaxed(&wall_offset_ns));
}

bool vdso_is(const struct vm_object *object)
{
    return object == vdso.object;
}

int vdso_map(struct space *space, struct vdso_place *out)
{
    const struct space_request request = {
        .bytes = VDSO_PAGES * PAGE_BYTES,
        .rights = VM_READ | VM_EXEC,
        .flags = SPACE_PRIVATE,
        .object = vdso.object,
    };
    vaddr_t va = 0;
    int result = space_map(space, &request, &va);

    if (result == 0)
        *out = (struct vdso_place){ .image = va + PAGE_BYTES, .return_code = va + PAGE_BYTES + vdso.return_at };
    return result;
}
