/* SPDX-License-Identifier: MIT */
/* core/fs/tty.c: reads by lines and by counts and times, stopped output, settings, and whose terminal it is. */
#include "fs_test.h"
#include "program.h"

#include <fs/tty.h>
#include "syscall/call_world.h"

#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSF 0x5404u
#define TCXONC 0x540au
#define TCFLSH 0x540bu
#define TIOCSCTTY 0x540eu
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define TIOCNOTTY 0x5422u
#define TIOCGSID 0x5429u

static struct file *terminal;

static void type(const char *text)
{
    for (; *text != '\0'; text++)
        tty_feed((uint8_t)*text);
}

static int64_t ioctl(uint32_t command, uintptr_t argument)
{
    return file_ioctl(terminal, command, argument);
}

/* Is that what one read of so many bytes gets? */
static bool reads(size_t bytes, const char *text)
{
    char got[64];

    memset(got, 0, sizeof got);
    return read_into(terminal, got, bytes) == (int64_t)strlen(text) && memcmp(got, text, strlen(text)) == 0;
}

static int64_t left(void)
{
    CHECK(ioctl(FIONREAD, PAGE0) == 0);
    return (int32_t)get32(PAGE0);
}

/* Noncanonical, with VMIN and VTIME; or canonical. No echo. */
static void set_mode(bool is_canonical, uint8_t least, uint8_t tenths, uint32_t command)
{
    struct tty_settings settings;

    CHECK(ioctl(TCGETS, PAGE0) == 0 && user_copy_in(&settings, PAGE0, sizeof settings) == 0);
    settings.local &= ~(TTY_ICANON | TTY_ECHO);
    settings.local |= is_canonical ? TTY_ICANON : 0;
    settings.keys[TTY_VMIN] = least;
    settings.keys[TTY_VTIME] = tenths;
    CHECK(user_copy_out(PAGE0, &settings, sizeof settings) == 0 && ioctl(command, PAGE0) == 0);
}

static void may_wait(bool may)
{
    file_set_flags(terminal, may ? 0 : O_NONBLOCK);
}

static void lines_story(void)
{
    set_mode(true, 1, 0, TCSETSF);
    may_wait(false);
    CHECK(read_into(terminal, (char[4]){ 0 }, 4) == -EAGAIN && file_poll(terminal, NULL) == (POLLOUT | POLLWRNORM));
    type("ab");
    CHECK(read_into(terminal, (char[4]){ 0 }, 4) == -EAGAIN && left() == 0);
    type("\nsecond\n");
    CHECK((file_poll(terminal, NULL) & (POLLIN | POLLRDNORM)) == (POLLIN | POLLRDNORM) && left() == 10);
    CHECK(reads(20, "ab\n") && reads(4, "seco") && reads(4, "nd\n"));
    /* An end of file: behind bytes it ends the line; alone it is an end. As on Linux one that comes right behind what a
     * read has room for belongs to that read. */
    type("abc\4\4def\4\4");
    CHECK(reads(20, "abc") && reads(20, "") && reads(3, "def") && reads(3, ""));
    CHECK(read_into(terminal, (char[4]){ 0 }, 4) == -EAGAIN);
    type("lost\n");
    CHECK(ioctl(TCFLSH, 1) == 0 && left() == 5 && ioctl(TCFLSH, 0) == 0 && left() == 0 && ioctl(TCFLSH, 3) == -EINVAL);
}

/* ---- VMIN and VTIME ---- */

static int type_slowly(void *arg)
{
    for (const char *at = arg; *at != '\0'; at++) {
        CHECK(task_sleep_for(50 * NS_PER_MS) == 0);
        tty_feed((uint8_t)*at);
    }
    return 0;
}

