/* SPDX-License-Identifier: MIT */
/* /proc/NAME, as proc(5) has it: facts of the whole system, each printed from what the rooms to the left count. */
#include <proc/show.h>

#include <fs/cred.h>
#include <fs/dev.h>
#include <fs/filesystem.h>
#include <fs/name.h>
#include <fs/pipe.h>
#include <fs/procfs.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <k/limits.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <proc/process.h>
#include <proc/task.h>
#include <sched/sched.h>
#include <smp/cpu.h>
#include <time/clock.h>
#include <time/wall.h>
#include <vm/region.h>

#include "proc_priv.h"

#define CLOCK_TICKS 100 /* USER_HZ */
#define NS_PER_TICK (NS_PER_SEC / CLOCK_TICKS)
#define NS_PER_HUNDREDTH (NS_PER_SEC / 100)

static int64_t self_link(void *process, char *to, size_t room)
{
    const struct process *self = process_current();

    (void)process;
    return self->has_user ? fmt_print(to, room, "%d", self->pid) : -ENOENT;
}

static int64_t thread_link(void *process, char *to, size_t room)
{
    const struct thread *self = thread_current();

    (void)process;
    return self != NULL && self->process->has_user ? fmt_print(to, room, "%d/task/%d", self->process->pid, self->tid)
                                                   : -ENOENT;
}

static int64_t mounts_link(void *process, char *to, size_t room)
{
    (void)process;
    return fmt_print(to, room, "self/mounts");
}

static uint64_t idle_ns(void)
{
    uint64_t ticks = 0;

    for_each_online_cpu(cpu) {
        struct sched_cpu_stats stats;

        sched_cpu_stats_get(cpu, &stats);
        ticks += stats.idle_ticks;
    }
    return clock_ticks_to_ns(ticks);
}

static int print_uptime(struct procfs_text *text, void *process)
{
    uint64_t up = clock_ns() / NS_PER_HUNDREDTH, idle = idle_ns() / NS_PER_HUNDREDTH;

    (void)process;
    procfs_print(text, "%llu.%02llu %llu.%02llu\n", (unsigned long long)up / 100, (unsigned long long)up % 100,
                 (unsigned long long)idle / 100, (unsigned long long)idle % 100);
    return 0;
}

static unsigned long long kib(uint64_t pages)
{
    return pages * (PAGE_BYTES / 1024);
}

static int print_meminfo(struct procfs_text *text, void *process)
{
    struct mm_stats stats;

    (void)process;
    mm_stats_get(&stats);
    procfs_print(text, "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n",
                 kib(stats.total + stats.reserved), kib(stats.free),
                 kib(stats.free > stats.reserve ? stats.free - stats.reserve : 0));
    procfs_print(text, "Buffers:               0 kB\nCached:         %8llu kB\nSwapCached:            0 kB\n",
                 kib(stats.pages[MM_OBJECT]));
    procfs_print(text, "SwapTotal:             0 kB\nSwapFree:              0 kB\nAnonPages:      %8llu kB\n",
                 kib(stats.pages[MM_ANON]));
    procfs_print(text, "Shmem:                 0 kB\nSlab:           %8llu kB\nSReclaimable:          0 kB\n",
                 kib(stats.pages[MM_SLABS]));
    procfs_print(text, "KernelStack:    %8llu kB\nPageTables:     %8llu kB\n", kib(stats.pages[MM_STACKS]),
                 kib(stats.pages[MM_TABLES]));
    return 0;
}

/* Nothing is ever moved to a disk or from one. */
static int print_vmstat(struct procfs_text *text, void *process)
{
    struct mm_stats stats;

    (void)process;
    mm_stats_get(&stats);
    procfs_print(text, "nr_free_pages %llu\nnr_anon_pages %llu\nnr_file_pages %llu\n", (unsigned long long)stats.free,
                 (unsigned long long)stats.pages[MM_ANON], (unsigned long long)stats.pages[MM_OBJECT]);
    procfs_print(text, "nr_slab_reclaimable 0\nnr_slab_unreclaimable %llu\nnr_kernel_stack %llu\n",
                 (unsigned long long)stats.pages[MM_SLABS], kib(stats.pages[MM_STACKS]));
    procfs_print(text, "nr_page_table_pages %llu\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n",
                 (unsigned long long)stats.pages[MM_TABLES]);
    return 0;
}

static void print_cpu(struct procfs_text *text, const char *name, const struct sched_cpu_stats *stats)
{
    procfs_print(text, "%s %llu 0 %llu %llu 0 0 0 0 0 0\n", name,
                 (unsigned long long)(clock_ticks_to_ns(stats->user_ticks) / NS_PER_TICK),
                 (unsigned long long)(clock_ticks_to_ns(stats->system_ticks) / NS_PER_TICK),
                 (unsigned long long)(clock_ticks_to_ns(stats->idle_ticks) / NS_PER_TICK));
}

