/* SPDX-License-Identifier: MIT */
/*
 * A new program's memory: segments, stack and what stands on it (System V ABI, chapter 3; the auxiliary vector of
 * getauxval(3)), heap, and where all of it is. The space is the running task's while it is built, and nobody else's.
 * No lock of its own.
 */
#include <fs/cred.h>
#include <fs/dev.h>
#include <hal/user.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/exec.h>
#include <proc/limits.h>

#include "proc_priv.h"

#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHENT 4
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_FLAGS 8
#define AT_ENTRY 9
#define AT_UID 11
#define AT_EUID 12
#define AT_GID 13
#define AT_EGID 14
#define AT_PLATFORM 15
#define AT_HWCAP 16
#define AT_CLKTCK 17
#define AT_SECURE 23
#define AT_RANDOM 25
#define AT_HWCAP2 26
#define AT_MINSIGSTKSZ 51
#define AT_EXECFN 31
#define AT_SYSINFO_EHDR 33

#define CLOCK_TICKS 100       /* USER_HZ: times(2) counts these */
#define RANDOM_BYTES 16       /* of AT_RANDOM */
#define STACK_ALIGN 16
#define STACK_ROOM ((size_t)128 << 20) /* where no mappings go: RLIMIT_STACK may be raised later; as on Linux */
#define STACK_SPARE (32 * PAGE_BYTES) /* of the stack that is mapped at once, below what stands on it */
#define CHANCE_SHIFT 6        /* random places vary by this part of the user's half */
#define HEAP_CHANCE ((vaddr_t)32 << 20)

/* Random numbers for the places of an image, drawn together: each draw costs the same. */
struct chances {
    uint64_t stack, mappings, colour, heap;
};

/* A multiple of `align`, a power of two, below `limit`. */
static vaddr_t random_offset(uint64_t number, vaddr_t limit, size_t align)
{
    return ROUND_DOWN((vaddr_t)(number % limit), (vaddr_t)align);
}

static unsigned rights_of(const struct elf_segment *segment)
{
    return (segment->rights & ELF_READ ? VM_READ : 0) | (segment->rights & ELF_WRITE ? VM_WRITE : 0) |
           (segment->rights & ELF_EXECUTE ? VM_EXEC : 0);
}

static int map_at(struct space *space, vaddr_t at, size_t bytes, unsigned rights, struct vm_object *object,
                  uint64_t offset)
{
    const struct space_request request = {
        .at = at, .bytes = bytes, .rights = rights, .flags = SPACE_PRIVATE | SPACE_FIXED_NOREPLACE,
        .object = object, .offset = offset,
    };

    return space_map(space, &request, &at);
}

/* The bytes behind the file's in its last page are zeros by right, not by what the file happens to have there: all of
 * them, for dynamic loaders take what is left of it for memory of their own. */
static int clear_tail(struct space *space, vaddr_t tail, size_t bytes, vaddr_t start, size_t mapped, unsigned rights)
{
    int result = user_clear(tail, bytes);

    if (result == 0 && (rights & VM_WRITE) == 0)
        result = space_protect(space, start, mapped, rights);
    return result;
}

static int map_segment(struct space *space, struct vm_object *object, const struct elf_segment *segment, vaddr_t base)
{
    vaddr_t start = base + segment->start;
    size_t from_file = ROUND_UP(segment->file_bytes, PAGE_BYTES);
    size_t tail = segment->zero_bytes > 0 ? from_file - segment->file_bytes : 0;
    unsigned rights = rights_of(segment);
    int result = 0;

    if (from_file > 0)
        result = map_at(space, start, from_file, rights | (tail > 0 ? VM_WRITE : 0), object, segment->file_offset);
    if (result == 0 && tail > 0)
        result = clear_tail(space, start + segment->file_bytes, tail, start, from_file, rights);
    if (result == 0 && segment->bytes > from_file)
        result = map_at(space, start + from_file, segment->bytes - from_file, rights, NULL, 0);
    return result;
}

static int map_segments(struct space *space, struct vm_object *object, const struct elf_file *elf, vaddr_t base)
{
    for (unsigned i = 0; i < elf->segment_count; i++) {
        int result = map_segment(space, object, &elf->segment[i], base);

        if (result != 0)
            return result;
    }
    return 0;
}

