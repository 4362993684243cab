/* SPDX-License-Identifier: MIT */
/*
 * The line discipline: what bytes from the keyboard become, and how output is dressed. Of a byte that comes, this file
 * decides whether it is a signal, edits the line, ends it, or is just a byte; what is echoed goes out on the way.
 */
#include <fs/tty.h>

#include <lib/string.h>
#include <trace/log.h>

#define SIGINT 2
#define SIGQUIT 3
#define SIGTSTP 20
#define TAB_COLUMNS 8u
#define EOF_MARK 0 /* stands in the buffer where a line ended without a byte of its own */

static bool is_on(const struct tty *tty, uint32_t local)
{
    return (tty->settings.local & local) != 0;
}

/* Is it that key? One that is 0 is nobody's. */
static bool is_key(const struct tty *tty, uint8_t byte, enum tty_key key)
{
    return byte != 0 && tty->settings.keys[key] == byte;
}

/* ---- Output ---- */

static void out(uint8_t byte)
{
    log_write_raw((const char *)&byte, 1);
}

static void out_tab(struct tty *tty)
{
    unsigned spaces = TAB_COLUMNS - tty->column % TAB_COLUMNS;

    tty->column += spaces;
    if ((tty->settings.output & TTY_XTABS) != TTY_XTABS) {
        out('\t');
        return;
    }
    for (; spaces > 0; spaces--)
        out(' ');
}

static void out_newline(struct tty *tty)
{
    if ((tty->settings.output & TTY_ONLCR) != 0)
        out('\r');
    if ((tty->settings.output & (TTY_ONLCR | TTY_ONLRET)) != 0)
        tty->column = 0;
    out('\n');
}

static void out_return(struct tty *tty)
{
    if ((tty->settings.output & TTY_ONOCR) != 0 && tty->column == 0)
        return;
    if ((tty->settings.output & TTY_OCRNL) != 0) {
        out_newline(tty);
        return;
    }
    tty->column = 0;
    out('\r');
}

/* Continuation bytes of UTF-8 take no column. */
static bool is_continuation(const struct tty *tty, uint8_t byte)
{
    return (tty->settings.input & TTY_IUTF8) != 0 && (byte & 0xc0) == 0x80;
}

void tty_put(struct tty *tty, uint8_t byte)
{
    if ((tty->settings.output & TTY_OPOST) == 0) {
        out(byte);
        return;
    }
    switch (byte) {
    case '\n':
        out_newline(tty);
        break;
    case '\r':
        out_return(tty);
        break;
    case '\t':
        out_tab(tty);
        break;
    case '\b':
        tty->column -= tty->column > 0;
        out(byte);
        break;
    default:
        if (byte >= ' ' && byte != 0x7f && !is_continuation(tty, byte))
            tty->column++;
        out(byte);
        break;
    }
}

/* ---- Echo ---- */

static bool is_control(uint8_t byte)
{
    return byte < ' ' || byte == 0x7f;
}

void tty_echo(struct tty *tty, uint8_t byte)
{
    if (is_control(byte) && byte != '\t' && is_on(tty, TTY_ECHOCTL)) {
        tty_put(tty, '^');
        tty_put(tty, byte ^ 0x40);
        return;
    }
    tty_put(tty, byte);
}

/* Of a byte that means what it is. A newline moves the cursor; one that was typed behind VLNEXT is shown as others. */
static void echo_plain(struct tty *tty, uint8_t byte)
{
    if (byte == '\n')
        tty_put(tty, byte);
    else
        tty_echo(tty, byte);
}

/* Columns that a byte of the line took at column `at`. */
static unsigned columns_of(const struct tty *tty, uint8_t byte, unsigned at)
{
    if (byte == '\t')
        return TAB_COLUMNS - at % TAB_COLUMNS;
    if (is_control(byte))
        return is_on(tty, TTY_ECHOCTL) ? 2 : 0;
    return is_continuation(tty, byte) ? 0 : 1;
}

static uint8_t *slot(struct tty *tty, uint32_t at)
{
    return &tty->input[at % TTY_INPUT_BYTES];
}

/* The column behind the line that is being typed. */
static unsigned column_at(struct tty *tty, uint32_t end)
{
    unsigned column = tty->edit_column;

    for (uint32_t at = load_relaxed(&tty->lines); at != end; at++)
        column += columns_of(tty, *slot(tty, at), column);
    return column;
}

static void rub_out(struct tty *tty, unsigned columns)
{
    for (; columns > 0; columns--) {
        tty_put(tty, '\b');
        tty_put(tty, ' ');
        tty_put(tty, '\b');
    }
}

