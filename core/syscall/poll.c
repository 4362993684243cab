/* SPDX-License-Identifier: MIT */
/* Waiting for several files: poll(2), select(2). No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/poll.h>
#include <k/errno.h>
#include <lib/bitmap.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/process.h>
#include <proc/signal.h>
#include <time/clock.h>

#include "syscall_priv.h"

#define INLINE_FDS 16

struct pollfd {
    int32_t fd;
    int16_t events, revents;
};

/* Both fit one allocation: items first. */
struct poll_set {
    struct poll_item *items;
    struct pollfd *fds;
    struct {
        struct poll_item items[INLINE_FDS];
        struct pollfd fds[INLINE_FDS];
    } own;
};

static int set_begin(struct poll_set *set, unsigned count)
{
    set->items = set->own.items;
    set->fds = set->own.fds;
    if (count <= INLINE_FDS)
        return 0;
    set->items = kmalloc(count * (sizeof *set->items + sizeof *set->fds));
    if (set->items == NULL)
        return -ENOMEM;
    set->fds = (struct pollfd *)(set->items + count);
    return 0;
}

static void set_end(struct poll_set *set, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (set->items[i].file != NULL)
            file_put(set->items[i].file);
    if (set->items != set->own.items)
        kfree(set->items);
}

static void set_files(struct poll_set *set, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int fd = set->fds[i].fd;

        set->items[i] = (struct poll_item){ .wanted = (uint16_t)set->fds[i].events };
        if (fd < 0)
            continue; /* poll(2): ignored */
        set->items[i].file = fd_get(own_files(), (unsigned)fd);
        if (set->items[i].file == NULL)
            set->items[i].got = POLLNVAL;
    }
}

/* What is left of a timeout goes back to the user, who may not have room for it: that is no error, but a call that
 * would find its whole time there again cannot be made anew. The result with that. */
static int64_t rest_out(vaddr_t to, uint64_t deadline_ns, uint64_t part_ns, int64_t got)
{
    uint64_t now = clock_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    const int64_t time[2] = { (int64_t)(left / NS_PER_SEC), (int64_t)(left % NS_PER_SEC / part_ns) };

    if (to == 0 || deadline_ns == TIME_NEVER || user_copy_out(to, time, sizeof time) == 0)
        return got;
    return got == -ERESTARTNOHAND ? -EINTR : got;
}

static int64_t poll(vaddr_t fds, uint64_t count, uint64_t deadline_ns)
{
    struct poll_set set;

    if (count > own_fd_limit())
        return -EINVAL;
    int result = set_begin(&set, (unsigned)count);

    if (result != 0)
        return result;
    result = user_copy_in(set.fds, fds, count * sizeof *set.fds);
    if (result != 0) {
        set_end(&set, 0);
        return result;
    }
    set_files(&set, (unsigned)count);
    result = poll_wait_for(set.items, (unsigned)count, deadline_ns);
    for (unsigned i = 0; i < count && result >= 0; i++) {
        const int16_t got = (int16_t)set.items[i].got;

        if (user_copy_out(fds + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents), &got, sizeof got) != 0)
            result = -EFAULT;
    }
    set_end(&set, (unsigned)count);
    return result;
}

static int64_t poll_until(vaddr_t fds, unsigned count, uint64_t deadline_ns);

static int64_t poll_again(struct signal_restart *restart)
{
    return poll_until(restart->word[0], (unsigned)restart->word[1], restart->word[2]);
}

/* poll(2) is made anew only if no handler was entered, and then ends when it would have. */
static int64_t poll_until(vaddr_t fds, unsigned count, uint64_t deadline_ns)
{
    int64_t result = poll(fds, count, deadline_ns);

    if (result != -EINTR)
        return result;
    struct signal_restart *restart = signal_restart_current();

    restart->again = poll_again;
    restart->word[0] = fds;
    restart->word[1] = count;
    restart->word[2] = deadline_ns;
    return -ERESTART_RESTARTBLOCK;
}

SYSCALL(poll)
{
    int timeout_ms = (int)args->arg[2];
    uint64_t deadline_ns = timeout_ms < 0 ? TIME_NEVER
                           : timeout_ms == 0 ? 0 : clock_ns() + (uint64_t)timeout_ms * NS_PER_MS;

    return poll_until(args->arg[0], (unsigned)args->arg[1], deadline_ns);
}

SYSCALL(ppoll)
{
    uint64_t deadline_ns;
    int result = timeout_in(args->arg[2], &deadline_ns);

    if (result != 0)
        return result;
    int64_t masked = mask_begin(args->arg[3], args->arg[4]);

    if (masked != 0)
        return masked;
    int64_t got = mask_end(poll(args->arg[0], (unsigned)args->arg[1], deadline_ns));

    return rest_out(args->arg[2], deadline_ns, 1, got);
}

/* ---- select(2): three sets of bits ---- */

#define SETS 3
#define READABLE (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define WRITABLE (POLLWRNORM | POLLWRBAND | POLLOUT | POLLERR)
#define EXCEPTIONAL POLLPRI

static const uint32_t set_events[SETS] = { READABLE, WRITABLE, EXCEPTIONAL };

