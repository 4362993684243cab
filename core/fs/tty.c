/* SPDX-License-Identifier: MIT */
/* The terminal as a file: reads, writes, settings, job control. The line discipline is tty_input.c. */
#include <fs/tty.h>

#include <fs/dev.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <sched/sched.h>
#include <time/clock.h>

#define SIGHUP 1
#define SIGCONT 18
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGWINCH 28
#define TENTH_NS (NS_PER_SEC / 10)
#define PIECE_BYTES 64u /* of output, between two looks at signals */

/* Linux's tty_std_termios, at 38,400 baud and 8 bits; what programs find on a fresh terminal. */
#define CONTROL_DEFAULT 0x4bfu

static struct tty console;
static const struct tty_hooks *hooks;

static struct {
    struct waitq wait;
    _Atomic(unsigned) opens; /* files that are open */
} use = { .wait = WAITQ_INIT(use.wait) };

void tty_set_hooks(const struct tty_hooks *given)
{
    ASSERT(hooks == NULL);
    hooks = given;
}

/* ---- What comes in ---- */

void tty_feed(uint8_t byte)
{
    struct tty *tty = &console;

    mutex_lock(&tty->mutex);
    bool was_stopped = load_relaxed(&tty->is_stopped);
    int signal = tty_input(tty, byte);
    bool goes_on = was_stopped && !load_relaxed(&tty->is_stopped);

    mutex_unlock(&tty->mutex);
    if (signal != 0 && load_relaxed(&tty->group) != 0 && hooks != NULL)
        hooks->signal(load_relaxed(&tty->group), signal);
    poll_wake(&tty->can_read);
    if (goes_on)
        poll_wake(&tty->can_write);
}

void tty_wait_in_use(void)
{
    while (waitq_wait_until(&use.wait, load_relaxed(&use.opens) != 0, TIME_NEVER, WAIT_UNINTERRUPTED) != 0)
        continue;
}

/* How many bytes a read could have: in canonical mode there is something if a line is complete. */
static uint32_t available(const struct tty *tty)
{
    bool is_canonical = load_relaxed(&tty->is_canonical);
    uint32_t end = is_canonical ? load_acquire(&tty->lines) : load_acquire(&tty->head); /* PAIRS(tty_input) */

    return end - load_relaxed(&tty->tail);
}

static bool ends_line(const struct tty *tty, uint32_t at)
{
    return (tty->ends[at % TTY_INPUT_BYTES / 64] >> at % 64 & 1) != 0;
}

/* Comes an end without a byte of its own next? */
static bool is_bare_end(const struct tty *tty)
{
    uint32_t tail = load_relaxed(&tty->tail);

    return load_relaxed(&tty->is_canonical) && available(tty) > 0 && ends_line(tty, tail) &&
           tty->input[tail % TTY_INPUT_BYTES] == 0;
}

/* Bytes of one line, or all there are. The mutex is held. *out_is_end: a line ended, or nothing but its end was
 * there. */
static size_t take(struct tty *tty, struct io_span *to, int *out_error, bool *out_is_end)
{
    size_t done = 0;

    *out_is_end = false;
    while (available(tty) > 0 && to->left > 0 && !*out_is_end) {
        uint32_t tail = load_relaxed(&tty->tail);
        uint8_t byte = tty->input[tail % TTY_INPUT_BYTES];
        bool is_end = load_relaxed(&tty->is_canonical) && ends_line(tty, tail);

        /* An end without a byte: that is how a file ends here. */
        if (!(is_end && byte == 0) && io_copy_to(to, &byte, 1) != 1) {
            *out_error = -EFAULT;
            break;
        }
        done += !(is_end && byte == 0);
        *out_is_end = is_end;
        store_relaxed(&tty->tail, tail + 1);
    }
    /* One behind all that there was room for ends this read, and not the file for the next. */
    if (done > 0 && to->left == 0 && !*out_is_end && is_bare_end(tty))
        store_relaxed(&tty->tail, load_relaxed(&tty->tail) + 1);
    return done;
}

