/* SPDX-License-Identifier: MIT */
/* Facts about the system, and settings of a process that fit nowhere else. No state. */
#include <syscall/syscall.h>
#include <syscall/table.h>

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/dev.h>
#include <fs/iospan.h>
#include <fs/procfs.h>
#include <hal/cpu.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <mm/stats.h>
#include <mm/user.h>
#include <proc/process.h>
#include <proc/show.h>
#include <sched/mutex.h>
#include <sched/sched.h>
#include <smp/cpu.h>
#include <time/clock.h>

#include "syscall_priv.h"

/* ---- uname(2), sysinfo(2) ---- */

#define UNAME_BYTES 65
#define LINUX_RELEASE "6.12.0-verdant" /* C libraries look at the number: whose interface this is */

struct uname {
    char system[UNAME_BYTES], node[UNAME_BYTES], release[UNAME_BYTES], version[UNAME_BYTES], machine[UNAME_BYTES],
        domain[UNAME_BYTES];
};

/* Both as sethostname(2) and setdomainname(2) left them, with their NUL. */
static struct {
    struct mutex mutex;
    char node[UNAME_BYTES], domain[UNAME_BYTES];
} names = { .mutex = MUTEX_INIT(names.mutex), .node = "verdant", .domain = "(none)" };

static void get_uname(struct uname *out)
{
    *out = (struct uname){ .system = "Linux", .release = LINUX_RELEASE };
    mutex_lock(&names.mutex);
    (void)memcpy(out->node, names.node, sizeof out->node);
    (void)memcpy(out->domain, names.domain, sizeof out->domain);
    mutex_unlock(&names.mutex);
    (void)fmt_print(out->version, sizeof out->version, "#1 SMP Verdant");
    (void)str_copy(out->machine, hal_user_facts.platform, sizeof out->machine);
}

SYSCALL(uname)
{
    struct uname out;

    get_uname(&out);
    return user_copy_out(args->arg[0], &out, sizeof out);
}

/* The same in /proc (proc(5)). */
#define SHOW(field)                                                     \
    static int show_##field(struct procfs_text *text, void *process)    \
    {                                                                   \
        struct uname out;                                               \
                                                                        \
        (void)process;                                                  \
        get_uname(&out);                                                \
        procfs_print(text, "%s\n", out.field);                          \
        return 0;                                                       \
    }
SHOW(system)
SHOW(node)
SHOW(release)
SHOW(version)
SHOW(domain)

static int show_all(struct procfs_text *text, void *process)
{
    struct uname out;

    (void)process;
    get_uname(&out);
    procfs_print(text, "%s version %s (Verdant) %s\n", out.system, out.release, out.version);
    return 0;
}

void syscall_init(void)
{
    static const struct procfs_file files[] = {
        { .name = "version", .print = show_all },
        { .name = "sys/kernel/ostype", .print = show_system },
        { .name = "sys/kernel/hostname", .print = show_node },
        { .name = "sys/kernel/osrelease", .print = show_release },
        { .name = "sys/kernel/version", .print = show_version },
        { .name = "sys/kernel/domainname", .print = show_domain },
    };

    for (unsigned i = 0; i < ARRAY_COUNT(files); i++)
        procfs_register(&files[i]);
    procfs_set_flags_out(open_flags_out);
}

static int64_t set_system_name(char *name, const struct syscall_args *args)
{
    uint64_t bytes = args->arg[1];
    char wanted[UNAME_BYTES] = { 0 };

    if (!cred_can(thread_current()->user.cred, CAP_SYS_ADMIN))
        return -EPERM;
    if (bytes >= UNAME_BYTES)
        return -EINVAL;
    int result = user_copy_in(wanted, args->arg[0], bytes);

    if (result != 0)
        return result;
    mutex_lock(&names.mutex);
    (void)memcpy(name, wanted, sizeof wanted);
    mutex_unlock(&names.mutex);
    return 0;
}

SYSCALL(sethostname)
{
    return set_system_name(names.node, args);
}

SYSCALL(setdomainname)
{
    return set_system_name(names.domain, args);
}

struct sysinfo {
    int64_t uptime_seconds;
    uint64_t loads[LOAD_AVERAGES];
    uint64_t ram, free, shared, buffers, swap, swap_free;
    uint16_t processes;
    uint16_t pad;
    uint64_t high, high_free;
    uint32_t unit;
    uint32_t pad_end;
};

SYSCALL(sysinfo)
{
    struct phys_stats pages;

    phys_stats_get(&pages);
    struct sysinfo out = {
        .uptime_seconds = (int64_t)(clock_ns() / NS_PER_SEC),
        .ram = (pages.total_pages + pages.reserved_pages) * PAGE_BYTES,
        .free = pages.free_pages * PAGE_BYTES,
        .processes = (uint16_t)MIN(process_count(), (unsigned)UINT16_MAX),
        .unit = 1,
    };

    show_load_averages(out.loads);
    return user_copy_out(args->arg[0], &out, sizeof out);
}

/* ---- reboot(2) ---- */

