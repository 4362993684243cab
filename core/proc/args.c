/* SPDX-License-Identifier: MIT */
/*
 * The strings of a new program, on their way from the old space to the new one: in an object's pages, argv's one after
 * the other, then envp's. What scripts put before them stands in `front`. Limits are Linux's: a quarter of what the
 * stack may be, pointers counted in. Owns nothing else; belongs to one exec, no lock.
 */
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <parse/script.h>
#include <proc/exec.h>
#include <vm/object.h>

#include "proc_priv.h"

#define ARGS_BYTES_MIN (32 * PAGE_BYTES)
#define ARGS_BYTES_MAX (SPACE_STACK_BYTES_MAX / 4 * 3)
#define PIECE_BYTES 256u /* of a copy: most strings are shorter */

int args_begin(struct exec_args *args, uint64_t stack_limit)
{
    *args = (struct exec_args){ .limit = MIN(MAX(stack_limit / 4, ARGS_BYTES_MIN), ARGS_BYTES_MAX) };
    return vm_object_create(args->limit, &args->object);
}

void args_end(struct exec_args *args)
{
    if (args->object != NULL)
        vm_object_put(args->object);
}

/* What all strings and their pointers will take. */
static bool is_too_big(const struct exec_args *args)
{
    return args->bytes + ((uint64_t)args->argc + args->envc) * sizeof(vaddr_t) > args->limit;
}

static int append(struct exec_args *args, const void *from, size_t bytes)
{
    if (args->bytes + bytes > args->limit)
        return -E2BIG;
    int64_t written = vm_object_write(args->object, args->bytes, from, bytes);

    if (written < 0)
        return (int)written;
    args->bytes += bytes;
    return (size_t)written == bytes ? 0 : -ENOMEM;
}

/* One string is complete. */
static int count_string(struct exec_args *args, bool is_env, uint64_t began)
{
    if (is_env)
        args->envc++;
    else if (args->argc++ == 0)
        args->first_bytes = args->bytes - began;
    return is_too_big(args) ? -E2BIG : 0;
}

static int add_kernel(struct exec_args *args, bool is_env, const char *string)
{
    uint64_t began = args->bytes;
    int result = append(args, string, strlen(string) + 1);

    return result != 0 ? result : count_string(args, is_env, began);
}

/* Not a page is touched that the string has no part in. */
static int add_user(struct exec_args *args, bool is_env, vaddr_t string)
{
    uint64_t began = args->bytes;
    char piece[PIECE_BYTES];

    for (;;) {
        size_t bytes = MIN(sizeof piece, PAGE_BYTES - string % PAGE_BYTES);
        int result = user_copy_in(piece, string, bytes);

        if (result != 0)
            return result;
        const char *end = memchr(piece, 0, bytes);
        size_t used = end != NULL ? (size_t)(end - piece) + 1 : bytes;

        if (args->bytes - began + used > EXEC_STRING_BYTES_MAX)
            return -E2BIG;
        result = append(args, piece, used);
        if (result != 0)
            return result;
        if (end != NULL)
            return count_string(args, is_env, began);
        string += bytes;
    }
}

static int add_vector(struct exec_args *args, bool is_env, vaddr_t vector)
{
    for (; vector != 0; vector += sizeof(vaddr_t)) {
        vaddr_t string = 0;
        int result = user_copy_in(&string, vector, sizeof string);

        if (result != 0 || string == 0)
            return result;
        result = add_user(args, is_env, string);
        if (result != 0)
            return result;
    }
    return 0;
}

static int add_kernel_vector(struct exec_args *args, bool is_env, const char *const *vector)
{
    for (; vector != NULL && *vector != NULL; vector++) {
        int result = add_kernel(args, is_env, *vector);

        if (result != 0)
            return result;
    }
    return 0;
}

int args_add_all(struct exec_args *args, const struct exec_request *request)
{
    bool is_kernel = request->kernel_argv != NULL;
    int result = is_kernel ? add_kernel_vector(args, false, request->kernel_argv)
                           : add_vector(args, false, request->argv);

    if (result == 0 && args->argc == 0)
        result = add_kernel(args, false, ""); /* programs take argv[0] for granted: Linux since 5.18 */
    if (result != 0)
        return result;
    args->argv_bytes = args->bytes;
    return is_kernel ? add_kernel_vector(args, true, request->kernel_envp) : add_vector(args, true, request->envp);
}

/* argv[0] makes room for the name of the script, its interpreter, and the interpreter's argument. */
int args_add_script(struct exec_args *args, const struct script *script, const char *shown)
{
    unsigned added = script->has_argument ? 2 : 1;

    if (args->front_count == 0) {
        args->skipped = args->first_bytes;
        args->front[0] = shown;
        args->front_count = 1; /* in place of argv[0] */
        args->front_bytes = strlen(shown) + 1;
    }
    /* What stands first already, the script's name or the interpreter that is a script itself, stays behind. */
    (void)memmove(args->front + added, args->front, args->front_count * sizeof args->front[0]);
    args->front[0] = script->interpreter;
    if (script->has_argument)
        args->front[1] = script->argument;
    args->front_count += added;
    args->argc += added;
    for (unsigned i = 0; i < added; i++)
        args->front_bytes += strlen(args->front[i]) + 1;
    return is_too_big(args) || args->bytes + args->front_bytes > args->limit ? -E2BIG : 0;
}

uint64_t args_bytes(const struct exec_args *args)
{
    return args->front_bytes + args->bytes - args->skipped;
}

/* ---- Into the new space, which is the running task's ---- */

/* Where the next pointer goes, and how many have gone. */
struct pointers {
    const struct exec_args *args;
    vaddr_t at;
    unsigned count;
};

static int put_pointer(struct pointers *pointers, vaddr_t string)
{
    const vaddr_t words[2] = { string, 0 };
    bool is_last = ++pointers->count == pointers->args->argc;
    size_t bytes = is_last ? sizeof words : sizeof words[0];
    int result = user_copy_out(pointers->at, words, bytes);

    pointers->at += bytes;
    return result;
}

static int put_front(const struct exec_args *args, vaddr_t *at, struct pointers *pointers)
{
    for (unsigned i = 0; i < args->front_count; i++) {
        size_t bytes = strlen(args->front[i]) + 1;
        int result = user_copy_out(*at, args->front[i], bytes);

        if (result == 0)
            result = put_pointer(pointers, *at);
        if (result != 0)
            return result;
        *at += bytes;
    }
    return 0;
}

int args_put(const struct exec_args *args, vaddr_t at, vaddr_t table)
{
    struct pointers pointers = { .args = args, .at = table };
    int result = put_front(args, &at, &pointers);
    bool is_start = true; /* of a string */
    char piece[PIECE_BYTES];

    for (uint64_t offset = args->skipped; result == 0 && offset < args->bytes;) {
        size_t bytes = vm_object_read(args->object, offset, piece, MIN(sizeof piece, args->bytes - offset));

        result = user_copy_out(at, piece, bytes);
        for (size_t i = 0; result == 0 && i < bytes; i++) {
            if (is_start)
                result = put_pointer(&pointers, at + i);
            is_start = piece[i] == '\0';
        }
        offset += bytes;
        at += bytes;
    }
    if (result != 0)
        return result;
    const vaddr_t end = 0; /* of envp; argv's came with its last pointer */

    return user_copy_out(pointers.at, &end, sizeof end);
}