/* ---- Job control ---- */

/* Does the running task use it as its own terminal, without being in front? */
static bool is_behind(const struct tty *tty)
{
    pid_t session = load_relaxed(&tty->session);

    return hooks != NULL && session != 0 && hooks->session() == session && hooks->group() != load_relaxed(&tty->group);
}

/* 0: go on. -EIO: it may not. -EINTR: it was told to stop; the call is made anew when it goes on. */
static int check_front(const struct tty *tty, int signal)
{
    if (!is_behind(tty))
        return 0;
    int can_stop = hooks->can_stop(signal);

    if (can_stop <= 0)
        return signal == SIGTTIN ? -EIO : can_stop;
    hooks->signal(hooks->group(), signal);
    return -ERESTARTSYS;
}

/* ---- read(2) ---- */

/* Until there is something to read; how long, say the settings. 0: look again. 1: time is up. */
static int wait_input(struct tty *tty, uint32_t wanted, uint64_t deadline_ns)
{
    int result = waitq_wait_until(&tty->can_read.wait, available(tty) >= wanted, deadline_ns, FILE_WAIT);

    return result == -ETIMEDOUT ? 1 : result;
}

struct raw_rules {
    uint32_t least;    /* VMIN */
    uint64_t time_ns;  /* VTIME */
};

static int64_t read_raw(struct tty *tty, struct io_span *to, const struct raw_rules *rules, bool may_wait)
{
    uint32_t wanted = (uint32_t)MIN((size_t)MAX(rules->least, 1u), to->left);
    uint64_t deadline_ns = TIME_NEVER;
    size_t done = 0;
    int error = 0, waited = 0;

    if (rules->least == 0)
        deadline_ns = rules->time_ns != 0 ? clock_ns() + rules->time_ns : 0;
    for (;;) {
        bool is_end;

        mutex_lock(&tty->mutex);
        size_t got = take(tty, to, &error, &is_end);

        mutex_unlock(&tty->mutex);
        done += got;
        if (got != 0 && rules->least != 0 && rules->time_ns != 0)
            deadline_ns = clock_ns() + rules->time_ns; /* between two bytes */
        if (error != 0 || done >= wanted || waited != 0)
            break;
        if (!may_wait)
            return done > 0 ? (int64_t)done : rules->least == 0 && rules->time_ns == 0 ? 0 : -EAGAIN;
        if (deadline_ns == 0)
            break;
        waited = wait_input(tty, 1, deadline_ns);
        if (waited < 0)
            return done > 0 ? (int64_t)done : waited;
    }
    return io_result(done, error);
}

static int64_t read_line(struct tty *tty, struct io_span *to, bool may_wait)
{
    for (;;) {
        int error = 0;
        bool is_end;

        mutex_lock(&tty->mutex);
        size_t got = take(tty, to, &error, &is_end);

        mutex_unlock(&tty->mutex);
        if (got > 0 || is_end || error != 0)
            return io_result(got, error);
        if (!load_relaxed(&tty->is_canonical))
            return -EAGAIN; /* the settings have changed: the caller looks again */
        if (!may_wait)
            return -EAGAIN;
        int result = wait_input(tty, 1, TIME_NEVER);

        if (result < 0)
            return result;
    }
}

static int64_t tty_read(struct file *file, struct io_span *to, uint64_t *position)
{
    struct tty *tty = &console;
    bool may_wait = (load_relaxed(&file->flags) & O_NONBLOCK) == 0;

    (void)position;
    for (;;) {
        int result = check_front(tty, SIGTTIN);

        if (result != 0)
            return result;
        mutex_lock(&tty->mutex);
        const struct raw_rules rules = { tty->settings.keys[TTY_VMIN], tty->settings.keys[TTY_VTIME] * TENTH_NS };
        bool is_canonical = load_relaxed(&tty->is_canonical);

        mutex_unlock(&tty->mutex);
        int64_t got = is_canonical ? read_line(tty, to, may_wait) : read_raw(tty, to, &rules, may_wait);

        if (got != -EAGAIN || !may_wait)
            return got == -EINTR ? -ERESTARTSYS : got;
    }
}

