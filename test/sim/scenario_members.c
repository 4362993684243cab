/* SPDX-License-Identifier: MIT */
/*
 * Threads of a process end while signals, timers, files and counts of it are in use, and while others look at it.
 * docs/PROCESS.md says which race is whose.
 */
#include "scenario.h"

#include "program.h"

#include <fs/path.h>
#include <lib/fmt.h>
#include <mm/fail.h>
#include <proc/clock.h>
#include <proc/limits.h>
#include <proc/oom.h>
#include <proc/signo.h>
#include <proc/timers.h>

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define SHARES_FILES (CLONE_FILES | PROCESS_SIGCHLD)
#define SLOT(n) (PROGRAM_MEMORY + 256 + (n) * 256) /* what calls read and write, by thread */
#define PATH "/other"
#define PATH_AT (PROGRAM_MEMORY + 64)
#define DONE 16
#define THREADS 3
#define POLICY_OTHER 0 /* sched(7) */
#define POLICY_FIFO 1

static intptr_t make(uintptr_t flags, unsigned job)
{
    return program_call("clone", flags | (uintptr_t)job << 32);
}

static unsigned job_of(uintptr_t arg)
{
    return (unsigned)(arg >> 32);
}

static void dawdle(unsigned most)
{
    for (uint64_t left = sim_random_below(most); left > 0; left--)
        (void)program_call("sched_yield");
}

[[noreturn]] static void end_thread(void)
{
    for (;;)
        (void)program_call("exit", 0);
}

static void other_program(uintptr_t arg)
{
    CHECK(arg == 0 && !mm_fail_fired());
    dawdle(3);
    program_exit(DONE);
}

static void put_path(void)
{
    uint64_t word = 0;

    (void)memcpy(&word, PATH, sizeof PATH);
    program_store(PATH_AT, word);
}

/* ---- signal-members ---- */

#define SENT 8
#define NUMBER SIGNAL_REALTIME
#define GO_HOME (SIGNAL_REALTIME + 1)
static struct {
    _Atomic(bool) is_ready;
    _Atomic(unsigned) got[SENT];
    _Atomic(unsigned) count;
} signals;

static void note_taken(vaddr_t slot)
{
    uint64_t value = program_load(slot + 32 + offsetof(struct signal_info, sent.value));

    if (CHECK(value < SENT))
        (void)fetch_add_relaxed(&signals.got[value], 1);
    (void)fetch_add_relaxed(&signals.count, 1);
}

/* One signal, or none in a moment's time. */
static void take(vaddr_t slot)
{
    program_store(slot, signal_bit(NUMBER));
    program_store(slot + 8, 0);
    program_store(slot + 16, sim_random_below(300));
    if (program_call("rt_sigtimedwait", slot, slot + 32, slot + 8, 8) == NUMBER)
        note_taken(slot);
}

/* All that others leave, and it sleeps as long as there is none: nothing but being told wakes it. */
static void take_the_rest(vaddr_t slot)
{
    intptr_t number = NUMBER;

    program_store(slot, signal_bit(NUMBER) | signal_bit(GO_HOME));
    while (number == NUMBER) {
        number = program_call("rt_sigtimedwait", slot, slot + 32, 0, 8);
        if (number == NUMBER)
            note_taken(slot);
    }
    CHECK(number == GO_HOME);
}

static void takes_and_ends(uintptr_t arg)
{
    if (arg != 0) {
        for (uint64_t left = sim_random_below(3); left > 0; left--)
            take(SLOT(job_of(arg)));
        end_thread();
    }
    program_store(SLOT(0), signal_bit(NUMBER) | signal_bit(GO_HOME));
    CHECK(program_call("rt_sigprocmask", 0, SLOT(0), 0, 8) == 0);
    for (unsigned i = 1; i <= THREADS; i++)
        CHECK(make(THREAD, i) > 0);
    store_relaxed(&signals.is_ready, true);
    take_the_rest(SLOT(0));
    program_exit(0);
}

