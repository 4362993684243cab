/* SPDX-License-Identifier: MIT */
/*
 * The machine comes up in one visible list. kmain() runs on the machine's boot stack until the idle
 * task of the boot CPU has a stack with a guard page; from there boot_main() goes on as that idle task.
 */
#include <hal/clock.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/upcall.h>
#include <k/assert.h>
#include <k/log.h>
#include <lib/string.h>
#include <console/console.h>
#include <entry/trap.h>
#include <entry/user.h>
#include <fs/dev.h>
#include <fs/filesystem.h>
#include <fs/name.h>
#include <fs/unpack.h>
#include <mm/bootmem.h>
#include <mm/kmalloc.h>
#include <mm/kspace.h>
#include <mm/phys.h>
#include <vm/space.h>
#include <proc/first.h>
#include <proc/oom.h>
#include <proc/terminal.h>
#include <proc/process.h>
#include <proc/show.h>
#include <proc/task.h>
#include <sched/latency.h>
#include <sched/sched.h>
#include <smp/quiesce.h>
#include <smp/tlb.h>
#include <syscall/syscall.h>
#include <time/clock.h>
#include <time/wall.h>
#include <trace/backtrace.h>

#include "boot_priv.h"

struct boot_report boot_report;

static struct boot_options options;

/* Until the boot CPU's idle task exists: enough of a task and a CPU for locks and panics to stand on. */
static struct task early_task;
static struct cpu early_cpu;

/* What every image can run, whoever linked it. */
static const struct boot_program console_program = { "console", "type commands: help lists them", console_main };

static const struct boot_program *find_program(const char *name)
{
    if (strcmp(console_program.name, name) == 0)
        return &console_program;
    for (const struct boot_program *program = boot_programs; program->name != NULL; program++)
        if (strcmp(program->name, name) == 0)
            return program;
    return NULL;
}

static int init_main(void *arg)
{
    const struct boot_program *program = arg;

    boot_report.ready_ticks = hal_clock_ticks();
    log_info("init: %s (%s), %llu us after entry", program->name, program->summary,
             (unsigned long long)(clock_ticks_to_ns(boot_report.ready_ticks - boot_report.entry_ticks) / NS_PER_US));
    int code = program->main(options.argument);

    if (latency_is_logged())
        latency_log();
    log_info("init: %s ended with code %d", program->name, code);
    hal_machine_exit(code);
}

#define STATUS_OF_SIGNAL 128 /* as shells have it: the exit status of what a signal ended is this and its number */
#define STATUS_NO_PROGRAM 63 /* one machine doubles it, in a byte */

/* The first process has ended: so does the machine. */
static void first_ended(int wait_status)
{
    int signal = wait_status & 0x7f;
    int code = wait_status < 0 ? STATUS_NO_PROGRAM : signal != 0 ? STATUS_OF_SIGNAL + signal : wait_status >> 8 & 0xff;

    if (latency_is_logged())
        latency_log();
    if (wait_status >= 0)
        log_info("init: ended with %s %d", signal != 0 ? "signal" : "status", signal != 0 ? signal : code);
    hal_machine_exit(code);
}

static void start_first(void)
{
    static const char *arguments[FIRST_ARGUMENTS_MAX + 1];
    static struct first_spec spec = { .arguments = arguments, .ended = first_ended };
    const char *word = options.arguments;

    for (unsigned i = 0; i < options.argument_count; i++) {
        arguments[i] = word;
        word += strlen(word) + 1;
    }

    spec.path = options.first[0] != '\0' ? options.first : NULL;
    boot_report.ready_ticks = hal_clock_ticks();
    int error = keyboard_start();

    if (error == 0)
        error = first_start(&spec);

    if (error != 0)
        panic("out of memory at boot: cannot create the first process, error %d", error);
}

/* A program of the kernel's own, if one is named or there are no files; else the first of the user's. */
static void start_init(void)
{
    if (options.first[0] != '\0' || (!options.has_init && boot_report.info->initrd.bytes != 0)) {
        start_first();
        return;
    }
    const struct boot_program *program = find_program(options.init);

    if (program == NULL) {
        log_error("boot option init: there is no program '%s'; there are:", options.init);
        for (program = boot_programs; program->name != NULL; program++)
            log_error("  %-10s %s", program->name, program->summary);
        log_error("  %-10s %s", console_program.name, console_program.summary);
        hal_machine_exit(2);
    }
    const struct task_spec spec = {
        .name = "init",
        .entry = init_main,
        .arg = (void *)(uintptr_t)program,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = PRIORITY_DEFAULT,
    };
    tid_t tid = task_try_create(&spec, NULL);

    if (tid < 0)
        panic("out of memory at boot: cannot create init, error %d", tid);
    int error = options.use_console ? console_start() : 0;

    if (error != 0)
        log_error("boot option console: cannot start it, error %d", error);
}

/* What the boot loader brought along becomes the first files. Damage is told, and what was unpacked before it stays. */
static void unpack_initrd(const struct boot_info *boot)
{
    struct unpack_result result;
    struct name *root;

    if (boot->initrd.bytes == 0)
        return;
    root = fs_root();
    int error = unpack_reserved(root, boot->initrd.base, boot->initrd.bytes, &result);

    if (error != 0)
        log_error("initrd: %s%s%s, error %d", result.what != NULL ? result.what : "out of memory",
                  result.path[0] != 0 ? ": " : "", result.path, error);
    log_info("initrd: %u files, %u directories, %u others, %llu bytes, %llu of them where they lay", result.files,
             result.directories, result.others, (unsigned long long)result.bytes,
             (unsigned long long)result.shared_bytes);
    name_put(root);
}

