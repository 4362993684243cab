/* SPDX-License-Identifier: MIT */
/* /proc/NUMBER, as proc(5) has it: what a process was given: its memory, arguments and limits. No state. */
#include <proc/show.h>

#include <fs/cred.h>
#include <fs/name.h>
#include <fs/procfs.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <proc/limits.h>
#include <proc/oom.h>
#include <proc/vdso.h>
#include <vm/object.h>

#include "show_priv.h"

/* ---- maps ---- */

#define PATH_BYTES 512u
#define PATH_COLUMN 73u /* where Linux has them: programs count on it */

struct maps {
    struct procfs_text *text;
    struct space *space;
    vaddr_t heap_start, heap_end;
    struct program *program; /* or NULL */
    char path[PATH_BYTES];   /* of the program's file */
};

static bool is_program(const struct maps *maps, const struct space_region *region)
{
    return maps->program != NULL && region->object != NULL && region->object == maps->program->file->inode->object;
}

/* What is mapped there, "" if there is no name for it: of files, the one that is executed has its path. */
static const char *name_of(const struct maps *maps, const struct space_region *region)
{
    vaddr_t stack = maps->program != NULL ? maps->program->stack : 0;

    if (is_program(maps, region))
        return maps->path;
    if (region->object != NULL)
        return vdso_is(region->object) ? "[vdso]" : "";
    if (region->start < maps->heap_end && region->end > maps->heap_start)
        return "[heap]";
    return stack >= region->start && stack < region->end ? "[stack]" : "";
}

static void print_region(struct maps *maps, const struct space_region *region)
{
    const struct inode *inode = is_program(maps, region) ? maps->program->file->inode : NULL;
    uint32_t device = inode != NULL ? inode->fs->device : 0;
    size_t start = maps->text->used;
    const char *name = name_of(maps, region);

    procfs_print(maps->text, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu", (unsigned long long)region->start,
                 (unsigned long long)region->end, (region->rights & VM_READ) != 0 ? 'r' : '-',
                 (region->rights & VM_WRITE) != 0 ? 'w' : '-', (region->rights & VM_EXEC) != 0 ? 'x' : '-',
                 (region->flags & VM_SHARED) != 0 ? 's' : 'p', (unsigned long long)region->offset,
                 DEVICE_MAJOR(device), DEVICE_MINOR(device),
                 inode != NULL ? (unsigned long long)inode->number : 0ull);
    if (name[0] != '\0') {
        while (maps->text->used - start < PATH_COLUMN && !maps->text->has_failed)
            procfs_print(maps->text, " ");
        procfs_print(maps->text, "%s", name);
    }
    procfs_print(maps->text, "\n");
}

static void print_regions(struct maps *maps)
{
    struct space_region region;

    space_heap_get(maps->space, &maps->heap_start, &maps->heap_end);
    for (vaddr_t at = 0; space_query(maps->space, at, &region) == 0; at = region.end)
        print_region(maps, &region);
}

static void find_path(struct maps *maps)
{
    struct name *root = fs_root();

    if (name_path(maps->program->file, root, true, maps->path, PATH_BYTES) < 0)
        maps->path[0] = '\0';
    name_put(root);
}

/* Of a process without memory: nothing. Regions may come and go while they are listed, one by one. */
static int print_maps(struct procfs_text *text, void *object)
{
    const struct shown *shown = object;
    struct maps *maps = shown_may_look(shown) ? kzalloc(sizeof *maps) : NULL;

    if (maps == NULL)
        return shown_may_look(shown) ? -ENOMEM : -EACCES;
    maps->text = text;
    maps->program = process_program_get(shown->process);
    maps->space = process_space_get(shown->process);
    if (maps->program != NULL)
        find_path(maps);
    if (maps->space != NULL) {
        print_regions(maps);
        space_put(maps->space);
    }
    if (maps->program != NULL)
        program_put(maps->program);
    kfree(maps);
    return 0;
}

/* ---- environ, auxv: as the program was given them ---- */