static void counts_story(void)
{
    struct task *typist;
    uint64_t start;

    set_mode(false, 0, 0, TCSETSF);
    may_wait(true);
    CHECK(reads(8, ""));
    type("ab\4");
    CHECK(reads(2, "ab") && reads(8, "\4") && reads(8, ""));
    set_mode(false, 0, 2, TCSETS);
    start = clock_ns();
    CHECK(reads(8, "") && clock_ns() - start >= 200 * NS_PER_MS);
    type("x");
    CHECK(reads(8, "x"));
    set_mode(false, 3, 0, TCSETS); /* so many, however long it takes */
    typist = spawn("typist", type_slowly, (void *)(uintptr_t)"abc", 60, NULL);
    CHECK(reads(8, "abc") && finish(typist) == 0);
    type("12");
    CHECK(reads(2, "12")); /* as many as there is room for is enough */
    set_mode(false, 5, 1, TCSETS); /* a silence of a tenth ends it; it begins with the first byte */
    typist = spawn("typist", type_slowly, (void *)(uintptr_t)"pq", 60, NULL);
    CHECK(reads(8, "pq") && finish(typist) == 0);
    may_wait(false);
    CHECK(read_into(terminal, (char[4]){ 0 }, 4) == -EAGAIN);
    /* What was being typed can be read when lines are no more waited for. */
    set_mode(true, 1, 0, TCSETSF);
    type("half");
    CHECK(left() == 0);
    set_mode(false, 1, 0, TCSETS);
    CHECK(left() == 4 && reads(8, "half"));
}

/* ---- Output ---- */

static _Atomic(int64_t) wrote;

static int write_some(void *arg)
{
    (void)arg;
    store_relaxed(&wrote, write_text(terminal, "goes out"));
    return 0;
}

static void output_story(void)
{
    struct task *writer;

    set_mode(true, 1, 0, TCSETSF);
    CHECK(ioctl(TCXONC, 4) == -EINVAL && ioctl(TCXONC, 0) == 0);
    may_wait(false);
    CHECK(write_text(terminal, "x") == -EAGAIN && (file_poll(terminal, NULL) & POLLOUT) == 0);
    CHECK(ioctl(TCXONC, 1) == 0 && write_text(terminal, "y") == 1);
    may_wait(true);
    type("\x13");
    store_relaxed(&wrote, -1);
    writer = spawn("writer", write_some, NULL, 60, NULL);
    WAIT_FOR(is_blocked(writer));
    CHECK(load_relaxed(&wrote) == -1);
    type("\x11");
    CHECK(finish(writer) == 0 && load_relaxed(&wrote) == 8);
}

/* ---- Settings ---- */

static void settings_story(void)
{
    struct tty_settings settings;
    struct tty_size size;
    struct file *other;
    struct fs_user user = fs_user_create(0);

    CHECK(ioctl(TCGETS, PAGE0) == 0 && user_copy_in(&settings, PAGE0, sizeof settings) == 0);
    CHECK(settings.input == (TTY_ICRNL | TTY_IXON | TTY_IUTF8) && settings.output == (TTY_OPOST | TTY_ONLCR));
    CHECK((settings.local & (TTY_ICANON | TTY_ECHO | TTY_ISIG)) == (TTY_ICANON | TTY_ECHO | TTY_ISIG));
    CHECK(settings.keys[TTY_VINTR] == 3 && settings.keys[TTY_VMIN] == 1);
    CHECK(ioctl(TIOCGWINSZ, PAGE0) == 0 && user_copy_in(&size, PAGE0, sizeof size) == 0);
    CHECK(size.rows == 24 && size.columns == 80);
    size.rows = 50;
    CHECK(user_copy_out(PAGE0, &size, sizeof size) == 0 && ioctl(TIOCSWINSZ, PAGE0) == 0);
    size.rows = 0;
    CHECK(ioctl(TIOCGWINSZ, PAGE0) == 0 && user_copy_in(&size, PAGE0, sizeof size) == 0 && size.rows == 50);
    static const uint32_t with_pointers[] = { TCGETS, TCSETS, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, TIOCSPGRP };

    for (unsigned i = 0; i < ARRAY_COUNT(with_pointers); i++)
        CHECK(ioctl(with_pointers[i], NOWHERE) == -EFAULT && ioctl(with_pointers[i], 0) == -EFAULT);
    CHECK(ioctl(0x1234, PAGE0) == -ENOTTY);
    /* Nobody's terminal, and this process leads no session. */
    put32(PAGE0, 1);
    CHECK(ioctl(TIOCGPGRP, PAGE0) == -ENOTTY && ioctl(TIOCSPGRP, PAGE0) == -ENOTTY);
    CHECK(ioctl(TIOCGSID, PAGE0) == -ENOTTY && ioctl(TIOCNOTTY, 0) == -ENOTTY && ioctl(TIOCSCTTY, 0) == -EPERM);
    CHECK(path_open(&user.place, "/dev/tty", O_RDWR, 0, &other) == -ENXIO);
    CHECK(tty_session_id() == 0 && tty_group_id() == 0);
    fs_user_destroy(&user);
}