/* ---- write(2) ---- */

static int64_t tty_write(struct file *file, struct io_span *from, uint64_t *position)
{
    struct tty *tty = &console;
    size_t done = 0;
    int result = 0;

    (void)position;
    mutex_lock(&tty->mutex);
    bool stops_others = (tty->settings.local & TTY_TOSTOP) != 0;

    mutex_unlock(&tty->mutex);
    if (stops_others)
        result = check_front(tty, SIGTTOU);
    while (result == 0 && from->left > 0) {
        uint8_t piece[PIECE_BYTES];
        size_t got;

        if (load_relaxed(&tty->is_stopped)) {
            if (file_never_waits(file))
                result = -EAGAIN;
            else
                result = waitq_wait_until(&tty->can_write.wait, !load_relaxed(&tty->is_stopped), TIME_NEVER, FILE_WAIT);
            if (result != 0)
                break;
        }
        got = io_copy_from(from, piece, MIN(from->left, sizeof piece));
        if (got == 0)
            result = -EFAULT;
        mutex_lock(&tty->mutex);
        for (size_t i = 0; i < got; i++)
            tty_put(tty, piece[i]);
        mutex_unlock(&tty->mutex);
        done += got;
    }
    return done == 0 && result == -EINTR ? -ERESTARTSYS : io_result(done, result);
}

static uint32_t tty_poll(struct file *file, struct poll_wait *wait)
{
    struct tty *tty = &console;
    uint32_t got = 0;

    (void)file;
    poll_enter(wait, &tty->can_read);
    poll_enter(wait, &tty->can_write);
    if (available(tty) > 0)
        got |= POLLIN | POLLRDNORM;
    if (!load_relaxed(&tty->is_stopped))
        got |= POLLOUT | POLLWRNORM;
    return got;
}

/* ---- ioctl_tty(2) ---- */

#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TCSBRK 0x5409u
#define TCXONC 0x540au
#define TCFLSH 0x540bu
#define TIOCSCTTY 0x540eu
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCOUTQ 0x5411u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define TIOCNOTTY 0x5422u
#define TIOCGETD 0x5424u
#define TCSBRKP 0x5425u
#define TIOCGSID 0x5429u
#define SETTINGS_BYTES 36u /* struct termios of the kernel's interface */
_Static_assert(sizeof(struct tty_settings) == SETTINGS_BYTES, "");

static int settings_out(struct tty *tty, vaddr_t to)
{
    mutex_lock(&tty->mutex);
    struct tty_settings settings = tty->settings;

    mutex_unlock(&tty->mutex);
    return user_copy_out(to, &settings, sizeof settings);
}

static int settings_in(struct tty *tty, vaddr_t from, bool flushes)
{
    struct tty_settings settings;
    int result = check_front(tty, SIGTTOU);

    if (result == 0)
        result = user_copy_in(&settings, from, sizeof settings);
    if (result != 0)
        return result;
    bool is_canonical = (settings.local & TTY_ICANON) != 0;

    mutex_lock(&tty->mutex);
    if (flushes)
        tty_flush_input(tty);
    /* A line that was being typed can be read as it is, or is edited no more. */
    if (is_canonical != load_relaxed(&tty->is_canonical))
        store_release(&tty->lines, load_relaxed(&tty->head)); /* PAIRS(tty_input) */
    tty->settings = settings;
    store_relaxed(&tty->is_canonical, is_canonical);
    if ((settings.input & TTY_IXON) == 0)
        store_relaxed(&tty->is_stopped, false);
    mutex_unlock(&tty->mutex);
    poll_wake(&tty->can_read);
    poll_wake(&tty->can_write);
    return 0;
}