static int print_environ(struct procfs_text *text, void *object)
{
    const struct shown *shown = object;
    struct program *program = shown_may_look(shown) ? process_program_get(shown->process) : NULL;
    char piece[256];

    if (program == NULL)
        return shown_may_look(shown) ? 0 : -EACCES;
    for (uint64_t at = program->environ_start; at < program->environ_end && !text->has_failed;) {
        size_t bytes = vm_object_read(program->strings, at, piece, MIN(sizeof piece, program->environ_end - at));

        if (bytes == 0)
            break;
        procfs_write(text, piece, bytes);
        at += bytes;
    }
    program_put(program);
    return 0;
}

static int print_auxv(struct procfs_text *text, void *object)
{
    const struct shown *shown = object;
    struct program *program = shown_may_look(shown) ? process_program_get(shown->process) : NULL;

    if (program == NULL)
        return shown_may_look(shown) ? 0 : -EACCES;
    procfs_write(text, program->aux.word, program->aux.count * sizeof program->aux.word[0]);
    program_put(program);
    return 0;
}

/* ---- limits ---- */

static void print_limit(struct procfs_text *text, uint64_t value)
{
    if (value == LIMIT_NONE)
        procfs_print(text, "%-20s ", "unlimited");
    else
        procfs_print(text, "%-20llu ", (unsigned long long)value);
}

static int print_limits(struct procfs_text *text, void *object)
{
    static const struct {
        const char *name, *unit;
    } limits[PROCESS_LIMITS] = {
        [0] = { "Max cpu time", "seconds" },        [1] = { "Max file size", "bytes" },
        [2] = { "Max data size", "bytes" },         [3] = { "Max stack size", "bytes" },
        [4] = { "Max core file size", "bytes" },    [5] = { "Max resident set", "bytes" },
        [6] = { "Max processes", "processes" },     [7] = { "Max open files", "files" },
        [8] = { "Max locked memory", "bytes" },     [9] = { "Max address space", "bytes" },
        [10] = { "Max file locks", "locks" },       [11] = { "Max pending signals", "signals" },
        [12] = { "Max msgqueue size", "bytes" },    [13] = { "Max nice priority", "" },
        [14] = { "Max realtime priority", "" },     [15] = { "Max realtime timeout", "us" },
    };
    const struct shown *shown = object;

    procfs_print(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < PROCESS_LIMITS; i++) {
        struct process_limit limit = { 0 };
        int result = process_limit_change(shown->process, i, NULL, false, &limit);

        ASSERT(result == 0);
        procfs_print(text, "%-25s ", limits[i].name);
        print_limit(text, limit.soft);
        print_limit(text, limit.hard);
        procfs_print(text, "%-10s\n", limits[i].unit);
    }
    return 0;
}

static int print_oom_adjustment(struct procfs_text *text, void *object)
{
    procfs_print(text, "%d\n", oom_adjust_get(((const struct shown *)object)->process));
    return 0;
}

/* A decimal number, with a newline behind it or not. */
static int write_oom_adjustment(void *object, const char *text, size_t bytes)
{
    bool is_negative = text[0] == '-';
    size_t at = is_negative ? 1 : 0, begin = at;
    int value = 0;

    for (; at < bytes && text[at] >= '0' && text[at] <= '9' && at - begin < 6; at++)
        value = value * 10 + text[at] - '0';
    if (at == begin || (at < bytes && text[at] != '\n'))
        return -EINVAL;
    return oom_adjust_set(((const struct shown *)object)->process, is_negative ? -value : value,
                          cred_can(thread_current()->user.cred, CAP_SYS_RESOURCE));
}

static int print_oom_score(struct procfs_text *text, void *object)
{
    procfs_print(text, "%u\n", oom_score_get(((const struct shown *)object)->process));
    return 0;
}

void show_program_init(void)
{
    static const struct procfs_file files[] = {
        { .name = "auxv", .mode = 0400, .print = print_auxv },
        { .name = "environ", .mode = 0400, .print = print_environ },
        { .name = "limits", .print = print_limits },
        { .name = "maps", .print = print_maps },
        { .name = "oom_score", .print = print_oom_score },
        { .name = "oom_score_adj", .mode = 0644, .print = print_oom_adjustment, .write = write_oom_adjustment },
    };

    for (unsigned i = 0; i < ARRAY_COUNT(files); i++)
        procfs_register_process(&files[i]);
}
