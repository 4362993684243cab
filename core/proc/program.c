/* SPDX-License-Identifier: MIT */
/* What a process executes: the file and the command line, for whoever asks (proc(5)). Counted: a fork shares it. */
#include <fs/name.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

#include "proc_priv.h"

#define LINE_BYTES_MAX PAGE_BYTES /* of a command line: what is behind is not shown */

struct program *program_create(struct name *file, const struct exec_args *args, const struct image *image)
{
    uint64_t front = MIN(args->front_bytes, (uint64_t)LINE_BYTES_MAX);
    uint64_t rest = MIN(args->argv_bytes - args->skipped, LINE_BYTES_MAX - front);
    struct program *program = kmalloc(sizeof *program + front + rest);
    size_t used = 0;

    if (program == NULL)
        return NULL;
    store_relaxed(&program->refs, 1);
    for (unsigned i = 0; i < args->front_count && used < front; i++) {
        size_t bytes = MIN(strlen(args->front[i]) + 1, (size_t)front - used);

        (void)memcpy(program->line + used, args->front[i], bytes);
        used += bytes;
    }
    if (rest > 0)
        used += vm_object_read(args->object, args->skipped, program->line + used, rest);
    program->line_bytes = used;
    name_get(file);
    program->file = file;
    if (args->object != NULL)
        vm_object_get(args->object);
    program->strings = args->object;
    program->environ_start = args->argv_bytes;
    program->environ_end = args->bytes;
    program->aux = image != NULL ? image->aux : (struct aux){ .count = 0 };
    program->stack = image != NULL ? image->sp : 0;
    return program;
}

void program_get(struct program *program)
{
    (void)fetch_add_relaxed(&program->refs, 1);
}

void program_put(struct program *program)
{
    if (fetch_sub_acq_rel(&program->refs, 1) != 1) /* PAIRS(program_ref) */
        return;
    if (program->strings != NULL)
        vm_object_put(program->strings);
    name_put(program->file);
    kfree(program);
}

void program_enter_locked(struct process *process)
{
    int error = process->program != NULL ? inode_execution_begin(process->program->file->inode) : 0;

    ASSERT(error == 0); /* another one holds it on that side */
}

void program_leave_locked(struct process *process)
{
    if (process->program != NULL)
        inode_execution_end(process->program->file->inode);
}

struct program *process_program_get(struct process *process)
{
    spin_lock(&proc_tree_lock);
    struct program *program = process->program;

    if (program != NULL)
        program_get(program);
    spin_unlock(&proc_tree_lock);
    return program;
}