/* Where a movable program goes: two thirds up, as on Linux, and a random way further. */
static vaddr_t base_of_program(const struct elf_file *elf)
{
    uint64_t number;

    if (!elf->is_movable)
        return 0;
    random_bytes(&number, sizeof number);
    vaddr_t place = HAL_USER_END / 3 * 2 + random_offset(number, HAL_USER_END >> CHANCE_SHIFT, PAGE_BYTES);

    return ROUND_UP(place, (vaddr_t)elf->alignment) - ROUND_DOWN(elf->start, (vaddr_t)elf->alignment);
}

/* Where an interpreter goes: among the mappings, which are at random places. */
static int base_of_interpreter(struct space *space, const struct elf_file *elf, vaddr_t *out)
{
    const struct space_request request = {
        .bytes = elf->end - elf->start + elf->alignment, .flags = SPACE_PRIVATE,
    };
    vaddr_t at = 0;

    *out = 0;
    if (!elf->is_movable)
        return 0;
    int result = space_map(space, &request, &at);

    if (result == 0)
        result = space_unmap(space, at, request.bytes);
    if (result == 0)
        *out = ROUND_UP(at, (vaddr_t)elf->alignment) - ROUND_DOWN(elf->start, (vaddr_t)elf->alignment);
    return result;
}

/* ---- The stack ---- */

struct stack {
    vaddr_t top;
    vaddr_t name, platform, random; /* strings and bytes */
    vaddr_t strings;                /* argv's and envp's */
    vaddr_t words;                  /* argc: where the stack pointer begins */
};

static void aux_add(struct aux *aux, uint64_t type, uint64_t value)
{
    ASSERT(aux->count + 2 <= AUX_WORDS_MAX);
    aux->word[aux->count++] = type;
    aux->word[aux->count++] = value;
}

static void aux_fill(struct aux *aux, const struct image *image, const struct stack *stack)
{
    const struct cred *cred = image->cred;

    aux_add(aux, AT_SYSINFO_EHDR, image->vdso.image);
    aux_add(aux, AT_HWCAP, hal_user_facts.hwcap);
    aux_add(aux, AT_HWCAP2, hal_user_facts.hwcap2);
    aux_add(aux, AT_MINSIGSTKSZ, MAX(HAL_SIGNAL_STACK_BYTES_MIN, HAL_SIGNAL_FRAME_BYTES) + HAL_VECTOR_BYTES);
    aux_add(aux, AT_PAGESZ, PAGE_BYTES);
    aux_add(aux, AT_CLKTCK, CLOCK_TICKS);
    if (image->elf->headers != 0)
        aux_add(aux, AT_PHDR, image->base + image->elf->headers);
    aux_add(aux, AT_PHENT, ELF_PROGRAM_HEADER_BYTES);
    aux_add(aux, AT_PHNUM, image->elf->header_count);
    aux_add(aux, AT_BASE, image->interpreter_base);
    aux_add(aux, AT_FLAGS, 0);
    aux_add(aux, AT_ENTRY, image->base + image->elf->entry);
    aux_add(aux, AT_UID, cred->user.real);
    aux_add(aux, AT_EUID, cred->user.effective);
    aux_add(aux, AT_GID, cred->group.real);
    aux_add(aux, AT_EGID, cred->group.effective);
    aux_add(aux, AT_SECURE, image->is_secure);
    aux_add(aux, AT_RANDOM, stack->random);
    aux_add(aux, AT_EXECFN, stack->name);
    aux_add(aux, AT_PLATFORM, stack->platform);
    aux_add(aux, AT_NULL, 0);
}

/* From the top: a zero word, the program's name, the strings, the machine's name, random bytes, then the words. */
static void lay_out(struct stack *stack, const struct image *image, unsigned aux_words)
{
    const struct exec_args *args = image->args;
    /* argc, and a zero behind either vector. */
    size_t words = 3 + (size_t)args->argc + args->envc + aux_words;

    stack->name = stack->top - sizeof(uint64_t) - strlen(image->shown) - 1;
    stack->strings = stack->name - args_bytes(args);
    stack->platform = stack->strings - strlen(hal_user_facts.platform) - 1;
    stack->random = ROUND_DOWN(stack->platform - RANDOM_BYTES, (vaddr_t)STACK_ALIGN);
    stack->words = ROUND_DOWN(stack->random - words * sizeof(uint64_t), (vaddr_t)STACK_ALIGN);
}