static int size_in(struct tty *tty, vaddr_t from)
{
    struct tty_size size;
    int result = user_copy_in(&size, from, sizeof size);

    if (result != 0)
        return result;
    mutex_lock(&tty->mutex);
    bool has_changed = memcmp(&tty->size, &size, sizeof size) != 0;

    tty->size = size;
    mutex_unlock(&tty->mutex);
    if (has_changed && load_relaxed(&tty->group) != 0 && hooks != NULL)
        hooks->signal(load_relaxed(&tty->group), SIGWINCH);
    return 0;
}

static int become_controlling(struct tty *tty, uintptr_t takes_away)
{
    int32_t nobody = 0;
    pid_t session = hooks != NULL ? hooks->session() : 0;

    if (session == 0 || !hooks->is_leader())
        return -EPERM;
    if (load_relaxed(&tty->session) == session)
        return 0;
    (void)takes_away; /* from another session: not even for those who may do anything */
    if (!cas_acq_rel(&tty->session, &nobody, session)) /* PAIRS(tty_session) */
        return -EPERM;
    store_relaxed(&tty->group, hooks->group());
    return 0;
}

static bool is_own(const struct tty *tty)
{
    return hooks != NULL && load_relaxed(&tty->session) != 0 && hooks->session() == load_relaxed(&tty->session);
}

static int group_in(struct tty *tty, vaddr_t from)
{
    int32_t group;
    int result = user_copy_in(&group, from, sizeof group);

    if (result != 0)
        return result;
    if (!is_own(tty))
        return -ENOTTY;
    if (group <= 0)
        return -EINVAL;
    if (!hooks->is_in_session(group, load_relaxed(&tty->session)))
        return -EPERM;
    result = check_front(tty, SIGTTOU);
    if (result == 0)
        store_relaxed(&tty->group, group);
    return result;
}

static int int_out(vaddr_t to, int32_t value)
{
    return user_copy_out(to, &value, sizeof value);
}

static int flush(struct tty *tty, uintptr_t what)
{
    if (what > 2)
        return -EINVAL;
    if (what != 1) { /* TCOFLUSH: output is never behind */
        mutex_lock(&tty->mutex);
        tty_flush_input(tty);
        mutex_unlock(&tty->mutex);
    }
    return 0;
}

static int suspend(struct tty *tty, uintptr_t what)
{
    if (what > 3)
        return -EINVAL;
    if (what <= 1) { /* TCOOFF, TCOON */
        store_relaxed(&tty->is_stopped, what == 0);
        poll_wake(&tty->can_write);
    }
    return 0;
}

static int give_up(struct tty *tty)
{
    if (!is_own(tty))
        return -ENOTTY;
    if (hooks->is_leader())
        tty_session_ended(hooks->session());
    return 0;
}

static int64_t tty_ioctl(struct file *file, uint32_t command, uintptr_t argument)
{
    struct tty *tty = &console;

    (void)file;
    switch (command) {
    case TCGETS:
        return settings_out(tty, argument);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return settings_in(tty, argument, command == TCSETSF);
    case TIOCGWINSZ:
        return user_copy_out(argument, &tty->size, sizeof tty->size);
    case TIOCSWINSZ:
        return size_in(tty, argument);
    case TIOCGPGRP:
        return is_own(tty) ? int_out(argument, load_relaxed(&tty->group)) : -ENOTTY;
    case TIOCSPGRP:
        return group_in(tty, argument);
    case TIOCGSID:
        return is_own(tty) ? int_out(argument, load_relaxed(&tty->session)) : -ENOTTY;
    case TIOCSCTTY:
        return become_controlling(tty, argument);
    case TIOCNOTTY:
        return give_up(tty);
    case TCFLSH:
        return flush(tty, argument);
    case TCXONC:
        return suspend(tty, argument);
    case TCSBRK:
    case TCSBRKP:
        return 0; /* everything has been sent */
    case TIOCOUTQ:
    case TIOCGETD:
        return int_out(argument, 0);
    case FIONREAD:
        return int_out(argument, (int32_t)available(tty));
    default:
        return -ENOTTY;
    }
}

