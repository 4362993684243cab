/* SPDX-License-Identifier: MIT */
/* Signals: what the calls of signal(7) say in registers and user memory, checked and handed to proc. No state. */
#include <syscall/table.h>

#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/process.h>
#include <proc/signal.h>
#include <proc/signo.h>
#include <time/clock.h>

#define SET_BYTES 8 /* of a sigset_t, as these calls have it */
#define INFO_BYTES 128

enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

struct timespec {
    int64_t seconds, ns;
};

/* struct sigaction has no restorer where HAL_SIGNAL_HAS_RESTORER is 0. */
struct user_action {
    uint64_t word[3 + HAL_SIGNAL_HAS_RESTORER];
};

static struct signal_action action_of(const struct user_action *user)
{
    return (struct signal_action){
        .handler = user->word[0],
        .flags = user->word[1] & ~(uint64_t)SA_UNSUPPORTED,
        .restorer = HAL_SIGNAL_HAS_RESTORER ? user->word[2] : 0,
        .mask = user->word[2 + HAL_SIGNAL_HAS_RESTORER],
    };
}

static struct user_action user_action_of(const struct signal_action *action)
{
    struct user_action user = { .word = { action->handler, action->flags } };

    if (HAL_SIGNAL_HAS_RESTORER)
        user.word[2] = action->restorer;
    user.word[2 + HAL_SIGNAL_HAS_RESTORER] = action->mask;
    return user;
}

SYSCALL(rt_sigaction)
{
    struct user_action user;
    struct signal_action action, old;
    int result;

    if (args->arg[3] != SET_BYTES)
        return -EINVAL;
    if (args->arg[1] != 0) {
        result = user_copy_in(&user, args->arg[1], sizeof user);
        if (result != 0)
            return result;
        action = action_of(&user);
    }
    result = signal_action_set((unsigned)args->arg[0], args->arg[1] != 0 ? &action : NULL, &old);
    if (result != 0 || args->arg[2] == 0)
        return result;
    user = user_action_of(&old);
    return user_copy_out(args->arg[2], &user, sizeof user);
}

