/* SPDX-License-Identifier: MIT */
/*
 * /proc/NUMBER, as proc(5) has it: what there is to see of a process, or of one thread of it if the number is that
 * one's. All of a file is one look under the tree lock.
 */
#include <proc/show.h>

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/name.h>
#include <fs/procfs.h>
#include <fs/tty.h>
#include <hal/clock.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <proc/group.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "show_priv.h"

#define CLOCK_TICKS 100 /* USER_HZ */
#define RT_PRIORITY_MAX 99u
#define TTY_DEVICE (4 << 8 | 64)

/* What one look finds. */
struct look {
    char state;
    pid_t parent, group, session;
    unsigned threads;
    int exit_signal;
    uint64_t start_ticks;
    struct process_usage usage, children_usage;
    struct cred_ids user, group_ids;
    uint64_t permitted, effective, inheritable;
    uint64_t blocked, ignored, caught, pending, shared;
    unsigned cpu;
    char name_bytes[TASK_NAME_BYTES];
    uint64_t mapped_bytes, resident_pages;
    int priority, nice; /* as proc(5) has them: 20 + nice, or -1 - real-time priority */
    unsigned rt_priority, policy;
};

struct thread *shown_thread_locked(const struct shown *shown)
{
    struct thread *first = NULL;

    list_for_each(node, &shown->process->threads) {
        struct thread *thread = list_entry(node, struct thread, link);

        if (thread->tid == shown->tid)
            return thread;
        if (first == NULL)
            first = thread;
    }
    return shown->tid == shown->process->pid ? first : NULL;
}

bool shown_may_look(const struct shown *shown)
{
    spin_lock(&proc_tree_lock);
    const struct thread *thread = shown_thread_locked(shown);
    bool may = thread == NULL || thread_may_read_locked(thread, false); /* of a zombie there is nothing left */

    spin_unlock(&proc_tree_lock);
    return may;
}

static char state_of(const struct task_snapshot *snapshot)
{
    static const char letters[] = {
        [TASK_NEW] = 'S', [TASK_READY] = 'R', [TASK_RUNNING] = 'R', [TASK_BLOCKED] = 'S', [TASK_SLEEPING] = 'S',
        [TASK_STOPPED] = 'T', [TASK_DEAD] = 'X',
    };

    return letters[snapshot->state];
}

/* sched(7); classes that Linux does not have are fair ones there. */
static const uint8_t linux_policies[SCHED_POLICY_COUNT] = {
    [SCHED_POLICY_FIFO] = 1, [SCHED_POLICY_RR] = 2, [SCHED_POLICY_IDLE] = 5, [SCHED_POLICY_DEADLINE] = 6,
};

static void look_at_params(struct look *look, struct task *task)
{
    struct sched_params params;

    task_get_params(task, &params);
    bool is_rt = params.policy == SCHED_POLICY_FIFO || params.policy == SCHED_POLICY_RR;

    look->nice = params.nice;
    look->policy = linux_policies[params.policy];
    look->rt_priority = is_rt ? RT_PRIORITY_MAX - params.rt_level : 0;
    look->priority = params.policy == SCHED_POLICY_DEADLINE ? -101
                     : look->rt_priority != 0        ? -1 - (int)look->rt_priority
                                                     : 20 + look->nice;
}

static void look_at_thread_locked(struct look *look, struct thread *thread) REQUIRES(proc_tree_lock)
{
    struct process_signals *signals = &thread->process->signals;
    struct task_snapshot snapshot;

    (void)str_copy(look->name_bytes, thread->name, sizeof look->name_bytes);
    if (thread->state == THREAD_SCHEDULED) {
        task_get_snapshot(thread->task, &snapshot);
        look->state = state_of(&snapshot);
        look->cpu = snapshot.cpu;
        look_at_params(look, thread->task);
    }
    if (thread->user.cred != NULL) {
        look->user = thread->user.cred->user;
        look->group_ids = thread->user.cred->group;
        look->permitted = thread->user.cred->caps_permitted;
        look->effective = thread->user.cred->caps_effective;
        look->inheritable = thread->user.cred->caps_inheritable;
    }
    uintptr_t state = signals_lock(signals);

    look->blocked = thread->signals.mask;
    look->pending = thread->signals.own.set;
    look->shared = signals->shared.set;
    for (unsigned number = 1; number <= SIGNAL_MAX && signals->handlers != NULL; number++) {
        struct signal_action action = signals_action(signals, number);

        look->ignored |= action.handler == 1 ? signal_bit(number) : 0;
        look->caught |= action.handler > 1 ? signal_bit(number) : 0;
    }
    signals_unlock(signals, state);
}