static int fill_stack(const struct stack *stack, struct image *image)
{
    const struct exec_args *args = image->args;
    const uint64_t argc = args->argc;
    vaddr_t vectors = stack->words + sizeof argc;
    vaddr_t aux_at = vectors + ((vaddr_t)args->argc + args->envc + 2) * sizeof(uint64_t);
    uint8_t random[RANDOM_BYTES];
    int result = user_copy_out(stack->words, &argc, sizeof argc);

    random_bytes(random, sizeof random);
    image->aux.count = 0;
    aux_fill(&image->aux, image, stack);
    if (result == 0)
        result = args_put(args, stack->strings, vectors);
    if (result == 0)
        result = user_copy_out(aux_at, image->aux.word, image->aux.count * sizeof image->aux.word[0]);
    if (result == 0)
        result = user_copy_out(stack->random, random, sizeof random);
    if (result == 0)
        result = user_copy_out(stack->platform, hal_user_facts.platform, strlen(hal_user_facts.platform) + 1);
    if (result == 0)
        result = user_copy_out(stack->name, image->shown, strlen(image->shown) + 1);
    return result;
}

size_t image_stack_bytes_max(uint64_t limit)
{
    return ROUND_UP((size_t)MIN(MAX(limit, STACK_SPARE), (uint64_t)HAL_USER_END / 16), PAGE_BYTES);
}

/* The place of the stack, and below it of the mappings. The interpreter's place depends on it. */
static void place_stack(struct image *image, const struct chances *chances)
{
    size_t most = image_stack_bytes_max(image->stack_limit);
    size_t room = MAX(most, STACK_ROOM);
    vaddr_t chance = HAL_USER_END >> CHANCE_SHIFT;

    image->stack_top = ROUND_DOWN(HAL_USER_END, PAGE_BYTES) - PAGE_BYTES -
                       random_offset(chances->stack, chance, PAGE_BYTES);
    image->space->stack_bytes_max = most;
    space_set_map_top(image->space, image->stack_top - room - VM_STACK_GUARD_BYTES -
                                        random_offset(chances->mappings, chance, PAGE_BYTES));
}

static int make_stack(struct image *image, const struct chances *chances)
{
    struct aux counted = { .count = 0 };
    /* A random start within a cache's colours: not all stacks begin in the same lines. */
    struct stack stack = { .top = image->stack_top - random_offset(chances->colour, PAGE_BYTES / 2, STACK_ALIGN) };

    aux_fill(&counted, image, &stack);
    lay_out(&stack, image, counted.count);
    vaddr_t start = ROUND_DOWN(stack.words, (vaddr_t)PAGE_BYTES) - STACK_SPARE;
    const struct space_request request = {
        .at = start,
        .bytes = image->stack_top - start,
        .rights = VM_READ | VM_WRITE | (image->elf->stack == ELF_STACK_EXECUTABLE ? VM_EXEC : 0),
        .flags = SPACE_PRIVATE | SPACE_FIXED_NOREPLACE | SPACE_GROWS_DOWN,
    };
    int result = space_map(image->space, &request, &start);

    if (result == 0)
        result = fill_stack(&stack, image);
    image->sp = stack.words;
    return result;
}

int image_build(struct image *image)
{
    const struct elf_file *interpreter = image->interpreter;
    struct chances chances;

    random_bytes(&chances, sizeof chances);
    place_stack(image, &chances);
    image->base = base_of_program(image->elf);
    int result = map_segments(image->space, image->object, image->elf, image->base);

    if (result == 0 && interpreter != NULL)
        result = base_of_interpreter(image->space, interpreter, &image->interpreter_base);
    if (result == 0 && interpreter != NULL)
        result = map_segments(image->space, image->interpreter_object, interpreter, image->interpreter_base);
    if (result == 0)
        result = vdso_map(image->space, &image->vdso);
    if (result == 0)
        result = make_stack(image, &chances);
    if (result == 0)
        result = space_set_heap(image->space, ROUND_UP(image->base + image->elf->memory_end, PAGE_BYTES) +
                                                  random_offset(chances.heap, HEAP_CHANCE, PAGE_BYTES));
    image->entry = interpreter != NULL ? image->interpreter_base + interpreter->entry
                                       : image->base + image->elf->entry;
    /* Whatever does not fit, or cannot be faulted in, in a space that has nothing yet: there is no room for it. */
    return result != 0 ? -ENOMEM : 0;
}