static void signal_members(void)
{
    const struct signal_info home = { .number = GO_HOME, .code = SI_QUEUE };

    for (unsigned round = sim_rounds(); round > 0; round--) {
        store_relaxed(&signals.is_ready, false);
        store_relaxed(&signals.count, 0);
        struct process *process = program_start(takes_and_ends, 0);

        while (!load_relaxed(&signals.is_ready))
            sim_pause();
        for (unsigned i = 0; i < SENT; i++) {
            const struct signal_info info = { .number = NUMBER, .code = SI_QUEUE, .sent = { .value = i } };

            CHECK(signal_send_process(process, &info) == 0);
            if (sim_chance(3))
                sim_pause();
        }
        while (load_relaxed(&signals.count) < SENT)
            sim_pause();
        CHECK(signal_send_process(process, &home) == 0);
        CHECK(program_finish(process) == 0);
        for (unsigned i = 0; i < SENT; i++)
            CHECK(xchg_relaxed(&signals.got[i], 0) == 1);
        CHECK(signal_record_count() == 0);
    }
}

/* ---- timers-end ---- */

/* A timer for this thread or for all, whose signal is blocked; perhaps with a period that is no time at all. */
static void use_a_timer(vaddr_t slot)
{
    bool is_own = sim_chance(2);

    program_store(slot, 0);
    program_store(slot + 8, NUMBER | (uint64_t)(is_own ? TIMER_EVENT_THREAD_ID : TIMER_EVENT_SIGNAL) << 32);
    program_store(slot + 16, (uint64_t)program_call("gettid"));
    if (program_call("timer_create", sim_chance(3) ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, slot, slot + 24) != 0)
        return;
    uint32_t id = (uint32_t)program_load(slot + 24);

    program_store(slot + 32, 0);
    program_store(slot + 40, sim_chance(2) ? 1 : 0);
    program_store(slot + 48, 0);
    program_store(slot + 56, 1 + sim_random_below(2000));
    (void)program_call("timer_settime", id, 0, slot + 32, 0);
    dawdle(3);
    (void)program_call(sim_chance(2) ? "timer_getoverrun" : "timer_delete", id, 0);
    take(slot + 64);
}

static void lives_by_timers(uintptr_t arg)
{
    unsigned job = job_of(arg);

    if (arg == 0) {
        put_path();
        program_store(SLOT(0), signal_bit(NUMBER));
        CHECK(program_call("rt_sigprocmask", 0, SLOT(0), 0, 8) == 0);
        for (unsigned i = 1; i <= THREADS; i++)
            CHECK(make(THREAD, i) > 0);
    }
    for (uint64_t left = 1 + sim_random_below(3); left > 0; left--)
        use_a_timer(SLOT(job));
    if (arg != 0)
        end_thread();
    if (sim_chance(2))
        (void)program_call("execve", PATH_AT);
    program_exit(DONE);
}

static void timers_end_story(void)
{
    program_file(PATH, other_program, false, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        for (unsigned i = 0; i < SENT; i++)
            store_relaxed(&signals.got[i], 0);
        CHECK(program_finish(program_start(lives_by_timers, 0)) == WAIT_STATUS_EXITED(DONE));
        WAIT_FOR((proc_reclaim_all(), timers_count() == 0)); /* the last thread may hold the process yet */
        CHECK(signal_record_count() == 0);
    }
    program_remove(PATH);
}

/* ---- limits-end ---- */

/* A limit of what may be run that is over at once, soon, or never; the hard one, too, of a process that may end by it.
 * The signal is blocked. */
static void limit_running(vaddr_t slot, bool may_end)
{
    bool is_of_rt = sim_chance(2);
    bool is_over = may_end && !is_of_rt && sim_chance(3);

    program_store(slot, is_of_rt ? 20 + sim_random_below(200) : sim_chance(4) ? LIMIT_NONE : 0);
    program_store(slot + 8, is_over ? program_load(slot) : LIMIT_NONE);
    (void)program_call("prlimit64", 0, is_of_rt ? LIMIT_RTTIME : LIMIT_CPU, slot, 0);
    program_store(slot + 16, 1 + sim_random_below(10));
    if (sim_chance(2))
        (void)program_call("sched_setscheduler", 0, sim_chance(3) ? POLICY_OTHER : POLICY_FIFO, slot + 16);
    host_compute(sim_random_below(200) * NS_PER_US);
    dawdle(3);
}

static void lives_by_limits(uintptr_t arg)
{
    unsigned job = job_of(arg);

    if (arg == 0) {
        put_path();
        program_store(SLOT(0), signal_bit(SIGXCPU));
        CHECK(program_call("rt_sigprocmask", 0, SLOT(0), 0, 8) == 0);
        for (unsigned i = 1; i <= THREADS; i++)
            CHECK(make(i == 1 ? PROGRAM_FORK : THREAD, i) > 0);
    }
    for (uint64_t left = 1 + sim_random_below(3); left > 0; left--)
        limit_running(SLOT(job), job == 1);
    if (job > 1)
        end_thread();
    if (job == 0)
        CHECK(program_call("wait4", -1UL) > 0);
    if (sim_chance(2))
        (void)program_call("execve", PATH_AT);
    program_exit(DONE);
}