/* False: there is no such thread any more. */
static bool look_at(const struct shown *shown, struct look *out)
{
    struct process *process = shown->process;
    bool is_there = true;

    *out = (struct look){ .state = 'Z', .priority = 20 };
    process_usage_get(process, &out->usage);
    process_children_usage_get(process, &out->children_usage);
    spin_lock(&proc_tree_lock);
    struct thread *thread = shown_thread_locked(shown);

    (void)str_copy(out->name_bytes, process->name, sizeof out->name_bytes);
    out->parent = process->parent != NULL ? process->parent->pid : 0;
    out->group = process->group != NULL ? process->group->id : 0;
    out->session = process->group != NULL ? process->group->session->id : 0;
    out->threads = process->threads_alive;
    out->exit_signal = process->exit_signal;
    out->start_ticks = process->start_ticks;
    if (thread != NULL)
        look_at_thread_locked(out, thread);
    else
        is_there = process->state == PROCESS_ZOMBIE;
    spin_unlock(&proc_tree_lock);
    struct space *space = process_space_get(process);

    if (space != NULL) {
        struct space_stats stats;

        space_stats_get(space, &stats);
        out->mapped_bytes = stats.mapped_bytes;
        out->resident_pages = stats.resident_pages;
        space_put(space);
    }
    return is_there;
}

static unsigned long long in_ticks(uint64_t clock_ticks)
{
    return clock_ticks_to_ns(clock_ticks) / (NS_PER_SEC / CLOCK_TICKS);
}

static int print_stat(struct procfs_text *text, void *object)
{
    const struct shown *shown = object;
    struct look look;

    if (!look_at(shown, &look))
        return -ESRCH;
    bool has_terminal = look.session != 0 && look.session == tty_session_id();

    procfs_print(text, "%d (%s) %c %d %d %d %d %d 0 %llu 0 0 0 ", shown->tid, look.name_bytes, look.state, look.parent,
                 look.group, look.session, has_terminal ? TTY_DEVICE : 0, has_terminal ? tty_group_id() : -1,
                 (unsigned long long)look.usage.faults);
    procfs_print(text, "%llu %llu %llu %llu ", in_ticks(look.usage.user_ticks), in_ticks(look.usage.system_ticks),
                 in_ticks(look.children_usage.user_ticks), in_ticks(look.children_usage.system_ticks));
    procfs_print(text, "%d %d %u 0 %llu %llu %llu ", look.priority, look.nice, look.threads, in_ticks(look.start_ticks),
                 (unsigned long long)look.mapped_bytes, (unsigned long long)look.resident_pages);
    procfs_print(text, "18446744073709551615 0 0 0 0 0 %llu %llu %llu %llu 0 0 0 %d %u %u %u 0 0 0 0 0 0 0 0 0 0 0\n",
                 (unsigned long long)(look.pending | look.shared) & 0x7fffffff,
                 (unsigned long long)look.blocked & 0x7fffffff, (unsigned long long)look.ignored & 0x7fffffff,
                 (unsigned long long)look.caught & 0x7fffffff, look.exit_signal, look.cpu,
                 look.rt_priority, look.policy);
    return 0;
}

static const char *state_word(char state)
{
    return state == 'R' ? "running" : state == 'T' ? "stopped" : state == 'Z' ? "zombie" : "sleeping";
}

static int print_status(struct procfs_text *text, void *object)
{
    const struct shown *shown = object;
    struct look look;

    if (!look_at(shown, &look))
        return -ESRCH;
    procfs_print(text, "Name:\t%s\nState:\t%c (%s)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", look.name_bytes,
                 look.state, state_word(look.state), shown->process->pid, shown->tid, look.parent);
    procfs_print(text, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", look.user.real, look.user.effective,
                 look.user.saved, look.user.fs, look.group_ids.real, look.group_ids.effective, look.group_ids.saved,
                 look.group_ids.fs);
    procfs_print(text, "VmSize:\t%8llu kB\nVmRSS:\t%8llu kB\nThreads:\t%u\n",
                 (unsigned long long)look.mapped_bytes / 1024,
                 (unsigned long long)look.resident_pages * PAGE_BYTES / 1024, look.threads);
    procfs_print(text, "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n",
                 (unsigned long long)look.pending, (unsigned long long)look.shared, (unsigned long long)look.blocked,
                 (unsigned long long)look.ignored, (unsigned long long)look.caught);
    procfs_print(text, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\n",
                 (unsigned long long)look.inheritable, (unsigned long long)look.permitted,
                 (unsigned long long)look.effective);
    procfs_print(text, "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n",
                 (unsigned long long)look.usage.voluntary, (unsigned long long)look.usage.involuntary);
    return 0;
}

static int print_statm(struct procfs_text *text, void *object)
{
    struct look look;

    if (!look_at(object, &look))
        return -ESRCH;
    procfs_print(text, "%llu %llu 0 0 0 0 0\n", (unsigned long long)look.mapped_bytes / PAGE_BYTES,
                 (unsigned long long)look.resident_pages);
    return 0;
}

static int print_comm(struct procfs_text *text, void *object)
{
    struct look look;

    if (!look_at(object, &look))
        return -ESRCH;
    procfs_print(text, "%s\n", look.name_bytes);
    return 0;
}

/* Of a zombie: nothing. */
static int print_cmdline(struct procfs_text *text, void *object)
{
    const struct shown *shown = object;
    struct program *program = process_program_get(shown->process);

    if (program == NULL)
        return 0;
    procfs_write(text, program->line, program->line_bytes);
    program_put(program);
    return 0;
}

