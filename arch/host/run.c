/* SPDX-License-Identifier: MIT */
/*
 * How a test runs the machine: a boot on CPU 0's own stack, unit mode on the caller's, a team of bodies; each also in a
 * child process. Every end of a run, however deep, comes back to the caller through host_leave().
 */
#include "host_priv.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os.h"

#pragma weak kmain

#define BOOT_STACK_BYTES ((size_t)256 << 10)
#define TEAM_STACK_BYTES ((size_t)256 << 10)
#define CODE_OF_END 100

static struct {
    struct host_result unit_result;
    jmp_buf catch;
    bool is_catching;
    const struct host_team *team;
    char *team_stacks;
    _Atomic(bool) is_team_complete; /* every CPU was started: bodies may poke each other */
    _Atomic(unsigned) team_returned;
} run;

/* Unit mode: whichever CPU and stack this is, the calling thread goes on as CPU 0 where it waits for the result. */
[[noreturn]] static void leave_unit(void)
{
    if (run.is_catching) {
        if (host_self()->stack.base != host.caller_stack.base || host_self()->id != 0)
            host_fiber_leave(&host.caller_stack, true);
        longjmp(run.catch, 1);
    }
    host_report();
    host_console_flush();
    host_result_print(&host.config, host.result);
    abort();
}

void host_leave(enum host_end end, int code)
{
    uintptr_t abandoned;

    if (!host.is_running) {
        (void)fprintf(stderr, "host machine: used without a set-up: %s\n",
                      host.result != NULL ? host.result->report : "");
        abort();
    }
    host.result->end = end;
    host.result->code = code;
    host.is_checking = false;
    if (host.is_unit)
        leave_unit();
    host_fiber_leave(&host.caller_stack, true);
    host_swap(&abandoned, host.caller_sp);
    abort(); /* nobody swaps back */
}

static void boot_begin(void *unused)
{
    (void)unused;
    host_fiber_arrive();
    if (host.config.entry != NULL)
        host.config.entry(&host.boot);
    HOST_REQUIRE(kmain != NULL, "no kmain() in this binary and no entry in the config");
    kmain(&host.boot);
}

static int result_code(const struct host_result *result)
{
    return result->end == HOST_END_EXIT ? result->code : CODE_OF_END + (int)result->end;
}

/* The caller sees what every CPU did. */
static void finish(void)
{
    for (cpu_id_t id = 0; id < host.config.cpus; id++)
        host_fiber_meet(&host_cpus[id].stack);
    host.result->steps = host.steps;
    host.result->hash = host.hash;
    host.result->virtual_ns = host.now_ps / 1000;
    host_report();
}

int host_machine_run(const struct host_config *config, struct host_result *result)
{
    struct host_cpu *boot_cpu = &host_cpus[0];
    char *stack;

    if (config->cpus < 1 || config->cpus > CPU_MAX || host.is_running)
        os_die("host_machine_run: bad config, or a machine runs already");
    host_reset(config, result);
    stack = os_alloc(BOOT_STACK_BYTES, false);
    if (stack == NULL)
        os_die("boot stack");
    boot_cpu->stack = (struct host_stack){ .base = (uintptr_t)stack, .bytes = BOOT_STACK_BYTES };
    host_fiber_bind(&boot_cpu->stack);
    host_runnable_add(boot_cpu);
    host_cpu_now = &boot_cpu->regs;
    host.is_running = true;
    host_fiber_leave(&boot_cpu->stack, true);
    host_swap(&host.caller_sp, host_swap_prepare((uintptr_t)stack + BOOT_STACK_BYTES, boot_begin, NULL));
    host_fiber_arrive();
    finish();
    host_release();
    os_release(stack, BOOT_STACK_BYTES);
    return result_code(result);
}

/* Children report through shared memory. */
struct child {
    struct host_result result;
    bool is_done;
    bool has_returned;
};

static struct child *child_create(void)
{
    struct child *child = os_alloc(sizeof *child, true);

    if (child == NULL)
        os_die("result of a child");
    return child;
}

/* Wait for it, and turn a death by signal or by a sanitizer into a result. */
static void child_finish(pid_t pid, struct child *child, struct host_result *result)
{
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        os_die("child process");
    memcpy(result, &child->result, sizeof *result);
    /* A sanitizer that only warned makes the status of an ordered exit its own. */
    if (!child->is_done || status != 0) {
        result->end = HOST_END_CRASH;
        result->code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        (void)snprintf(result->report, sizeof result->report, "the run %s %d\n",
                       WIFSIGNALED(status) ? "died of signal" : "left its process with status", result->code);
    }
}

static pid_t child_start(void)
{
    pid_t pid;

    host_fiber_prepare();
    /* What is buffered now would be written twice. */
    (void)fflush(stdout);
    (void)fflush(stderr);
    pid = fork();
    return pid;
}

int host_machine_run_forked(const struct host_config *config, struct host_result *result)
{
    struct child *child = child_create();
    pid_t pid = child_start();

    if (pid == 0) {
        (void)alarm(config->wall_seconds != 0 ? config->wall_seconds : 120);
        (void)host_machine_run(config, &child->result);
        child->is_done = true;
        _exit(0);
    }
    child_finish(pid, child, result);
    os_release(child, sizeof *child);
    return result_code(result);
}

void host_unit_setup(const struct host_config *config)
{
    host_reset(config, &run.unit_result);
    host.is_unit = true;
    host.is_running = true;
    host_cpus[0].stack = host.caller_stack;
    host_runnable_add(&host_cpus[0]);
    host_cpu_now = &host_cpus[0].regs;
}