static void limits_end_story(void)
{
    program_file(PATH, other_program, false, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--)
        CHECK(program_finish(program_start(lives_by_limits, 0)) == WAIT_STATUS_EXITED(DONE));
    program_remove(PATH);
}

/* ---- show-races ---- */

/* Forks, and becomes another program or ends. */
static void changes(uintptr_t arg)
{
    if (arg == 0)
        put_path();
    if (arg == PROGRAM_FORK && sim_chance(2))
        (void)make(THREAD, 0);
    if (arg != 0) {
        dawdle(6);
        if (arg == PROGRAM_FORK && sim_chance(2))
            (void)program_call("execve", PATH_AT);
        program_exit(DONE);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(make(PROGRAM_FORK, 0) > 0);
        if (sim_chance(2))
            (void)program_call("wait4", -1UL);
    }
    while (program_call("wait4", -1UL) > 0)
        ;
    program_exit(0);
}

static void look_at(const struct path_place *place, pid_t pid)
{
    static const char *const names[] = {
        "stat", "status", "statm", "cmdline", "maps", "environ", "auxv", "limits", "comm", "fd/0", "task", "exe",
    };
    static char text[2048]; /* one task looks */
    const char *name = names[sim_random_below(ARRAY_COUNT(names))];
    struct file *file = NULL;
    struct io_span span;
    char path[48];

    (void)fmt_print(path, sizeof path, "/proc/%d/%s", pid, name);
    if (path_open(place, path, O_RDONLY, 0, &file) != 0)
        return;
    io_span_kernel(&span, text, sizeof text);
    int64_t bytes = file_read(file, &span);

    CHECK(bytes >= 0 || bytes == -ESRCH || bytes == -EISDIR || bytes == -ENOENT || bytes == -EINVAL);
    file_put(file);
}

static void show_races(void)
{
    struct fs_context *context = NULL;

    program_file(PATH, other_program, false, NULL);
    if (!CHECK(fs_context_create(&context) == 0))
        return;
    const struct path_place place = { .context = context, .cred = &cred_root };

    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct process *process = program_start(changes, 0);

        for (unsigned looks = 24; looks > 0; looks--) {
            look_at(&place, process->pid + (pid_t)sim_random_below(8));
            if (sim_chance(4))
                sim_pause();
        }
        CHECK(program_finish(process) == 0);
    }
    fs_context_put(context);
    program_remove(PATH);
}

/* ---- user-count ---- */

#define USER 1000
#define LIMIT_TASKS 6 /* RLIMIT_NPROC */
#define TASKS_MAX 3u

static void set_limit(void)
{
    program_store(SLOT(0), TASKS_MAX);
    program_store(SLOT(0) + 8, TASKS_MAX);
    CHECK(program_call("prlimit64", 0, LIMIT_TASKS, SLOT(0), 0) == 0);
}

/* One of the user's: it makes some more, as far as it may, and ends with or before them. */
static void be_of_user(void)
{
    (void)program_call("setresuid", USER, USER, USER);
    for (unsigned i = 0; i < 3; i++) {
        intptr_t tid = make(sim_chance(2) ? THREAD : PROGRAM_FORK, 2);

        CHECK(tid > 0 || tid == -EAGAIN || tid == -EINTR);
        if (sim_chance(2))
            (void)program_call("wait4", -1UL, 0, WNOHANG);
    }
    program_exit(0);
}

static void crowds_user(uintptr_t arg)
{
    if (job_of(arg) == 1)
        be_of_user();
    if (arg != 0) {
        dawdle(5);
        end_thread();
    }
    set_limit();
    for (unsigned i = 0; i < 3; i++)
        CHECK(make(PROGRAM_FORK, 1) > 0);
    while (program_call("wait4", -1UL) > 0)
        ;
    program_exit(0);
}