/* ---- Links ---- */

static int exe_link(void *object, struct name **out)
{
    const struct shown *shown = object;

    if (!shown_may_look(shown))
        return -EACCES;
    struct program *program = process_program_get(shown->process);

    if (program == NULL)
        return -ENOENT;
    name_get(program->file);
    *out = program->file;
    program_put(program);
    return 0;
}

static struct fs_context *paths_of(const struct shown *shown)
{
    spin_lock(&proc_tree_lock);
    struct thread *thread = shown_thread_locked(shown);
    struct fs_context *paths = thread != NULL ? thread->user.paths : NULL;

    if (paths != NULL)
        fs_context_get(paths);
    spin_unlock(&proc_tree_lock);
    return paths;
}

static int cwd_link(void *object, struct name **out)
{
    struct fs_context *paths;

    if (!shown_may_look(object))
        return -EACCES;
    paths = paths_of(object);
    if (paths == NULL)
        return -ENOENT;
    *out = fs_context_cwd(paths);
    fs_context_put(paths);
    return 0;
}

static int root_link(void *object, struct name **out)
{
    struct fs_context *paths;

    if (!shown_may_look(object))
        return -EACCES;
    paths = paths_of(object);
    if (paths == NULL)
        return -ENOENT;
    *out = fs_context_root(paths);
    fs_context_put(paths);
    return 0;
}

/* ---- Which there are ---- */

static int next(int from)
{
    struct process *process;
    int number = -ENOENT;

    while (number < 0 && (process = process_lookup_next(from)) != NULL) {
        from = process->pid + 1;
        if (process->has_user)
            number = process->pid;
        process_put(process);
    }
    return number;
}

/* A process's number, or that of any thread, which no list shows. */
static struct process *find(int number)
{
    struct process *process = process_lookup(number);

    if (process != NULL)
        return process;
    struct task *task = task_lookup(number);
    struct thread *thread = task != NULL ? thread_get_of_task(task) : NULL;

    if (thread != NULL) {
        process = thread->process;
        process_get(process);
        thread_put(thread);
    }
    if (task != NULL)
        task_put(task);
    return process;
}

static void *get(int number)
{
    struct process *process = find(number);
    struct shown *shown = process != NULL && process->has_user ? kmalloc(sizeof *shown) : NULL;

    if (shown != NULL)
        *shown = (struct shown){ .process = process, .tid = number };
    else if (process != NULL)
        process_put(process);
    return shown;
}

static void put(void *object)
{
    struct shown *shown = object;

    process_put(shown->process);
    kfree(shown);
}

static void owner(void *object, bool is_folder, uint32_t *out_user, uint32_t *out_group)
{
    struct shown *shown = object;
    struct look look;

    (void)look_at(shown, &look);
    bool is_root = !is_folder && load_relaxed(&shown->process->is_private);

    *out_user = is_root ? 0 : look.user.effective;
    *out_group = is_root ? 0 : look.group_ids.effective;
}

static struct fd_table *files(void *object)
{
    spin_lock(&proc_tree_lock);
    struct thread *thread = shown_thread_locked(object);
    struct fd_table *table = thread != NULL ? thread->user.files : NULL;

    if (table != NULL)
        fd_table_get(table);
    spin_unlock(&proc_tree_lock);
    return table;
}

static int next_thread(void *object, int from)
{
    const struct shown *shown = object;
    int lowest = -ENOENT;

    spin_lock(&proc_tree_lock);
    list_for_each(node, &shown->process->threads) {
        int tid = list_entry(node, struct thread, link)->tid;

        if (tid >= from && (lowest < 0 || tid < lowest))
            lowest = tid;
    }
    spin_unlock(&proc_tree_lock);
    return lowest;
}

static void *get_thread(void *object, int number)
{
    struct shown *shown = object;

    if (next_thread(shown, number) != number)
        return NULL;
    struct shown *thread = kmalloc(sizeof *thread);

    if (thread == NULL)
        return NULL;
    process_get(shown->process);
    *thread = (struct shown){ .process = shown->process, .tid = number };
    return thread;
}

void show_init(void)
{
    static const struct procfs_processes processes = { next, get, put, owner, files, next_thread, get_thread };
    static const struct procfs_file of_process[] = {
        { .name = "cmdline", .print = print_cmdline }, { .name = "comm", .print = print_comm },
        { .name = "cwd", .link = cwd_link },           { .name = "exe", .link = exe_link },
        { .name = "root", .link = root_link },         { .name = "stat", .print = print_stat },
        { .name = "statm", .print = print_statm },     { .name = "status", .print = print_status },
        { .name = "mounts", .print = show_mounts },     { .name = "mountinfo", .print = show_mount_info },
    };

    for (unsigned i = 0; i < ARRAY_COUNT(of_process); i++)
        procfs_register_process(&of_process[i]);
    show_program_init();
    show_system_init();
    show_sysfs_init();
    procfs_set_processes(&processes);
}