/* Goes on as the idle task of CPU 0, which may not sleep: proc_init() and init's creation never do, at this point. */
static void boot_main(void *arg)
{
    struct cpu *cpu = arg;

    hal_cpu_init(cpu->id, cpu->idle_task, cpu->hal_area);
    sched_cpu_online(cpu);
    store_release(&cpu->state, CPU_ONLINE); /* PAIRS(cpu_online) */
    bringup_count_in(cpu);
    hal_irq_enable();
    bringup_start_others(boot_report.info, boot_report.cpus_online);
    boot_report.online_ticks = hal_clock_ticks();
    unsigned leaves = kspace_check();

    log_info("cpu: %u of %u online", boot_report.cpus_online, boot_report.info->cpu_listed);
    log_debug("mm: %u kernel mappings, none writable and executable, none in the user half", leaves);
    for_each_online_cpu(id)
        bringup_prepare_stopper(cpu_table[id]);
    proc_init();
    random_seed(boot_report.info->entropy, boot_report.info->entropy_bytes, boot_report.info->entropy_bytes >= 32);
    random_seed(&boot_report.entry_ticks, sizeof boot_report.entry_ticks, false);
    fs_init();
    terminal_hooks_init();
    show_init();
    show_set_command_line(boot_report.info->cmdline);
    syscall_init();
    unpack_initrd(boot_report.info);
    fs_limit_root();
    fs_mount_usual();
    kspace_seal();
    proc_set_user_begin(user_begin);
    start_init();
    sched_idle_loop();
}

static void start_tlb(const struct boot_info *boot)
{
    struct tlb_stats stats;

    tlb_init(kspace_task_root(), boot->asid_count, options.asids_max, MIN(boot->cpu_count, options.cpus_max));
    tlb_stats_get(&stats);
    if (stats.ids != 0)
        log_info("smp: %u address-space ids", stats.ids);
    else
        log_info("smp: no address-space ids in use, of %u", boot->asid_count);
}

/* Where the kernel runs is nobody's business in a release build, unless the log is asked for all it has. */
static void report_slide(const struct boot_info *boot)
{
    uintptr_t slide;

    if (symbol_slide(&slide))
        log_line(KERNEL_DEBUG ? LOG_INFO : LOG_DEBUG, "kernel slide 0x%lx", (unsigned long)slide);
    if (boot->is_slide_weak)
        log_warn("the kernel's slide can be guessed: the firmware and the CPU offer no entropy, a clock chose it");
}

static unsigned prepare_cpus(const struct boot_info *boot)
{
    unsigned count = MIN(boot->cpu_count, options.cpus_max);

    for (cpu_id_t id = 1; id < count; id++)
        (void)bringup_prepare_cpu(id, boot->cpu_hw_id[id], bringup_secondary_main);
    return count;
}

void kmain(struct boot_info *boot)
{
    early_task.base.cpu = &early_cpu;
    early_cpu.idle_task = &early_task;
    (void)str_copy(early_task.name, "boot", sizeof early_task.name);
    hal_cpu_init(0, &early_task, NULL);
    boot_report.info = boot;
    boot_report.options = &options;
    boot_report.entry_ticks = hal_clock_ticks();

    log_info("Verdant on %s, booted by %s", boot->machine, boot->firmware);
    clock_init(boot->clock_hz);
    if (boot->wall_ns != 0)
        wall_set_at(boot->wall_ns, boot->wall_at_ticks);
    boot_options_parse(boot->cmdline, &options);
    report_slide(boot);
    if (boot->cmdline_truncated)
        log_warn("the command line is longer than %d bytes and was cut", CMDLINE_BYTES);
    if (boot->cpu_count == 0)
        panic("the firmware describes no CPU that this kernel can use");

    bootmem_init(boot);
    kspace_init(boot);
    start_tlb(boot);
    boot_report.ram_bytes = bootmem_ram_bytes();
    sched_init();
    if (options.fair_slice_ns != 0)
        sched_set_fair_slice(options.fair_slice_ns);
    if (options.rt_percent != 0)
        sched_set_rt_percent(options.rt_percent);
    if (options.deadline_percent != 0)
        sched_set_deadline_percent(options.deadline_percent);
    sched_set_idle_poll(options.idle_polls);
    sched_register_panic_hooks();
    latency_log_in_panic(options.log_latency);
    bootmem_finish();
    kmalloc_init();
    log_info("mm: %llu MiB of memory", (unsigned long long)(boot_report.ram_bytes >> 20));
    if (boot->initrd.bytes != 0)
        log_info("mm: an initrd of %llu bytes", (unsigned long long)boot->initrd.bytes);
    space_init();
    space_set_huge(options.use_huge);
    trap_set_user_fault(oom_fault_current);
    struct cpu *cpu = bringup_prepare_cpu(0, boot->cpu_hw_id[0], boot_main);

    boot_report.cpus_online = prepare_cpus(boot);
    bringup_build_topology(boot, boot_report.cpus_online);
    hal_context_switch(&early_task, cpu->idle_task);
    panic("the boot stack was returned to");
}
