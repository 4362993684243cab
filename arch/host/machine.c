/* SPDX-License-Identifier: MIT */
/*
 * The machine as a whole: its state, CPU start and end, and the report.
 * It decides nothing about the core; what it refuses is a broken HAL contract, which ends the run. No lock: one host
 * thread steps one virtual CPU at a time.
 */
#include "host_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <k/errno.h>

struct host_machine host;
struct host_cpu host_cpus[CPU_MAX];

/* Before a machine exists nobody runs: hal_current() is NULL and interrupts are off. */
static struct host_cpu_regs no_cpu;
struct host_cpu_regs *host_cpu_now = &no_cpu;

static const char *const point_name[HOST_POINT_COUNT] = {
    [HOST_POINT_ATOMIC] = "atomic",         [HOST_POINT_RELAX] = "relax",
    [HOST_POINT_IRQ_OFF] = "irq-off",       [HOST_POINT_IRQ_ON] = "irq-on",
    [HOST_POINT_IDLE] = "idle",             [HOST_POINT_SWITCH] = "switch",
    [HOST_POINT_TIMER_ARM] = "timer-arm",   [HOST_POINT_POKE] = "poke",
    [HOST_POINT_TLB] = "tlb",               [HOST_POINT_START] = "start",
    [HOST_POINT_TAKE_TIMER] = "take-timer", [HOST_POINT_TAKE_IPI] = "take-ipi",
    [HOST_POINT_PARK] = "park",             [HOST_POINT_COMPUTE] = "compute",
};

/* HAL_TLB_REMOTE. */
#define REMOTE_FLUSHES 4
unsigned host_tlb_remote;

static void config_fill(const struct host_config *config)
{
    struct host_config *own = &host.config;

    *own = *config;
    if (own->switch_one_in == 0)
        own->switch_one_in = 4;
    if (own->pct_depth == 0)
        own->pct_depth = 3;
    own->pct_depth = MIN(own->pct_depth, HOST_PCT_DEPTH_MAX);
    if (own->pct_steps == 0)
        own->pct_steps = 100000;
    if (own->memory_bytes == 0)
        own->memory_bytes = UINT64_C(32) << 20;
    if (own->max_steps == 0)
        own->max_steps = 100000000;
    if (own->clock_hz == 0)
        own->clock_hz = 100000000;
    if (own->step_ns == 0)
        own->step_ns = 20;
    if (own->asids == 0)
        own->asids = 256;
    host_tlb_remote = own->has_remote_flush ? REMOTE_FLUSHES : 0;
    if (own->ipi_delay_ns_max == 0)
        own->ipi_delay_ns_max = 2000;
    if (own->wall_seconds == 0)
        own->wall_seconds = 120;
}

/* Numbers in the order of the CPUs; nodes in a row, each as far from the next as Linux's default for a remote one. */
static void describe_places(struct boot_info *boot)
{
    unsigned threads = MAX(host.config.threads, 1u);
    unsigned cores = threads * MAX(host.config.cores, 1u);
    unsigned caches = cores * host.config.caches;

    boot->has_places = host.config.threads != 0 || host.config.cores != 0;
    for (cpu_id_t id = 0; id < host.config.cpus; id++)
        boot->cpu_place[id] = (struct boot_cpu_place){
            .core = id / threads,
            .cache = host.config.cores != 0 ? id / cores : 0,
            .node = caches != 0 ? MIN(id / caches, NODES_MAX - 1u) : 0,
        };
    boot->node_count = caches != 0 ? boot->cpu_place[host.config.cpus - 1].node + 1 : 0;
    for (unsigned from = 0; from < boot->node_count; from++)
        for (unsigned to = 0; to < boot->node_count; to++)
            boot->node_distance[from][to] = (uint8_t)(10 + 10 * MIN(from > to ? from - to : to - from, 20u));
}

/* RAM in equal parts, the lowest first. Their borders are no multiples of anything but pages, and the last part may
 * reach over the hole. */
static void describe_node_memory(struct boot_info *boot)
{
    paddr_t at = boot->memory[1].base;
    uint64_t bytes = boot->memory[0].base + boot->memory[0].bytes - at;

    boot->node_memory_count = 0;
    for (unsigned node = 0; node < boot->node_count; node++) {
        uint64_t part = ROUND_DOWN(bytes / boot->node_count, PAGE_BYTES);

        boot->node_memory[boot->node_memory_count++] = (struct boot_node_memory){
            .base = at + node * part,
            .bytes = node + 1 < boot->node_count ? part : bytes - node * part,
            .node = node,
        };
    }
}