/* ---- Editing a line ---- */

static bool is_line_empty(const struct tty *tty)
{
    return load_relaxed(&tty->head) == load_relaxed(&tty->lines);
}

/* Take one character away, all bytes of it. */
static void erase_one(struct tty *tty)
{
    uint32_t head = load_relaxed(&tty->head);
    unsigned before = column_at(tty, head);
    uint8_t byte;

    do {
        byte = *slot(tty, --head);
    } while (is_continuation(tty, byte) && head != load_relaxed(&tty->lines));
    store_relaxed(&tty->head, head);
    if (!is_on(tty, TTY_ECHO))
        return;
    if (is_on(tty, TTY_ECHOE))
        rub_out(tty, before - column_at(tty, head));
    else
        tty_echo(tty, tty->settings.keys[TTY_VERASE]);
}

/* Of a word, as Linux has it: letters of other scripts, whose bytes are above ASCII, among them. */
static bool is_word(uint8_t byte)
{
    uint8_t small = byte | 0x20;

    return (byte >= '0' && byte <= '9') || (small >= 'a' && small <= 'z') || byte == '_' || byte >= 0x80;
}

/* The first byte of the last character of the line, which is not empty. */
static uint8_t last_character(struct tty *tty)
{
    uint32_t at = load_relaxed(&tty->head);

    do {
        at--;
    } while (is_continuation(tty, *slot(tty, at)) && at != load_relaxed(&tty->lines));
    return *slot(tty, at);
}

static void erase_word(struct tty *tty)
{
    bool has_letters = false;

    while (!is_line_empty(tty)) {
        bool is_letter = is_word(last_character(tty));

        if (has_letters && !is_letter)
            return;
        has_letters |= is_letter;
        erase_one(tty);
    }
}

static void erase_line(struct tty *tty)
{
    if (is_on(tty, TTY_ECHO) && is_on(tty, TTY_ECHOK) && is_on(tty, TTY_ECHOKE) && is_on(tty, TTY_ECHOE)) {
        while (!is_line_empty(tty))
            erase_one(tty);
        return;
    }
    store_relaxed(&tty->head, load_relaxed(&tty->lines));
    if (is_on(tty, TTY_ECHO)) {
        tty_echo(tty, tty->settings.keys[TTY_VKILL]);
        if (is_on(tty, TTY_ECHOK))
            tty_put(tty, '\n');
    }
}

static void reprint(struct tty *tty)
{
    tty_echo(tty, tty->settings.keys[TTY_VREPRINT]);
    tty_put(tty, '\n');
    tty->edit_column = 0;
    for (uint32_t at = load_relaxed(&tty->lines); at != load_relaxed(&tty->head); at++)
        tty_echo(tty, *slot(tty, at));
}

/* One place stays free, so that a line of any length can be ended. */
static bool is_full(const struct tty *tty)
{
    return load_relaxed(&tty->head) - load_relaxed(&tty->tail) >= TTY_INPUT_BYTES - 1;
}

static void append(struct tty *tty, uint8_t byte, bool ends_line) /* there is a place */
{
    uint32_t head = load_relaxed(&tty->head);
    uint64_t bit = UINT64_C(1) << head % 64;
    uint64_t *word = &tty->ends[head % TTY_INPUT_BYTES / 64];

    *slot(tty, head) = byte;
    *word = ends_line ? *word | bit : *word & ~bit;
    store_release(&tty->head, head + 1); /* PAIRS(tty_input) */
    if (ends_line)
        store_release(&tty->lines, head + 1); /* PAIRS(tty_input) */
}

static void refuse(const struct tty *tty)
{
    if ((tty->settings.input & TTY_IMAXBEL) != 0)
        out('\a');
}

static void add(struct tty *tty, uint8_t byte, bool is_literal)
{
    if (is_full(tty)) {
        refuse(tty);
        return;
    }
    if (is_line_empty(tty))
        tty->edit_column = tty->column;
    append(tty, byte, false);
    if (is_on(tty, TTY_ECHO) && is_literal)
        tty_echo(tty, byte);
    else if (is_on(tty, TTY_ECHO))
        echo_plain(tty, byte);
    if (!is_on(tty, TTY_ICANON))
        store_relaxed(&tty->lines, load_relaxed(&tty->head));
}

static bool is_line_end(const struct tty *tty, uint8_t byte)
{
    return byte == '\n' || is_key(tty, byte, TTY_VEOL) || (is_key(tty, byte, TTY_VEOL2) && is_on(tty, TTY_IEXTEN));
}