#define REBOOT_MAGIC 0xfee1deadu
enum : uint32_t {
    REBOOT_RESTART = 0x01234567u, REBOOT_HALT = 0xcdef0123u, REBOOT_CAD_ON = 0x89abcdefu, REBOOT_CAD_OFF = 0,
    REBOOT_POWER_OFF = 0x4321fedcu,
};

/* There is no Ctrl-Alt-Del, and no way to begin again: whoever watches the machine starts it anew. */
SYSCALL(reboot)
{
    static const uint32_t second[] = { 672274793, 85072278, 369367448, 537993216 };
    bool is_meant = (uint32_t)args->arg[0] == REBOOT_MAGIC;
    bool is_second = false;

    for (unsigned i = 0; i < ARRAY_COUNT(second); i++)
        is_second = is_second || (uint32_t)args->arg[1] == second[i];
    if (!cred_can(thread_current()->user.cred, CAP_SYS_BOOT))
        return -EPERM;
    if (!is_meant || !is_second)
        return -EINVAL;
    switch ((uint32_t)args->arg[2]) {
    case REBOOT_CAD_ON:
    case REBOOT_CAD_OFF:
        return 0;
    case REBOOT_RESTART:
    case REBOOT_HALT:
    case REBOOT_POWER_OFF:
        hal_machine_exit(0);
    default:
        return -EINVAL;
    }
}

/* ---- getrandom(2) ---- */

enum { GRND_NONBLOCK = 1, GRND_RANDOM = 2, GRND_INSECURE = 4 };

SYSCALL(getrandom)
{
    unsigned flags = (unsigned)args->arg[2];
    struct io_span span;

    if ((flags & ~(unsigned)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0 ||
        (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    io_span_user(&span, args->arg[0], args->arg[1]);
    return random_read(&span);
}

/* ---- Settings ---- */

SYSCALL(umask)
{
    return fs_context_set_umask(thread_current()->user.paths, (uint32_t)args->arg[0] & 0777);
}

#define PERSONALITY_ASK 0xffffffffu

SYSCALL(personality)
{
    uint32_t wanted = (uint32_t)args->arg[0];
    struct thread_user *user = &thread_current()->user;
    uint32_t old = user->personality;

    if (wanted != PERSONALITY_ASK)
        user->personality = wanted;
    return old;
}

SYSCALL(sched_yield)
{
    (void)args;
    task_yield();
    return 0;
}

enum {
    PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG = 2, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4, PR_SET_NAME = 15,
    PR_GET_NAME = 16, PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER = 37, PR_SET_NO_NEW_PRIVS = 38,
    PR_GET_NO_NEW_PRIVS = 39,
};

static int64_t set_name(vaddr_t from)
{
    char name[TASK_NAME_BYTES] = "";

    /* As Linux, a long name is cut: so much is there, or a NUL before. */
    int64_t result = user_copy_string(name, from, sizeof name);

    if (result == -ENAMETOOLONG)
        result = user_copy_in(name, from, sizeof name - 1);
    if (result < 0)
        return result;
    name[sizeof name - 1] = '\0';
    thread_set_name(name);
    return 0;
}

SYSCALL(prctl)
{
    struct thread *self = thread_current();
    uint64_t value = args->arg[1];
    bool has_rest = (args->arg[2] | args->arg[3] | args->arg[4]) != 0;
    int32_t out = 0;

    switch ((int)args->arg[0]) {
    case PR_SET_PDEATHSIG:
        if (value > 64)
            return -EINVAL;
        store_relaxed(&self->user.parent_death_signal, (int)value);
        return 0;
    case PR_GET_PDEATHSIG:
        out = load_relaxed(&self->user.parent_death_signal);
        return user_copy_out(value, &out, sizeof out);
    case PR_SET_NAME:
        return set_name(value);
    case PR_GET_NAME:
        return user_copy_out(value, current_task()->name, TASK_NAME_BYTES);
    case PR_SET_CHILD_SUBREAPER:
        process_set_subreaper(self->process, value != 0);
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        out = process_is_subreaper(self->process);
        return user_copy_out(value, &out, sizeof out);
    case PR_GET_DUMPABLE:
        return !load_relaxed(&self->process->is_private);
    case PR_SET_DUMPABLE:
        if (value > 1)
            return -EINVAL;
        store_relaxed(&self->process->is_private, value == 0);
        return 0;
    case PR_SET_NO_NEW_PRIVS:
        if (value != 1 || has_rest)
            return -EINVAL;
        store_relaxed(&self->user.gains_nothing, true);
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        if (value != 0 || has_rest)
            return -EINVAL;
        return load_relaxed(&self->user.gains_nothing);
    default:
        break;
    }
    if (registers == NULL)
        return SYSCALL_WANTS_REGISTERS;
    int64_t result = hal_user_call(registers, current_task()->fpu_area, HAL_USER_NUMBER(registers));

    return result == -ENOSYS ? -EINVAL : result;
}

SYSCALL(arch_prctl)
{
    return registers == NULL ? SYSCALL_WANTS_REGISTERS
                             : hal_user_call(registers, current_task()->fpu_area, HAL_USER_NUMBER(registers));
}