/* ---- Files ---- */

static void tty_release(struct file *file)
{
    (void)file;
    (void)fetch_sub_relaxed(&use.opens, 1);
}

static const struct file_ops tty_ops = {
    .read = tty_read, .write = tty_write, .poll = tty_poll, .ioctl = tty_ioctl, .release = tty_release,
};

static int open_console(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    int result = file_create(inode, name, &tty_ops, flags, out);

    if (result != 0)
        return result;
    (void)fetch_add_relaxed(&use.opens, 1);
    (void)waitq_wake_all(&use.wait);
    return 0;
}

/* The controlling terminal of whoever opens it. */
static int open_own(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    return is_own(&console) ? open_console(inode, name, flags, out) : -ENXIO;
}

/* As a session leader's first terminal it becomes the session's. */
static int open_serial(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    int result = open_console(inode, name, flags, out);

    if (result == 0 && (flags & O_NOCTTY) == 0)
        (void)become_controlling(&console, 0);
    return result;
}

pid_t tty_session_id(void)
{
    return load_relaxed(&console.session);
}

pid_t tty_group_id(void)
{
    return load_relaxed(&console.group);
}

void tty_session_ended(pid_t session)
{
    struct tty *tty = &console;
    pid_t group = load_relaxed(&tty->group);

    if (session == 0 || load_relaxed(&tty->session) != session)
        return;
    store_relaxed(&tty->group, 0);
    store_release(&tty->session, 0); /* PAIRS(tty_session) */
    if (group != 0) {
        hooks->signal(group, SIGHUP);
        hooks->signal(group, SIGCONT);
    }
    poll_wake(&tty->can_read);
}

static const struct device devices[] = {
    { .name = "console", .number = DEVICE(5, 1), .mode = 0600, .open = open_console },
    { .name = "tty", .number = DEVICE(5, 0), .mode = 0666, .open = open_own },
    { .name = "ttyS0", .number = DEVICE(4, 64), .mode = 0600, .open = open_serial },
};

void tty_init(void)
{
    static const uint8_t keys[TTY_CONTROLS] = {
        [TTY_VINTR] = 'C' & 0x1f, [TTY_VQUIT] = '\\' & 0x1f, [TTY_VERASE] = 0x7f, [TTY_VKILL] = 'U' & 0x1f,
        [TTY_VEOF] = 'D' & 0x1f, [TTY_VMIN] = 1, [TTY_VSTART] = 'Q' & 0x1f, [TTY_VSTOP] = 'S' & 0x1f,
        [TTY_VSUSP] = 'Z' & 0x1f, [TTY_VREPRINT] = 'R' & 0x1f, [TTY_VDISCARD] = 'O' & 0x1f,
        [TTY_VWERASE] = 'W' & 0x1f, [TTY_VLNEXT] = 'V' & 0x1f,
    };

    mutex_init(&console.mutex);
    poll_queue_init(&console.can_read);
    poll_queue_init(&console.can_write);
    console.settings = (struct tty_settings){
        .input = TTY_ICRNL | TTY_IXON | TTY_IUTF8, .output = TTY_OPOST | TTY_ONLCR, .control = CONTROL_DEFAULT,
        .local = TTY_ISIG | TTY_ICANON | TTY_ECHO | TTY_ECHOE | TTY_ECHOK | TTY_ECHOCTL | TTY_ECHOKE | TTY_IEXTEN,
    };
    memcpy(console.settings.keys, keys, sizeof keys);
    console.size = (struct tty_size){ .rows = 24, .columns = 80 };
    store_relaxed(&console.is_canonical, true);
    for (unsigned i = 0; i < ARRAY_COUNT(devices); i++) {
        int result = device_register(&devices[i]);

        ASSERT(result == 0); /* boot: they are the first */
    }
}