/* With nobody else there, the user has exactly so many. */
static void counts_user(uintptr_t arg)
{
    if (arg != 0) {
        for (;;)
            (void)program_call("sched_yield");
    }
    set_limit();
    CHECK(program_call("setresuid", USER, USER, USER) == 0);
    for (unsigned i = 1; i < TASKS_MAX; i++)
        CHECK(make(THREAD, 2) > 0);
    CHECK(make(THREAD, 2) == -EAGAIN);
    program_exit(0);
}

static void user_count_story(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(program_finish(program_start(crowds_user, 0)) == 0);
        WAIT_FOR((proc_reclaim_all(), process_count() == 0));
        CHECK(program_finish(program_start(counts_user, 0)) == 0);
    }
}

/* ---- files-shared ---- */

/* One who shares the writing end: closes it for all, or ends, or is killed by it. */
static void write_some(uint32_t to)
{
    for (uint64_t left = sim_random_below(4); left > 0; left--)
        (void)program_call("write", to, SLOT(2), 40);
    if (sim_chance(2))
        (void)program_call("close", to);
    program_exit(0);
}

/* Has the reading end alone; the writing one is a copy that is closed at once, or with the process. */
static void read_all(uint32_t from, uint32_t to)
{
    intptr_t bytes = 1;

    CHECK(program_call("close", to) == 0);
    while (bytes > 0)
        bytes = program_call("read", from, SLOT(3), 64);
    CHECK(bytes == 0);
    program_exit(1);
}

static void shares_files(uintptr_t arg)
{
    if (arg == 0)
        CHECK(program_call("pipe2", SLOT(1), 0) == 0);
    uint64_t both = program_load(SLOT(1));
    uint32_t from = (uint32_t)both, to = (uint32_t)(both >> 32);

    if (job_of(arg) == 1)
        read_all(from, to);
    if (job_of(arg) == 2)
        write_some(to);
    CHECK(make(PROGRAM_FORK, 1) > 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(make(SHARES_FILES, 2) > 0);
    if (sim_chance(2))
        (void)program_call("dup3", from, to, 0);
    (void)program_call("close", to);
    (void)program_call("close", from);
    while (program_call("wait4", -1UL) > 0) /* the reader among them: nobody is left who writes */
        ;
    program_exit(0);
}

static void files_shared(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--)
        CHECK(program_finish(program_start(shares_files, 0)) == 0);
}

/* ---- exec-fails ---- */

static void fails_to_execute(uintptr_t arg)
{
    if (arg != 0)
        for (;;)
            (void)program_call("sched_yield");
    put_path();
    for (unsigned i = 0; i < 2; i++)
        CHECK(make(THREAD, 1) > 0);
    for (uint32_t nth = 1;; nth += 1 + (uint32_t)sim_random_below(5)) {
        mm_fail_at(nth);
        CHECK(program_call("execve", PATH_AT) == -ENOMEM && mm_fail_fired());
    }
}

static void exec_fails(void)
{
    program_file(PATH, other_program, true, NULL);
    /* It would be the victim of what is missing, being the only one. */
    CHECK(oom_adjust_set(process_current(), OOM_ADJUST_NEVER, true) == 0);
    for (unsigned round = sim_rounds(); round > 0; round--)
        CHECK(program_finish(program_start(fails_to_execute, 0)) == WAIT_STATUS_EXITED(DONE));
    CHECK(oom_adjust_set(process_current(), 0, true) == 0);
    program_remove(PATH);
}

const struct sim_scenario sim_scenarios_members[] = {
    { .name = "signal-members", .aim = "a signal of the process is lost with a thread that was told of it",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = signal_members },
    { .name = "timers-end", .aim = "a timer fires for a thread, a program or a process that is gone",
      .cpus = 3, .cpus_min = 1, .rounds = 2, .run = timers_end_story },
    { .name = "limits-end", .aim = "what a process may run is looked at while its threads, program or life change",
      .cpus = 3, .cpus_min = 1, .rounds = 2, .run = limits_end_story },
    { .name = "show-races", .aim = "/proc shows what is being freed, changed over or not yet there",
      .cpus = 3, .cpus_min = 1, .rounds = 2, .run = show_races },
    { .name = "user-count", .aim = "a user's tasks are counted twice or never where it changes, ends or fails",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = user_count_story },
    { .name = "files-shared", .aim = "a descriptor of several processes is closed, and a pipe has no end or two",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = files_shared },
    { .name = "exec-fails", .aim = "an exec runs out of memory half way, and leaves something or is half done",
      .cpus = 3, .cpus_min = 1, .rounds = 1, .run = exec_fails },
    { .name = NULL },
};
