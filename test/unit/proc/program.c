/* SPDX-License-Identifier: MIT */
/* See program.h. */
#include "program.h"

#include <entry/user.h>
#include <fs/path.h>
#include <proc/group.h>
#include <syscall/table.h>
#include <vm/space.h>

static host_user_program *next_program; /* one test starts one at a time */
static uintptr_t next_arg;
static _Atomic(bool) is_taken;

static int begin(void *unused)
{
    struct hal_trap *trap = task_user_trap(current_task());

    (void)unused;
    hal_user_init(trap, (uintptr_t)next_program, 0);
    HAL_USER_ARG(trap, 0) = next_arg;
    store_release(&is_taken, true); /* PAIRS(program_taken) */
    user_begin(trap);
}

static void give_memory(struct space *space)
{
    const struct space_request request = {
        .at = PROGRAM_MEMORY, .bytes = PROGRAM_MEMORY_BYTES, .rights = VM_READ | VM_WRITE,
        .flags = SPACE_PRIVATE | SPACE_FIXED_NOREPLACE | SPACE_POPULATE,
    };
    vaddr_t at;

    CHECK(space_map(space, &request, &at) == 0);
}

struct process *program_start(host_user_program *program, uintptr_t arg)
{
    const struct thread_spec spec = {
        .name = "program", .entry = begin, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
        .uses_fpu = true, .is_user = true,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    struct space *space = NULL;

    CHECK(space_create(&space) == 0);
    give_memory(space);
    CHECK(process_create_user(PROCESS_SIGCHLD, false, "program", space, 0, &process) == 0);
    CHECK(process_group_begin(process) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(fd_table_create(&thread->user.files) == 0);
    CHECK(fs_context_create(&thread->user.paths) == 0);
    cred_get(&cred_root);
    thread->user.cred = &cred_root;
    next_program = program;
    next_arg = arg;
    store_relaxed(&is_taken, false);
    CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    WAIT_FOR(load_acquire(&is_taken)); /* PAIRS(program_taken) */
    thread_put(thread);
    return process;
}

int program_finish(struct process *process)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    process_put(process);
    return status;
}

void program_run(host_user_program *program)
{
    CHECK(program_finish(program_start(program, 0)) == 0);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0)); /* orphans of the kernel's */
}

intptr_t program_call_array(const char *name, const uintptr_t arg[6])
{
    for (uintptr_t number = 0; number < SYSCALL_NUMBERS; number++)
        if (syscall_names[number] != NULL && strcmp(syscall_names[number], name) == 0)
            return (intptr_t)host_user_call(number, arg);
    CHECK(strcmp(name, "") == 0); /* no call has that name */
    return -ENOSYS;
}

void program_exit(int status)
{
    for (;;)
        (void)program_call("exit_group", (uintptr_t)status);
}

/* Make the kernel read there, which need not be writable. */
static void look_at(vaddr_t va)
{
    CHECK(program_call("prlimit64", 0, UINT32_MAX, ROUND_DOWN(va, PAGE_BYTES)) == -EINVAL);
}

/* Make the kernel write there: the page is present and the program's own then. */
static void touch(vaddr_t va)
{
    vaddr_t page = ROUND_DOWN(va, PAGE_BYTES);
    uint64_t before = 0;
    bool was_there = host_user_load(page, &before);

    CHECK(program_call("getresuid", page, page, page) == 0);
    if (was_there)
        CHECK(host_user_store(page, before));
}

uint64_t program_load(vaddr_t va)
{
    uint64_t value = 0;

    while (!host_user_load(va, &value))
        look_at(va);
    return value;
}

void program_store(vaddr_t va, uint64_t value)
{
    while (!host_user_store(va, value))
        touch(va);
}

/* ---- Files ---- */

static void put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void put_header(uint8_t *at, uint32_t type, uint32_t flags, uint64_t offset, uint64_t va, uint64_t file_bytes,
                       uint64_t bytes)
{
    put(at, type, 4);
    put(at + 4, flags, 4);
    put(at + 8, offset, 8);
    put(at + 16, va, 8);
    put(at + 24, va, 8);
    put(at + 32, file_bytes, 8);
    put(at + 40, bytes, 8);
    put(at + 48, PAGE_BYTES, 8);
}

#define ENTRY_AT 0x200
#define NAME_AT 0x300
#define DATA_AT 0x1000
#define FILE_BYTES (DATA_AT + 0x40) /* behind the data stands what must not be seen */

void program_text_file(const char *path, const void *bytes, size_t count, uint32_t mode)
{
    struct fs_context *context = NULL;
    struct file *file = NULL;
    struct io_span span;

    CHECK(fs_context_create(&context) == 0);
    (void)fs_context_set_umask(context, 0);
    const struct path_place place = { .context = context, .cred = &cred_root };

    CHECK(path_open(&place, path, O_RDWR | O_CREAT | O_TRUNC, mode, &file) == 0);
    io_span_kernel(&span, (void *)(uintptr_t)bytes, count);
    CHECK(file_write(file, &span) == (int64_t)count);
    file_put(file);
    fs_context_put(context);
}

void program_remove(const char *path)
{
    struct fs_context *context = NULL;

    CHECK(fs_context_create(&context) == 0);
    const struct path_place place = { .context = context, .cred = &cred_root };

    CHECK(path_unlink(&place, path) == 0);
    fs_context_put(context);
}

void program_file(const char *path, host_user_program *program, bool is_movable, const char *interpreter)
{
    static uint8_t file[FILE_BYTES];
    vaddr_t base = is_movable ? 0 : PROGRAM_BASE;
    unsigned headers = interpreter != NULL ? 3 : 2;

    (void)memset(file, 0xee, sizeof file);
    (void)memset(file, 0, 64);
    (void)memcpy(file, "\x7f" "ELF\2\1\1", 7);
    put(file + 16, is_movable ? 3 : 2, 2);
    put(file + 18, HAL_ELF_MACHINE, 2);
    put(file + 20, 1, 4);
    put(file + 24, base + ENTRY_AT, 8);
    put(file + 32, 64, 8);
    put(file + 52, 64, 2);
    put(file + 54, 56, 2);
    put(file + 56, headers, 2);
    put_header(file + 64, 1, 5, 0, base, DATA_AT, DATA_AT);
    put_header(file + 120, 1, 6, DATA_AT, base + (PROGRAM_DATA - PROGRAM_BASE), 16, PROGRAM_DATA_BYTES);
    if (interpreter != NULL) {
        size_t bytes = strlen(interpreter) + 1;

        put_header(file + 176, 3, 4, NAME_AT, base + NAME_AT, bytes, bytes);
        (void)memcpy(file + NAME_AT, interpreter, bytes);
    }
    put(file + ENTRY_AT, (uintptr_t)program, 8);
    for (unsigned i = 0; i < 16; i++)
        file[DATA_AT + i] = (uint8_t)(i + 1);
    program_text_file(path, file, sizeof file, 0755);
}