void host_unit_enter(struct task *task)
{
    struct hal_context *context = (struct hal_context *)task;

    context->running_on = 0;
    host_self()->is_initialised = false; /* each test may come with a task of its own */
    hal_cpu_init(host_self()->id, task, NULL);
}

void host_unit_teardown(void)
{
    host_release();
}

/* CPU 0 as it was before the function that ended the machine. */
static void unit_resume(struct task *current, bool irq_enabled)
{
    struct host_cpu *cpu = &host_cpus[0];

    if (host_self() != cpu || cpu->stack.base != host.caller_stack.base)
        host_fiber_arrive();
    host_cpu_now = &cpu->regs;
    cpu->stack = host.caller_stack;
    cpu->regs.current = current;
    cpu->regs.irq_enabled = irq_enabled;
    if (cpu->state != HOST_CPU_RUNNABLE)
        host_runnable_add(cpu);
    if (current != NULL)
        ((struct hal_context *)current)->running_on = 1;
}

bool host_unit_returns(void (*fn)(void *), void *arg, struct host_result *result)
{
    struct task *current = hal_current();
    bool irq_enabled = hal_irq_is_enabled();
    volatile bool has_returned = false;

    memset(&run.unit_result, 0, offsetof(struct host_result, console) + 1);
    host.result = &run.unit_result;
    run.is_catching = true;
    if (setjmp(run.catch) == 0) {
        fn(arg);
        has_returned = true;
    } else {
        unit_resume(current, irq_enabled);
    }
    run.is_catching = false;
    finish();
    memcpy(result, &run.unit_result, sizeof *result);
    return has_returned;
}

bool host_unit_returns_forked(void (*fn)(void *), void *arg, struct host_result *result)
{
    struct child *child = child_create();
    pid_t pid = child_start();
    bool has_returned;

    if (pid == 0) {
        (void)alarm(host.config.wall_seconds);
        host_memory_unshare();
        child->has_returned = host_unit_returns(fn, arg, &child->result);
        child->is_done = true;
        _exit(0);
    }
    child_finish(pid, child, result);
    has_returned = child->has_returned;
    os_release(child, sizeof *child);
    return has_returned;
}

/* A team: CPU 0 starts the others and joins them; whoever returns last ends the machine. The atomics here are C's own:
 * waiting for the start is a step only where it relaxes. */
[[noreturn]] static void team_member(void *arg)
{
    cpu_id_t cpu = (cpu_id_t)(uintptr_t)arg;

    hal_cpu_init(cpu, run.team->tasks[cpu], NULL);
    while (!atomic_load_explicit(&run.is_team_complete, memory_order_acquire))
        hal_cpu_relax();
    run.team->body(cpu, run.team->arg);
    hal_irq_disable();
    if (atomic_fetch_add_explicit(&run.team_returned, 1, memory_order_acq_rel) + 1 == host.config.cpus)
        hal_machine_exit(0);
    hal_cpu_park();
}

static void team_boot(struct boot_info *boot)
{
    for (cpu_id_t cpu = 0; cpu < boot->cpu_count; cpu++) {
        struct hal_context *context = (struct hal_context *)run.team->tasks[cpu];
        char *top = run.team_stacks + (cpu + 1) * TEAM_STACK_BYTES;

        if (cpu == 0)
            context->running_on = 0; /* it runs on the boot stack */
        else
            hal_context_init(context, (vaddr_t)top, TEAM_STACK_BYTES, team_member, (void *)(uintptr_t)cpu);
    }
    for (cpu_id_t cpu = 1; cpu < boot->cpu_count; cpu++)
        HOST_REQUIRE(hal_cpu_start(cpu, 0, run.team->tasks[cpu]) == 0, "team: CPU %u does not start", cpu);
    atomic_store_explicit(&run.is_team_complete, true, memory_order_release);
    team_member(NULL);
}

static int team_run(const struct host_config *config, const struct host_team *team, struct host_result *result,
                    int (*how)(const struct host_config *, struct host_result *))
{
    struct host_config own = *config;
    int code;

    own.entry = team_boot;
    run.team = team;
    run.team_returned = 0;
    run.is_team_complete = false;
    run.team_stacks = os_alloc(config->cpus * TEAM_STACK_BYTES, false);
    if (run.team_stacks == NULL)
        os_die("team stacks");
    code = how(&own, result);
    os_release(run.team_stacks, config->cpus * TEAM_STACK_BYTES);
    return code;
}

int host_team_run(const struct host_config *config, const struct host_team *team, struct host_result *result)
{
    return team_run(config, team, result, host_machine_run);
}

int host_team_run_forked(const struct host_config *config, const struct host_team *team, struct host_result *result)
{
    return team_run(config, team, result, host_machine_run_forked);
}

void host_result_print(const struct host_config *config, const struct host_result *result)
{
    (void)fprintf(stderr, "seed %llu, %u CPUs: end %d, code %d, %llu steps, %llu ns, hash %016llx\n",
                  (unsigned long long)config->seed, config->cpus, (int)result->end, result->code,
                  (unsigned long long)result->steps, (unsigned long long)result->virtual_ns,
                  (unsigned long long)result->hash);
    (void)fprintf(stderr, "%s", result->report);
    if (result->console_bytes > 0)
        (void)fprintf(stderr, "console:\n%s\n", result->console);
}