static int print_stat(struct procfs_text *text, void *process)
{
    uint64_t interrupts = 0;
    struct sched_cpu_stats sum = { 0 };
    struct sched_census census;

    (void)process;
    for_each_online_cpu(cpu) {
        struct sched_cpu_stats stats;

        sched_cpu_stats_get(cpu, &stats);
        sum.user_ticks += stats.user_ticks;
        sum.system_ticks += stats.system_ticks;
        sum.idle_ticks += stats.idle_ticks;
        sum.switches += stats.switches;
        interrupts += load_relaxed(&cpu_table[cpu]->irq_count);
    }
    print_cpu(text, "cpu ", &sum);
    for_each_online_cpu(cpu) {
        struct sched_cpu_stats stats;
        char name[16];

        sched_cpu_stats_get(cpu, &stats);
        (void)fmt_print(name, sizeof name, "cpu%u", (unsigned)cpu);
        print_cpu(text, name, &stats);
    }
    sched_census_get(&census);
    procfs_print(text, "intr %llu\nctxt %llu\nbtime %llu\nprocesses %llu\nprocs_running %llu\nprocs_blocked 0\n",
                 (unsigned long long)interrupts, (unsigned long long)sum.switches,
                 (unsigned long long)(load_relaxed(&wall_offset_ns) / NS_PER_SEC),
                 (unsigned long long)census.started, (unsigned long long)(census.queued + census.running));
    return 0;
}

static int print_cpuinfo(struct procfs_text *text, void *process)
{
    (void)process;
    for_each_online_cpu(cpu)
        procfs_print(text, "processor\t: %u\nmodel name\t: %s\n\n", (unsigned)cpu, hal_user_facts.platform);
    return 0;
}

static int print_interrupts(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "     ");
    for_each_online_cpu(cpu)
        procfs_print(text, "       CPU%-3u", (unsigned)cpu);
    procfs_print(text, "\nTOT: ");
    for_each_online_cpu(cpu)
        procfs_print(text, "%10u   ", load_relaxed(&cpu_table[cpu]->irq_count));
    procfs_print(text, "Interrupts of all kinds\n");
    return 0;
}

static const char *command_line = "";

void show_set_command_line(const char *line)
{
    command_line = line;
}

static int print_command_line(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%s\n", command_line);
    return 0;
}

/* ---- /proc/sys: what libcs and runtimes read ---- */

static int print_pid_max(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", (unsigned)TID_MAX);
    return 0;
}

static int print_groups_max(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", CRED_GROUPS_MAX);
    return 0;
}

static int print_pipe_max(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", (unsigned)PIPE_BYTES_MAX);
    return 0;
}

static int print_last_capability(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", CAP_LAST);
    return 0;
}

/* 0: what was promised may fail to be there, and only obvious nonsense is refused. Nothing is counted in advance. */
static int print_overcommit(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "0\n");
    return 0;
}

static int print_map_count_max(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", (unsigned)VM_REGIONS_MAX);
    return 0;
}

/* As proc_sys_vm(5) has it: 1 is for what is kept of files, 2 for what is kept of objects, 3 for both; 4 keeps it out
 * of the log. Nothing is kept of files but the files, and nothing is logged. */
#define DROP_OBJECTS 2u
#define DROP_MOST 4u

static _Atomic(uint32_t) last_drop; /* what was written last */

static int print_last_drop(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "%u\n", load_relaxed(&last_drop));
    return 0;
}

static int drop_caches(void *process, const char *text, size_t bytes)
{
    uint32_t what = (uint32_t)(text[0] - '0'); /* one digit, and a newline or not */

    (void)process;
    if (bytes > 2 || (bytes == 2 && text[1] != '\n') || what == 0 || what > DROP_MOST)
        return -EINVAL;
    store_relaxed(&last_drop, what);
    if ((what & DROP_OBJECTS) != 0)
        proc_reclaim_now();
    return 0;
}