static int stories(void)
{
    struct fs_user user = fs_user_create(0);

    CHECK(path_open(&user.place, "/dev/console", O_RDWR, 0, &terminal) == 0);
    CHECK(file_seek(terminal, 0, SEEK_CUR) == -ESPIPE);
    settings_story();
    lines_story();
    counts_story();
    output_story();
    file_put(terminal);
    fs_user_destroy(&user);
    return 0;
}

static void alone(void)
{
    world_run(stories);
}

/* ---- Job control, by programs ---- */

#define PATH PROGRAM_MEMORY
#define WORD (PROGRAM_MEMORY + 64)
#define ACTION (PROGRAM_MEMORY + 128)
#define JOB (PROGRAM_MEMORY + 256)
#define SIGINT 2
#define SIGCONT 18
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGWINCH 28

enum job { JOB_LEAD, JOB_READ, JOB_READ_IGNORING, JOB_WRITE, JOB_SET_GROUP, JOB_REST, JOB_SIZE };

static _Atomic(unsigned) wants; /* what the test is to type: 1 + an index of typing[] */
static _Atomic(bool) is_over;
static const char *const typing[] = { "line\n", "\3", "\x1a" };

static void want(unsigned which)
{
    program_store(ACTION, 0);
    program_store(ACTION + 8, NS_PER_MS);
    store_release(&wants, which + 1); /* PAIRS(tty_test_wants) */
    while (load_acquire(&wants) != 0) /* PAIRS(tty_test_wants) */
        (void)program_call("nanosleep", ACTION, 0);
}

static pid_t own_pid(void)
{
    return (pid_t)program_call("getpid");
}

static intptr_t set_group(pid_t group)
{
    program_store(WORD, (uint64_t)group);
    return program_call("ioctl", 0, TIOCSPGRP, WORD);
}

static uint64_t asked(uint32_t command)
{
    program_store(WORD, 0);
    CHECK(program_call("ioctl", 0, command, WORD) == 0);
    return program_load(WORD) & UINT32_MAX;
}

static void ignore(unsigned signal)
{
    for (unsigned i = 0; i < 4; i++)
        program_store(ACTION + 8 * i, i == 0);
    CHECK(program_call("rt_sigaction", signal, ACTION, 0, 8) == 0);
}

static void block(unsigned signal)
{
    program_store(WORD, UINT64_C(1) << (signal - 1));
    CHECK(program_call("rt_sigprocmask", 0, WORD, 0, 8) == 0);
}

static void set_stops_writers(bool does)
{
    CHECK(program_call("ioctl", 0, TCGETS, ACTION) == 0);
    uint64_t word = program_load(ACTION + 8); /* control, local */
    uint64_t bit = (uint64_t)TTY_TOSTOP << 32;

    program_store(ACTION + 8, does ? word | bit : word & ~bit);
    CHECK(program_call("ioctl", 0, TCSETS, ACTION) == 0);
}

/* What a child does, in a group of its own. */
[[noreturn]] static void child(void)
{
    enum job job = (enum job)program_load(JOB);

    CHECK(program_call("setpgid", 0, 0) == 0);
    switch (job) {
    case JOB_READ:
        program_exit(program_call("read", 0, WORD, 8) == 5 ? 0 : 1);
    case JOB_READ_IGNORING:
        ignore(SIGTTIN);
        program_exit(program_call("read", 0, WORD, 8) == -EIO ? 0 : 1);
    case JOB_WRITE:
        program_exit(program_call("write", 1, WORD, 1) == 1 ? 0 : 1);
    case JOB_SET_GROUP:
        block(SIGTTOU);
        CHECK(set_group(1) == -EPERM && set_group(-1) == -EINVAL);
        program_exit(set_group(own_pid()) == 0 ? 0 : 1);
    case JOB_SIZE:
        block(SIGWINCH);
        CHECK(set_group(own_pid()) == 0);
        program_store(WORD, 77);
        CHECK(program_call("ioctl", 0, TIOCSWINSZ, WORD) == 0);
        program_store(WORD, UINT64_C(1) << (SIGWINCH - 1));
        CHECK(program_call("rt_sigtimedwait", WORD, 0, 0, 8) == SIGWINCH);
        program_store(WORD, 77); /* the same again is no change */
        CHECK(program_call("ioctl", 0, TIOCSWINSZ, WORD) == 0);
        program_store(WORD, 0);
        CHECK(program_call("rt_sigpending", WORD, 8) == 0 && (program_load(WORD) >> (SIGWINCH - 1) & 1) == 0);
        program_exit(0);
    case JOB_LEAD:
    case JOB_REST:
        break;
    }
    program_store(WORD, 0);
    for (;;)
        (void)program_call("rt_sigsuspend", WORD, 8);
}