/* `byte`: EOF_MARK, or what ends it. The place that is_full() keeps free may be taken, by a line that nobody reads. */
static void end_line(struct tty *tty, uint8_t byte)
{
    if (load_relaxed(&tty->head) - load_relaxed(&tty->tail) >= TTY_INPUT_BYTES) {
        refuse(tty);
        return;
    }
    append(tty, byte, true);
    if (byte != EOF_MARK && (is_on(tty, TTY_ECHO) || (byte == '\n' && is_on(tty, TTY_ECHONL))))
        echo_plain(tty, byte);
    tty->edit_column = tty->column;
}

static void canonical(struct tty *tty, uint8_t byte)
{
    bool is_extended = is_on(tty, TTY_IEXTEN);

    if (is_key(tty, byte, TTY_VERASE)) {
        if (!is_line_empty(tty))
            erase_one(tty);
    } else if (is_key(tty, byte, TTY_VKILL)) {
        erase_line(tty);
    } else if (is_extended && is_key(tty, byte, TTY_VWERASE)) {
        erase_word(tty);
    } else if (is_extended && is_key(tty, byte, TTY_VREPRINT) && is_on(tty, TTY_ECHO)) {
        reprint(tty);
    } else if (is_key(tty, byte, TTY_VEOF)) {
        end_line(tty, EOF_MARK);
    } else if (is_line_end(tty, byte)) {
        end_line(tty, byte);
    } else {
        add(tty, byte, false);
    }
}

/* ---- A byte comes ---- */

void tty_flush_input(struct tty *tty)
{
    store_relaxed(&tty->head, load_relaxed(&tty->tail));
    store_relaxed(&tty->lines, load_relaxed(&tty->tail));
    tty->is_literal = false;
    tty->edit_column = tty->column;
}

static int signal_of(const struct tty *tty, uint8_t byte)
{
    if (!is_on(tty, TTY_ISIG))
        return 0;
    return is_key(tty, byte, TTY_VINTR)   ? SIGINT
           : is_key(tty, byte, TTY_VQUIT) ? SIGQUIT
           : is_key(tty, byte, TTY_VSUSP) ? SIGTSTP
                                          : 0;
}

/* ^S and ^Q: true, it was one of them. */
static bool flow(struct tty *tty, uint8_t byte)
{
    if ((tty->settings.input & TTY_IXON) == 0)
        return false;
    if (is_key(tty, byte, TTY_VSTOP)) {
        store_relaxed(&tty->is_stopped, true);
        return true;
    }
    bool was_stopped = load_relaxed(&tty->is_stopped);
    bool is_start = is_key(tty, byte, TTY_VSTART);

    if (is_start || (was_stopped && (tty->settings.input & TTY_IXANY) != 0))
        store_relaxed(&tty->is_stopped, false);
    return is_start;
}

/* 0: it is dropped. */
static bool translate(const struct tty *tty, uint8_t *byte)
{
    uint32_t input = tty->settings.input;

    if ((input & TTY_ISTRIP) != 0)
        *byte &= 0x7f;
    if (*byte == '\r' && (input & TTY_IGNCR) != 0)
        return false;
    if (*byte == '\r' && (input & TTY_ICRNL) != 0)
        *byte = '\n';
    else if (*byte == '\n' && (input & TTY_INLCR) != 0)
        *byte = '\r';
    return true;
}

int tty_input(struct tty *tty, uint8_t byte)
{
    if (tty->is_literal) {
        tty->is_literal = false;
        add(tty, byte, true);
        return 0;
    }
    if (flow(tty, byte))
        return 0;
    int signal = signal_of(tty, byte);

    if (signal != 0) {
        if (!is_on(tty, TTY_NOFLSH))
            tty_flush_input(tty);
        if (is_on(tty, TTY_ECHO))
            tty_echo(tty, byte);
        store_relaxed(&tty->is_stopped, false);
        return signal;
    }
    if (!translate(tty, &byte))
        return 0;
    if (!is_on(tty, TTY_ICANON)) {
        add(tty, byte, false);
    } else if (is_on(tty, TTY_IEXTEN) && is_key(tty, byte, TTY_VLNEXT)) {
        tty->is_literal = true;
        if (is_on(tty, TTY_ECHO) && is_on(tty, TTY_ECHOCTL)) {
            out('^');
            out('\b');
        }
    } else {
        canonical(tty, byte);
    }
    return 0;
}