/* RFC 9562: version 4, of random bytes. */
static void print_random_id(struct procfs_text *text, const uint8_t random[16])
{
    for (unsigned i = 0; i < 16; i++) {
        uint8_t byte = i == 6 ? (random[i] & 0x0f) | 0x40 : i == 8 ? (random[i] & 0x3f) | 0x80 : random[i];

        procfs_print(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", byte);
    }
    procfs_print(text, "\n");
}

static uint8_t boot_random[16]; /* immutable after boot */

static int print_boot_id(struct procfs_text *text, void *process)
{
    (void)process;
    print_random_id(text, boot_random);
    return 0;
}

static int print_new_id(struct procfs_text *text, void *process)
{
    uint8_t random[16];

    (void)process;
    random_bytes(random, sizeof random);
    print_random_id(text, random);
    return 0;
}

static int print_filesystems(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\nnodev\tsysfs\n");
    return 0;
}

/* ---- Mounts ---- */

#define PATH_BYTES 256u

struct mounts {
    struct procfs_text *text;
    struct name *root;
    char path[PATH_BYTES];
};

static int64_t mount_path(struct mounts *mounts, struct filesystem *fs)
{
    return fs->covers == NULL ? str_copy(mounts->path, "/", PATH_BYTES)
                              : name_path(fs->covers, mounts->root, true, mounts->path, PATH_BYTES);
}

static void print_flags(struct procfs_text *text, struct filesystem *fs)
{
    uint32_t flags = filesystem_flags(fs);

    procfs_print(text, "%s%s%s%s%s%s", (flags & MS_RDONLY) != 0 ? "ro" : "rw",
                 (flags & MS_NOSUID) != 0 ? ",nosuid" : "", (flags & MS_NODEV) != 0 ? ",nodev" : "",
                 (flags & MS_NOEXEC) != 0 ? ",noexec" : "", (flags & MS_NOATIME) != 0 ? ",noatime" : ",relatime",
                 (flags & MS_NODIRATIME) != 0 ? ",nodiratime" : "");
}

static bool print_mount(struct filesystem *fs, void *argument)
{
    struct mounts *mounts = argument;

    if (mount_path(mounts, fs) < 0)
        return true;
    procfs_print(mounts->text, "%s %s %s ", fs->type, mounts->path, fs->type);
    print_flags(mounts->text, fs);
    procfs_print(mounts->text, " 0 0\n");
    return true;
}

/* proc_pid_mountinfo(5). A mount's number is its device's. */
static bool print_mount_info(struct filesystem *fs, void *argument)
{
    struct mounts *mounts = argument;
    uint32_t number = DEVICE_MINOR(fs->device);

    if (mount_path(mounts, fs) < 0)
        return true;
    procfs_print(mounts->text, "%u %u %u:%u / %s ", number,
                 fs->covers == NULL ? number : DEVICE_MINOR(fs->covers->inode->fs->device), DEVICE_MAJOR(fs->device),
                 number, mounts->path);
    print_flags(mounts->text, fs);
    procfs_print(mounts->text, " - %s %s %s\n", fs->type, fs->type,
                 (filesystem_flags(fs) & MS_RDONLY) != 0 ? "ro" : "rw");
    return true;
}

static int show_each(struct procfs_text *text, bool (*print)(struct filesystem *, void *))
{
    struct mounts *mounts = kmalloc(sizeof *mounts);

    if (mounts == NULL)
        return -ENOMEM;
    mounts->text = text;
    mounts->root = fs_root();
    filesystem_for_each(print, mounts);
    name_put(mounts->root);
    kfree(mounts);
    return 0;
}

int show_mounts(struct procfs_text *text, void *process)
{
    (void)process;
    return show_each(text, print_mount);
}

int show_mount_info(struct procfs_text *text, void *process)
{
    (void)process;
    return show_each(text, print_mount_info);
}

void show_system_init(void)
{
    static const struct procfs_file files[] = {
        { .name = "cpuinfo", .print = print_cpuinfo }, { .name = "filesystems", .print = print_filesystems },
        { .name = "loadavg", .print = show_load }, { .name = "meminfo", .print = print_meminfo },
        { .name = "mounts", .link_text = mounts_link }, { .name = "self", .link_text = self_link },
        { .name = "stat", .print = print_stat },       { .name = "uptime", .print = print_uptime },
        { .name = "interrupts", .print = print_interrupts }, { .name = "cmdline", .print = print_command_line },
        { .name = "thread-self", .link_text = thread_link }, { .name = "vmstat", .print = print_vmstat },
        { .name = "sys/kernel/pid_max", .print = print_pid_max },
        { .name = "sys/kernel/ngroups_max", .print = print_groups_max },
        { .name = "sys/kernel/cap_last_cap", .print = print_last_capability },
        { .name = "sys/kernel/random/boot_id", .print = print_boot_id },
        { .name = "sys/kernel/random/uuid", .print = print_new_id },
        { .name = "sys/fs/pipe-max-size", .print = print_pipe_max },
        { .name = "sys/vm/drop_caches", .mode = 0200, .print = print_last_drop, .write = drop_caches },
        { .name = "sys/vm/overcommit_memory", .print = print_overcommit },
        { .name = "sys/vm/max_map_count", .print = print_map_count_max },
    };

    random_bytes(boot_random, sizeof boot_random);
    for (unsigned i = 0; i < ARRAY_COUNT(files); i++)
        procfs_register(&files[i]);
}