static void boot_info_fill(void)
{
    struct boot_info *boot = &host.boot;

    (void)snprintf(boot->firmware, sizeof boot->firmware, "simulated");
    (void)snprintf(boot->machine, sizeof boot->machine, "host, seed %llu", (unsigned long long)host.config.seed);
    boot->cpu_count = host.config.cpus;
    boot->cpu_listed = host.config.cpus;
    /* Hardware ids that cannot be mistaken for CPU numbers. */
    for (cpu_id_t id = 0; id < host.config.cpus; id++)
        boot->cpu_hw_id[id] = 0x100 + 2 * (uint64_t)id;
    describe_places(boot);
    boot->clock_hz = host.config.clock_hz;
    boot->wall_ns = HOST_WALL_NS;
    boot->asid_count = host.config.asids;
    if (host.config.cmdline != NULL) {
        boot->cmdline_truncated = strlen(host.config.cmdline) >= sizeof boot->cmdline;
        (void)snprintf(boot->cmdline, sizeof boot->cmdline, "%s", host.config.cmdline);
    }
    for (unsigned i = 0; i < sizeof boot->entropy; i++)
        boot->entropy[i] = (uint8_t)host_random();
    boot->entropy_bytes = sizeof boot->entropy;
}

void host_reset(const struct host_config *config, struct host_result *result)
{
    /* Only what the last machine touched: a child process would copy each page that it clears. */
    unsigned used = host.config.cpus;

    host_fiber_prepare();
    memset(host_cpus, 0, sizeof host_cpus[0] * used);
    memset(&host, 0, sizeof host);
    memset(result, 0, offsetof(struct host_result, console) + 1);
    host.result = result;
    config_fill(config);
    for (cpu_id_t id = 0; id < host.config.cpus; id++) {
        host_cpus[id].id = id;
        for (unsigned source = 0; source < HOST_IRQ_COUNT; source++)
            host_cpus[id].event_slot[source] = HOST_EVENT_NONE;
    }
    host_cpu_now = &host_cpus[0].regs; /* who boots: the firmware's chance is its */
    host_clock_reset();
    host_step_reset();
    host_schedule_reset();
    host_console_reset();
    boot_info_fill();
    host_memory_create();
    describe_node_memory(&host.boot);
    host_fault_install();
    host_fiber_caller(&host.caller_stack);
}

void host_release(void)
{
    host_cpu_now = &no_cpu;
    host.is_running = false;
    host_console_flush();
    host_fault_remove();
    host_memory_destroy();
}

void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area)
{
    struct host_cpu *self = host_self();
    struct hal_context *context = (struct hal_context *)task;

    HOST_REQUIRE(host.is_running && cpu == self->id, "hal_cpu_init(%u) on CPU %u", cpu, self->id);
    HOST_REQUIRE(!self->regs.irq_enabled, "hal_cpu_init(%u) with interrupts enabled", cpu);
    HOST_REQUIRE(task != NULL, "hal_cpu_init(%u) without a task", cpu);
    HOST_REQUIRE(!self->is_initialised || task == self->regs.current, "hal_cpu_init(%u) again, with another task", cpu);
    HOST_REQUIRE(self->is_initialised || self->first_task == NULL || task == self->first_task,
                 "hal_cpu_init(%u) with another task than hal_cpu_start() was given", cpu);
    if (area != NULL) {
        const unsigned char *bytes = area;

        for (unsigned i = 0; i < HAL_CPU_AREA_BYTES; i++)
            HOST_REQUIRE(bytes[i] == 0, "hal_cpu_init(%u): the area is not zeroed", cpu);
        *(uint64_t *)area = HOST_AREA_MARK ^ cpu;
    }
    self->area = area;
    self->is_initialised = true;
    self->is_fpu_on = self->is_vector_on = false;
    self->regs.current = task;
    context->running_on = cpu + 1;
    host_event_cancel(self, HOST_IRQ_TIMER);
}

void host_cpu_check_area(const struct host_cpu *cpu)
{
    HOST_REQUIRE(cpu->area == NULL || *(const uint64_t *)cpu->area == (HOST_AREA_MARK ^ cpu->id),
                 "the area of CPU %u was overwritten", cpu->id);
}

int hal_cpu_start(cpu_id_t cpu, paddr_t root, struct task *task)
{
    struct hal_context *context = (struct hal_context *)task;

    host_step(HOST_POINT_START);
    if (cpu >= host.config.cpus)
        return -EINVAL;
    struct host_cpu *target = &host_cpus[cpu];

    if (target->state != HOST_CPU_PARKED && (target->state != HOST_CPU_OFF || target->first_task != NULL))
        return -EAGAIN;
    if (task == NULL)
        return 0;
    HOST_REQUIRE(context->running_on == 0, "hal_cpu_start(%u) with a task that runs", cpu);
    target->first_task = task;
    if (host.config.silent_cpus != NULL && cpumask_contains(host.config.silent_cpus, cpu))
        return 0;
    target->is_initialised = false; /* nothing is left of what it was when it parked */
    target->is_fpu_on = target->is_vector_on = false;
    target->regs.current = NULL;
    target->area = NULL;
    target->pending = 0;
    target->root = root;
    target->asid = 0;
    target->sp = context->sp;
    target->stack =
        (struct host_stack){ .base = context->stack_base, .bytes = context->stack_bytes, .fiber = context->fiber };
    context->running_on = cpu + 1;
    host_tlb_start(target);
    host_fiber_meet(&target->stack); /* release: everything stored before is visible there */
    host_runnable_add(target);
    return 0;
}