SYSCALL(rt_sigprocmask)
{
    uint64_t old = signal_mask_get();
    uint64_t set = 0;
    int how = (int)args->arg[0];

    if (args->arg[3] != SET_BYTES)
        return -EINVAL;
    if (args->arg[1] != 0) {
        int result = user_copy_in(&set, args->arg[1], sizeof set);

        if (result != 0)
            return result;
        if (how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
            return -EINVAL;
        signal_mask_set(how == SIG_BLOCK ? old | set : how == SIG_UNBLOCK ? old & ~set : set);
    }
    return args->arg[2] == 0 ? 0 : user_copy_out(args->arg[2], &old, sizeof old);
}

SYSCALL(rt_sigpending)
{
    uint64_t set = signal_pending_get();

    if (args->arg[1] > sizeof set)
        return -EINVAL;
    return user_copy_out(args->arg[0], &set, args->arg[1]);
}

SYSCALL(rt_sigsuspend)
{
    uint64_t mask;

    if (args->arg[1] != SET_BYTES)
        return -EINVAL;
    int result = user_copy_in(&mask, args->arg[0], sizeof mask);

    if (result != 0)
        return result;
    signal_mask_borrow(mask);
    return signal_pause();
}

SYSCALL(pause)
{
    (void)args;
    return signal_pause();
}

static int info_out(vaddr_t to, const struct signal_info *info)
{
    if (to == 0)
        return 0;
    int result = user_copy_out(to, info, sizeof *info);

    return result != 0 ? result : user_clear(to + sizeof *info, INFO_BYTES - sizeof *info);
}

static int deadline_in(vaddr_t from, uint64_t *out_ns)
{
    struct timespec time;

    *out_ns = TIME_NEVER;
    if (from == 0)
        return 0;
    int result = user_copy_in(&time, from, sizeof time);

    if (result != 0)
        return result;
    if (time.seconds < 0 || time.ns < 0 || time.ns >= (int64_t)NS_PER_SEC)
        return -EINVAL;
    uint64_t now = clock_ns();

    if ((uint64_t)time.seconds < (TIME_NEVER - now) / NS_PER_SEC - 1)
        *out_ns = now + (uint64_t)time.seconds * NS_PER_SEC + (uint64_t)time.ns;
    return 0;
}

SYSCALL(rt_sigtimedwait)
{
    struct signal_info info;
    uint64_t set, deadline_ns;

    if (args->arg[3] != SET_BYTES)
        return -EINVAL;
    int result = user_copy_in(&set, args->arg[0], sizeof set);

    if (result == 0)
        result = deadline_in(args->arg[2], &deadline_ns);
    if (result != 0)
        return result;
    int number = signal_wait(set, deadline_ns, &info);

    if (number <= 0)
        return number;
    result = info_out(args->arg[1], &info);
    return result != 0 ? result : number;
}

SYSCALL(rt_sigreturn)
{
    if (registers == NULL)
        return SYSCALL_WANTS_REGISTERS;
    signal_return(registers);
    return SYSCALL_KEEPS_REGISTERS;
}

/* What a program says that it sends. Only the kernel, and kill(2), may seem to be themselves, but to the process. */
static int info_in(vaddr_t from, unsigned number, pid_t to, struct signal_info *out)
{
    uint8_t rest[INFO_BYTES - sizeof *out];
    int result = user_copy_in(out, from, sizeof *out);

    if (result == 0)
        result = user_copy_in(rest, from + sizeof *out, sizeof rest);
    if (result != 0)
        return result;
    /* What lies behind the facts of a code that is known, nobody has to have cleared. */
    bool is_known = out->code <= SI_USER && out->code >= SI_CODE_FIRST;

    for (unsigned i = 0; i < sizeof rest && !is_known; i++)
        if (rest[i] != 0)
            return -E2BIG;
    out->number = (int32_t)number;
    if ((out->code >= 0 || out->code == SI_TKILL) && to != process_current()->pid)
        return -EPERM;
    return 0;
}

SYSCALL(rt_sigqueueinfo)
{
    struct signal_info info;
    int result = info_in(args->arg[2], (unsigned)args->arg[1], (pid_t)args->arg[0], &info);

    return result != 0 ? result : signal_queue((pid_t)args->arg[0], &info);
}

SYSCALL(rt_tgsigqueueinfo)
{
    pid_t tgid = (pid_t)args->arg[0];
    struct signal_info info;

    if (tgid <= 0)
        return -EINVAL;
    int result = info_in(args->arg[3], (unsigned)args->arg[2], tgid, &info);

    return result != 0 ? result : signal_tgkill(tgid, (tid_t)args->arg[1], &info);
}

SYSCALL(kill)
{
    return signal_kill((pid_t)args->arg[0], (unsigned)args->arg[1]);
}

SYSCALL(tgkill)
{
    struct signal_info info = signal_info_sent((unsigned)args->arg[2], SI_TKILL);

    if ((pid_t)args->arg[0] <= 0)
        return -EINVAL;
    return signal_tgkill((pid_t)args->arg[0], (tid_t)args->arg[1], &info);
}

SYSCALL(tkill)
{
    struct signal_info info = signal_info_sent((unsigned)args->arg[1], SI_TKILL);

    return signal_tgkill(-1, (tid_t)args->arg[0], &info);
}

/* The user's stack pointer tells whether the stack is in use. */
SYSCALL(sigaltstack)
{
    struct signal_stack stack, old;
    int result;

    if (registers == NULL)
        return SYSCALL_WANTS_REGISTERS;
    vaddr_t sp = HAL_USER_SP(registers);

    if (args->arg[0] != 0) {
        result = user_copy_in(&stack, args->arg[0], sizeof stack);
        if (result != 0)
            return result;
    }
    signal_stack_get(sp, &old);
    result = args->arg[0] == 0 ? 0 : signal_stack_set(&stack, sp);
    if (result != 0 || args->arg[1] == 0)
        return result;
    old.unused = 0;
    return user_copy_out(args->arg[1], &old, sizeof old);
}

SYSCALL(restart_syscall)
{
    struct signal_restart *restart = signal_restart_current();

    (void)args;
    return restart->again == NULL ? -EINTR : restart->again(restart);
}