struct selection {
    unsigned count, words;
    uint64_t *in[SETS], *out[SETS]; /* one allocation, at in[0] */
};

static int selection_in(struct selection *selection, const vaddr_t at[SETS], int count)
{
    if (count < 0)
        return -EINVAL;
    selection->count = MIN((unsigned)count, fd_room(own_files())); /* of others nothing is read, as on Linux */
    selection->words = (selection->count + 63) / 64;
    selection->in[0] = kmalloc(MAX(selection->words, 1u) * 2 * SETS * sizeof(uint64_t));
    if (selection->in[0] == NULL)
        return -ENOMEM;
    (void)memset(selection->in[0], 0, selection->words * 2 * SETS * sizeof(uint64_t));
    for (unsigned i = 0; i < SETS; i++) {
        selection->in[i] = selection->in[0] + i * selection->words;
        selection->out[i] = selection->in[0] + (SETS + i) * selection->words;
        if (at[i] != 0 && user_copy_in(selection->in[i], at[i], selection->words * sizeof(uint64_t)) != 0) {
            kfree(selection->in[0]);
            return -EFAULT;
        }
    }
    return 0;
}

static bool is_in(const uint64_t *set, unsigned fd)
{
    return (set[fd / 64] >> fd % 64 & 1) != 0;
}

static uint32_t wanted(const struct selection *selection, unsigned fd)
{
    uint32_t events = 0;

    for (unsigned i = 0; i < SETS; i++)
        events |= is_in(selection->in[i], fd) ? set_events[i] : 0;
    return events;
}

/* Into the sets what is ready; how many bits that are. */
static int note(struct selection *selection, unsigned fd, uint32_t got)
{
    int bits = 0;

    for (unsigned i = 0; i < SETS; i++) {
        if (!is_in(selection->in[i], fd) || (got & set_events[i]) == 0)
            continue;
        selection->out[i][fd / 64] |= UINT64_C(1) << fd % 64;
        bits++;
    }
    return bits;
}

static int select_wait(struct selection *selection, uint64_t deadline_ns)
{
    struct poll_set set;
    unsigned used = 0;
    int result = 0;

    for (unsigned fd = 0; fd < selection->count; fd++)
        used += wanted(selection, fd) != 0;
    result = set_begin(&set, used);
    if (result != 0)
        return result;
    unsigned at = 0;

    for (unsigned fd = 0; fd < selection->count; fd++)
        if (wanted(selection, fd) != 0)
            set.fds[at++] = (struct pollfd){ .fd = (int)fd, .events = (int16_t)wanted(selection, fd) };
    set_files(&set, used);
    for (unsigned i = 0; i < used; i++)
        if (set.items[i].got == POLLNVAL)
            result = -EBADF;
    if (result == 0)
        result = poll_wait_for(set.items, used, deadline_ns);
    if (result >= 0) {
        result = 0;
        for (unsigned i = 0; i < used; i++)
            result += note(selection, (unsigned)set.fds[i].fd, set.items[i].got);
    }
    set_end(&set, used);
    return result;
}

static int64_t select(const struct syscall_args *args, uint64_t deadline_ns)
{
    const vaddr_t at[SETS] = { args->arg[1], args->arg[2], args->arg[3] };
    struct selection selection;
    int result = selection_in(&selection, at, (int)args->arg[0]);

    if (result != 0)
        return result;
    result = select_wait(&selection, deadline_ns);
    for (unsigned i = 0; i < SETS && result >= 0; i++)
        if (at[i] != 0 && user_copy_out(at[i], selection.out[i], selection.words * sizeof(uint64_t)) != 0)
            result = -EFAULT;
    kfree(selection.in[0]);
    return result;
}

/* struct timeval: microseconds, which need not be below a million. */
SYSCALL(select)
{
    int64_t time[2];
    uint64_t deadline_ns = TIME_NEVER;

    if (args->arg[4] != 0) {
        int result = user_copy_in(time, args->arg[4], sizeof time);

        if (result != 0)
            return result;
        if (time[0] < 0 || time[1] < 0)
            return -EINVAL;
        if (time[0] < INT64_MAX / (int64_t)NS_PER_SEC / 2 && time[1] < INT64_MAX / 1000 / 2)
            deadline_ns = clock_ns() + (uint64_t)time[0] * NS_PER_SEC + (uint64_t)time[1] * NS_PER_US;
    }
    int64_t got = select(args, deadline_ns);

    return rest_out(args->arg[4], deadline_ns, NS_PER_US, got == -EINTR ? -ERESTARTNOHAND : got);
}

/* The sixth argument points to the mask's address and size. */
SYSCALL(pselect6)
{
    uint64_t mask[2] = { 0, 0 };
    uint64_t deadline_ns;
    int result = timeout_in(args->arg[4], &deadline_ns);

    if (result == 0 && args->arg[5] != 0)
        result = user_copy_in(mask, args->arg[5], sizeof mask);
    if (result != 0)
        return result;
    int64_t masked = mask_begin(mask[0], mask[1]);

    if (masked != 0)
        return masked;
    int64_t got = mask_end(select(args, deadline_ns));

    return rest_out(args->arg[4], deadline_ns, 1, got);
}