void host_cpu_idle(void)
{
    struct host_cpu *self = host_self();

    HOST_REQUIRE(!self->regs.irq_enabled, "hal_cpu_idle() on CPU %u with interrupts enabled", self->id);
    HOST_REQUIRE(!host.is_checking, "hal_cpu_idle() on CPU %u while it is quiet", self->id);
    host_step_wait(HOST_POINT_IDLE, HOST_CPU_IDLE);
    self->regs.irq_enabled = true;
    host_irq_deliver();
    /* The interrupt may have switched to other tasks, but whoever idles belongs to its CPU. */
    HOST_REQUIRE(host_self() == self, "a task went idle on CPU %u and woke on CPU %u", self->id, host_self()->id);
    self->regs.irq_enabled = false;
}

void hal_cpu_park(void)
{
    struct host_cpu *self = host_self();

    HOST_REQUIRE(host.is_running, "hal_cpu_park() without a machine");
    host.is_checking = false; /* whoever looked will never be back */
    self->regs.irq_enabled = false;
    self->pending = 0;
    host_tlb_forget(self);
    host_event_cancel(self, HOST_IRQ_TIMER);
    host_event_cancel(self, HOST_IRQ_IPI);
    host_step_wait(HOST_POINT_PARK, HOST_CPU_PARKED);
    host_fail("parked CPU %u ran again", self->id);
}

void hal_machine_exit(int code)
{
    host_leave(HOST_END_EXIT, code);
}

/* The report. It is made on the caller's stack, for the one we stand on may be small or broken. */

static const char *const end_name[] = {
    [HOST_END_EXIT] = "exit",
    [HOST_END_DEADLOCK] = "deadlock: every CPU waits and no event will come",
    [HOST_END_STEPS] = "hang: the step limit was reached",
    [HOST_END_CONTRACT] = "the HAL's contract was broken",
    [HOST_END_CRASH] = "crash",
};

static void report_add(const char *format, ...) PRINTF_LIKE(1, 2);

static void report_add(const char *format, ...)
{
    size_t used = strlen(host.result->report);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(host.result->report + used, sizeof host.result->report - used, format, args);
    va_end(args);
}

void host_fail(const char *format, ...)
{
    va_list args;

    if (host.result != NULL && host.result->report[0] == '\0') {
        va_start(args, format);
        (void)vsnprintf(host.result->report, sizeof host.result->report, format, args);
        va_end(args);
    }
    host_leave(HOST_END_CONTRACT, 0);
}

void host_report(void)
{
    static const char *const state_name[] = { "off", "runs", "idle", "parked", "computes" };
    unsigned shown = 0;

    if (host.result->end == HOST_END_EXIT)
        return;
    report_add("%s%s, step %llu, %llu ns\n", host.result->report[0] != '\0' ? "\n" : "", end_name[host.result->end],
               (unsigned long long)host.steps, (unsigned long long)(host.now_ps / 1000));
    for (cpu_id_t id = 0; id < host.config.cpus && shown < 32; id++) {
        const struct host_cpu *cpu = &host_cpus[id];

        if (cpu->state == HOST_CPU_OFF)
            continue;
        shown++;
        report_add("CPU %u: %s, interrupts %s, pending %s%s, task %p, %llu steps\n", id, state_name[cpu->state],
                   cpu->regs.irq_enabled ? "on" : "off", (cpu->pending & 1u << HOST_IRQ_TIMER) != 0 ? "timer " : "",
                   (cpu->pending & 1u << HOST_IRQ_IPI) != 0 ? "ipi" : "", (void *)cpu->regs.current,
                   (unsigned long long)cpu->steps);
    }
    report_add("last steps:");
    for (uint64_t step = host.steps - MIN(host.steps, (uint64_t)HOST_RECENT_STEPS); step < host.steps; step++) {
        unsigned at = (unsigned)(step % HOST_RECENT_STEPS);

        report_add(" %u:%s", host.recent[at].cpu, point_name[host.recent[at].kind]);
    }
    report_add("\n");
}

struct boot_info *host_boot_info(void)
{
    return &host.boot;
}
