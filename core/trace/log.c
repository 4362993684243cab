/* SPDX-License-Identifier: MIT */
/*
 * The kernel log: a ring of text and the console behind it. One lock, LOCK_LOG, legal under every other lock; a line is
 * formatted on the caller's stack before the lock is taken, so that it is held for the copy and the output only.
 *
 * In a panic the lock is still taken, so that a line that another CPU is in the middle of ends first. But its holder
 * may be gone, or may be who panics: it is waited for within a bound, once, and then lines come out without it.
 */
#include <trace/log.h>

#include <stdarg.h>

#include <hal/debug.h>
#include <hal/irq.h>
#include <k/atomic.h>
#include <k/limits.h>
#include <lib/fmt.h>
#include <smp/spinlock.h>

#define LOG_LINE_BYTES 256

/* Looks at the lock, not time, as the clock may be what is broken. Far more than a line takes on a slow console. */
#define LOG_PANIC_SPINS 10000000u

static struct {
    struct spinlock lock;
    _Atomic(enum log_level) console_level;
    _Atomic(bool) in_panic;
    _Atomic(bool) is_abandoned; /* in a panic: who holds the lock did not let go of it */

    /* Guarded by lock. */
    bool is_in_line; /* the console's last line has begun and not ended: a prompt, what somebody types */
    size_t written;  /* bytes ever written to the ring */
    char ring[LOG_RING_BYTES];
} logger = { .lock = SPINLOCK_INIT(LOCK_LOG), .console_level = LOG_INFO };

void log_set_console_level(enum log_level level)
{
    store_relaxed(&logger.console_level, level);
}

enum log_level log_console_level(void)
{
    return load_relaxed(&logger.console_level);
}

void log_enter_panic(void)
{
    store_relaxed(&logger.in_panic, true);
}

static void put_raw(char c)
{
    logger.is_in_line = c != '\n';
    hal_console_put(c);
}

static void put(char c)
{
    if (c == '\n')
        put_raw('\r');
    put_raw(c);
}

static void log_emit(enum log_level level, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        logger.ring[logger.written++ % LOG_RING_BYTES] = *p;
    if (level > atomic_load_explicit(&logger.console_level, memory_order_relaxed)) /* no interleaving point is needed */
        return;
    /* A message has lines of its own, so that who reads the console by lines, man or program, finds its beginning. */
    if (logger.is_in_line)
        put('\n');
    for (const char *p = text; *p != '\0'; p++)
        put(*p);
}

void log_write(const char *text, size_t bytes)
{
    uintptr_t state = spin_lock_irqsave(&logger.lock);

    for (size_t i = 0; i < bytes; i++)
        put(text[i]);
    spin_unlock_irqrestore(&logger.lock, state);
}

/* A few bytes at a time, so that interrupts do not wait for the console. */
#define RAW_BYTES 16u

void log_write_raw(const char *text, size_t bytes)
{
    while (bytes > 0) {
        size_t piece = MIN(bytes, (size_t)RAW_BYTES);
        uintptr_t state = spin_lock_irqsave(&logger.lock);

        for (size_t i = 0; i < piece; i++)
            put_raw(text[i]);
        spin_unlock_irqrestore(&logger.lock, state);
        text += piece;
        bytes -= piece;
    }
}

static void log_emit_in_panic(enum log_level level, const char *text) NO_LOCK_ANALYSIS
{
    bool is_locked = !load_relaxed(&logger.is_abandoned) && spin_lock_bounded(&logger.lock, LOG_PANIC_SPINS);

    if (!is_locked)
        store_relaxed(&logger.is_abandoned, true);
    log_emit(level, text);
    if (is_locked)
        spin_unlock_untracked(&logger.lock);
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char *const mark[] = { "error: ", "warning: ", "", "" };
    char line[LOG_LINE_BYTES];
    va_list args;
    int prefix = fmt_print(line, sizeof line, "%s", mark[level]);
    size_t used = (size_t)prefix;

    va_start(args, format);
    int wanted = fmt_vprint(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    used += MIN((size_t)MAX(wanted, 0), sizeof line - used - 2);
    line[used] = '\n';
    line[used + 1] = '\0';

    uintptr_t state = hal_irq_save();

    if (load_relaxed(&logger.in_panic)) {
        log_emit_in_panic(level, line);
    } else {
        spin_lock_irqoff(&logger.lock);
        log_emit(level, line);
        spin_unlock_irqoff(&logger.lock);
    }
    hal_irq_restore(state);
}