static pid_t start(enum job job)
{
    program_store(JOB, job);
    pid_t pid = (pid_t)program_call("clone", PROGRAM_FORK);

    CHECK(pid > 0);
    CHECK(program_call("setpgid", (uintptr_t)pid, (uintptr_t)pid) == 0);
    return pid;
}

static unsigned wait_for(pid_t pid)
{
    CHECK(program_call("wait4", (uintptr_t)pid, WORD, WUNTRACED, 0) == pid);
    return (unsigned)(program_load(WORD) & 0xffff);
}

static unsigned stopped_by(unsigned signal)
{
    return signal << 8 | 0x7f;
}

static void continue_in_front(pid_t pid)
{
    CHECK(set_group(pid) == 0 && program_call("kill", (uintptr_t)-pid, SIGCONT) == 0);
}

static void lead(void)
{
    static const char path[16] = "/dev/ttyS0";
    pid_t own = own_pid(), job;

    CHECK(program_call("setpgid", 0, 0) == -EPERM); /* a leader already */
    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t word = 0;

        memcpy(&word, path + i, 8);
        program_store(PATH + i, word);
    }
    CHECK(program_call("openat", (uintptr_t)-100, PATH, O_RDWR | O_NOCTTY) == 0 && tty_session_id() == 0);
    CHECK(program_call("openat", (uintptr_t)-100, PATH, O_RDWR) == 1);
    CHECK(asked(TIOCGPGRP) == (uint64_t)own && asked(TIOCGSID) == (uint64_t)own);
    CHECK(program_call("ioctl", 0, TIOCSCTTY, 0) == 0);
    ignore(SIGTTOU); /* as a shell does */

    job = start(JOB_READ);
    CHECK(wait_for(job) == stopped_by(SIGTTIN));
    continue_in_front(job);
    want(0);
    CHECK(wait_for(job) == 0);
    CHECK(wait_for(start(JOB_READ_IGNORING)) == 0);
    CHECK(set_group(own) == 0);

    CHECK(wait_for(start(JOB_WRITE)) == 0);
    set_stops_writers(true);
    CHECK(wait_for(start(JOB_WRITE)) == 0); /* ignored: inherited from this one */
    set_stops_writers(false);
    CHECK(wait_for(start(JOB_SET_GROUP)) == 0);
    CHECK(asked(TIOCGPGRP) != (uint64_t)own && set_group(own) == 0);
    CHECK(wait_for(start(JOB_SIZE)) == 0 && set_group(own) == 0);

    job = start(JOB_REST);
    CHECK(set_group(job) == 0);
    want(2);
    CHECK(wait_for(job) == stopped_by(SIGTSTP));
    continue_in_front(job);
    want(1);
    CHECK(wait_for(job) == SIGINT);
    job = start(JOB_REST); /* in front when this one ends: it is hung up on */
    CHECK(set_group(job) == 0);
    store_release(&is_over, true); /* PAIRS(tty_test_over) */
}

static void program(uintptr_t arg)
{
    if (arg == PROGRAM_FORK)
        child();
    lead();
    program_exit(0);
}

static void jobs(void)
{
    struct process *leader = program_start(program, JOB_LEAD);

    while (!load_acquire(&is_over)) { /* PAIRS(tty_test_over) */
        unsigned which = load_acquire(&wants); /* PAIRS(tty_test_wants) */

        if (which != 0) {
            type(typing[which - 1]);
            store_release(&wants, 0); /* PAIRS(tty_test_wants) */
        }
        (void)task_sleep_for(NS_PER_MS);
    }
    CHECK(program_finish(leader) == 0);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0)); /* the last child, too: SIGHUP */
    CHECK(tty_session_id() == 0 && tty_group_id() == 0);
}

const struct kernel_test booted_tests[] = { { "alone", alone }, { "jobs", jobs }, { NULL, NULL } };

BOOTED(reads_and_writes_are_as_the_settings_say, "alone", 16)
BOOTED(jobs_behind_stop_and_those_in_front_are_signalled, "jobs", 24)

FS_TEST_MAIN(cmocka_unit_test(reads_and_writes_are_as_the_settings_say),
             cmocka_unit_test(jobs_behind_stop_and_those_in_front_are_signalled))
