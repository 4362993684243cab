/* SPDX-License-Identifier: MIT */
/*
 * The terminal: a line discipline (termios(3), "Canonical and noncanonical mode") between the console's bytes and the
 * programs that read and write them; and its files console, tty and ttyS0.
 *
 * Lock: tty->mutex for all of it; a sleeping one, since bytes come from a task (tty_feed()). What waits look at is
 * atomic and is changed with the mutex held, before the wake. Signals are sent with no lock held.
 *
 * This room knows no processes: who reads, and who is to be signalled, say the hooks.
 */
#pragma once

#include <fs/poll.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/types.h>
#include <sched/mutex.h>

/* struct termios of the kernel's interface (TCGETS): alike on all machines here. */
#define TTY_CONTROLS 19
struct tty_settings {
    uint32_t input, output, control, local;
    uint8_t line;
    uint8_t keys[TTY_CONTROLS];
};

struct tty_size {
    uint16_t rows, columns, width, height;
};

#define TTY_INPUT_BYTES 4096u /* MAX_CANON with a byte to spare is less */

struct tty {
    struct mutex mutex;

    struct tty_settings settings; /* guarded by mutex, as what follows */
    struct tty_size size;
    uint8_t input[TTY_INPUT_BYTES];
    uint64_t ends[TTY_INPUT_BYTES / 64]; /* a line ends with that byte */
    unsigned column;                     /* of the cursor, as far as output tells; */
    unsigned edit_column;                /* and where the line that is being typed began */
    bool is_literal;                     /* the next byte means itself */

    /* Positions that only grow: what has been read, what may be in canonical mode, what has come. */
    _Atomic(uint32_t) tail, lines, head;
    _Atomic(bool) is_canonical, is_stopped;
    _Atomic(int32_t) session, group; /* whose terminal it is, and who is in front; 0: nobody */

    struct poll_queue can_read, can_write;
};

struct tty_hooks {
    pid_t (*session)(void); /* of the running task; 0: none */
    pid_t (*group)(void);
    bool (*is_leader)(void);
    bool (*is_in_session)(pid_t group, pid_t session); /* is there such a group? */
    void (*signal)(pid_t group, int signal);
    /* The running task's group has no business with the terminal now: may `signal` stop it? 1: yes. 0: it blocks or
     * ignores it. -EIO: nobody could continue it. */
    int (*can_stop)(int signal);
};
void tty_set_hooks(const struct tty_hooks *hooks); /* boot */

/* Boot: the terminal and its devices. */
void tty_init(void);

/* A byte has come. Context: task. */
void tty_feed(uint8_t byte);

/* Wait until somebody has it open. Context: task. */
void tty_wait_in_use(void);

/* Whose terminal it is, and who is in front; 0: nobody. */
pid_t tty_session_id(void);
pid_t tty_group_id(void);

/* The leader of a session has ended: it is nobody's terminal, and those in front are told. */
void tty_session_ended(pid_t session);

/* For tty_input.c and tty_file.c. The mutex is held. */
void tty_echo(struct tty *tty, uint8_t byte);
void tty_put(struct tty *tty, uint8_t byte); /* output processing */
int tty_input(struct tty *tty, uint8_t byte) MUST_USE; /* a signal for those in front, or 0 */
void tty_flush_input(struct tty *tty);

/* Bits of termios(3). */
#define TTY_ISTRIP 0000040u
#define TTY_INLCR 0000100u
#define TTY_IGNCR 0000200u
#define TTY_ICRNL 0000400u
#define TTY_IXON 0002000u
#define TTY_IXANY 0004000u
#define TTY_IMAXBEL 0020000u
#define TTY_IUTF8 0040000u
#define TTY_OPOST 0000001u
#define TTY_ONLCR 0000004u
#define TTY_OCRNL 0000010u
#define TTY_ONOCR 0000020u
#define TTY_ONLRET 0000040u
#define TTY_XTABS 0014000u
#define TTY_ISIG 0000001u
#define TTY_ICANON 0000002u
#define TTY_ECHO 0000010u
#define TTY_ECHOE 0000020u
#define TTY_ECHOK 0000040u
#define TTY_ECHONL 0000100u
#define TTY_NOFLSH 0000200u
#define TTY_TOSTOP 0000400u
#define TTY_ECHOCTL 0001000u
#define TTY_ECHOKE 0004000u
#define TTY_IEXTEN 0100000u

enum tty_key {
    TTY_VINTR, TTY_VQUIT, TTY_VERASE, TTY_VKILL, TTY_VEOF, TTY_VTIME, TTY_VMIN, TTY_VSWTC, TTY_VSTART, TTY_VSTOP,
    TTY_VSUSP, TTY_VEOL, TTY_VREPRINT, TTY_VDISCARD, TTY_VWERASE, TTY_VLNEXT, TTY_VEOL2,
};
