/* SPDX-License-Identifier: MIT */
/*
 * Families of processes: children that are made, end, stop and lose their parents while somebody waits for them, kills
 * all of them, or has no memory for one more. docs/PROCESS.md says which race is whose.
 */
#include "scenario.h"

#include "program.h"

#include <mm/fail.h>
#include <proc/group.h>
#include <proc/signo.h>

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define VFORK (CLONE_VM | CLONE_VFORK | PROCESS_SIGCHLD)
#define SLOT(n) (PROGRAM_MEMORY + 256 + (n) * 128) /* what calls write, by thread */
#define NOTHING_LEFT() WAIT_FOR((proc_reclaim_all(), process_count() == 0)) /* orphans of the kernel's, too */

/* The upper half of clone(2)'s first argument is nobody's; the child finds it in its own. */
static intptr_t make(uintptr_t flags, unsigned job)
{
    return program_call("clone", flags | (uintptr_t)job << 32);
}

static unsigned job_of(uintptr_t arg)
{
    return (unsigned)(arg >> 32);
}

static bool is_made_with(uintptr_t arg, uintptr_t flags)
{
    return (uint32_t)arg == flags;
}

static void dawdle(unsigned most)
{
    for (uint64_t left = sim_random_below(most); left > 0; left--)
        (void)program_call("sched_yield");
}

static void pause_a_while(unsigned most)
{
    for (uint64_t left = sim_random_below(most); left > 0; left--)
        sim_pause();
}

/* ---- group-kill ---- */

#define FORKS_MAX 12
static _Atomic(unsigned) forks;

/* Never ends by itself. */
static void bomb(uintptr_t arg)
{
    if (arg == 0 && sim_chance(2))
        CHECK(make(THREAD, 0) > 0);
    for (;;) {
        if (fetch_add_relaxed(&forks, 1) < FORKS_MAX)
            (void)make(PROGRAM_FORK, 0);
        (void)program_call("sched_yield");
        if (sim_chance(3))
            (void)program_call("wait4", -1UL, 0, WNOHANG);
    }
}

static void group_kill(void)
{
    static const int numbers[] = { SIGKILL, SIGINT, SIGHUP };

    for (unsigned round = sim_rounds(); round > 0; round--) {
        store_relaxed(&forks, 0);
        struct process *process = program_start(bomb, 0);
        const struct signal_info info = { .number = numbers[sim_random_below(3)], .code = SI_KERNEL };

        pause_a_while(12);
        if (sim_chance(4))
            CHECK(signal_kill(-1, (unsigned)info.number) == 0);
        else
            signal_send_group(process->pid, &info);
        CHECK(program_finish(process) == WAIT_STATUS_SIGNALED(info.number));
        NOTHING_LEFT();
    }
}

/* ---- wait-many ---- */

#define CHILDREN 4
#define WAITERS 3
static struct {
    _Atomic(unsigned) reaped[CHILDREN]; /* by status, which is the child's number */
    _Atomic(unsigned) waiters;
} waits;

static void stop_and_end(unsigned number)
{
    dawdle(6);
    if (sim_chance(2))
        (void)program_call("kill", (uintptr_t)program_call("getpid"), SIGSTOP);
    dawdle(6);
    program_exit((int)number);
}

/* A report of wait4(2). Whoever hears of a stop is the only one who does, and ends it. */
static void judge(intptr_t pid, uint32_t status)
{
    if ((status & 0xff) == 0x7f)
        CHECK(program_call("kill", (uintptr_t)pid, SIGCONT) == 0);
    else if (status != 0xffff && CHECK((status & 0xff) == 0 && status >> 8 < CHILDREN))
        (void)fetch_add_relaxed(&waits.reaped[status >> 8], 1);
}

/* Looks and leaves it; the child may be gone before it is looked at. */
static intptr_t only_look(vaddr_t slot)
{
    intptr_t result = program_call("waitid", 0, 0, slot, WEXITED | WUNTRACED | WCONTINUED | WNOWAIT);

    if (result == 0)
        CHECK((uint32_t)program_load(slot) == SIGCHLD && (uint32_t)program_load(slot + 16) > 1);
    return result;
}

static void wait_for_all(vaddr_t slot)
{
    intptr_t result = 0;

    while (result != -ECHILD) {
        if (sim_chance(3)) {
            result = only_look(slot);
            continue;
        }
        result = program_call("wait4", -1UL, slot, WUNTRACED | WCONTINUED | (sim_chance(3) ? WNOHANG : 0));
        CHECK(result >= 0 || result == -ECHILD);
        if (result > 0)
            judge(result, (uint32_t)program_load(slot));
    }
}

static void waits_in_threads(uintptr_t arg)
{
    if (is_made_with(arg, PROGRAM_FORK))
        stop_and_end(job_of(arg));
    if (arg == 0) {
        for (unsigned i = 0; i < CHILDREN; i++)
            CHECK(make(PROGRAM_FORK, i) > 0);
        for (unsigned i = 1; i < WAITERS; i++)
            CHECK(make(THREAD, i) > 0);
    }
    wait_for_all(SLOT(job_of(arg)));
    (void)fetch_sub_relaxed(&waits.waiters, 1);
    while (arg == 0 && load_relaxed(&waits.waiters) > 0)
        (void)program_call("sched_yield");
    for (;;)
        (void)program_call(arg == 0 ? "exit_group" : "exit", 0);
}

static void wait_many(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        store_relaxed(&waits.waiters, WAITERS);
        CHECK(program_finish(program_start(waits_in_threads, 0)) == 0);
        for (unsigned i = 0; i < CHILDREN; i++)
            CHECK(xchg_relaxed(&waits.reaped[i], 0) == 1);
    }
}

/* ---- adopt ---- */

#define SET_SUBREAPER 36 /* prctl(2) */
#define MIDDLES 2
#define PARENTS_CHILD (CLONE_PARENT | PROCESS_SIGCHLD)

static void ignore_children(bool is_ignored)
{
    program_store(SLOT(0), is_ignored ? 1 : 0); /* SIG_IGN, SIG_DFL */
    for (unsigned i = 1; i < 4; i++)
        program_store(SLOT(0) + 8 * i, 0);
    CHECK(program_call("rt_sigaction", SIGCHLD, SLOT(0), 0, 8) == 0);
}

/* One of the middle generation: its children are somebody else's soon. */
static void middle(void)
{
    if (sim_chance(2))
        ignore_children(false); /* they leave records, whatever the heir thinks of it */
    for (uint64_t left = 1 + sim_random_below(3); left > 0; left--)
        CHECK(make(sim_chance(4) ? PARENTS_CHILD : PROGRAM_FORK, MIDDLES) > 0);
    if (sim_chance(3))
        (void)program_call("wait4", -1UL, 0, WNOHANG);
    dawdle(8);
    program_exit(0);
}

static void adopts(uintptr_t arg)
{
    if (arg != 0 && job_of(arg) < MIDDLES)
        middle();
    if (arg != 0) {
        dawdle(12);
        program_exit(0);
    }
    bool is_ignored = sim_chance(2);

    ignore_children(is_ignored);
    CHECK(program_call("prctl", SET_SUBREAPER, 1) == 0);
    for (unsigned i = 0; i < MIDDLES; i++)
        CHECK(make(PROGRAM_FORK, i) > 0);
    for (unsigned i = sim_chance(2) ? 4 : 0; i > 0; i--) {
        CHECK(program_call("prctl", SET_SUBREAPER, i % 2) == 0);
        dawdle(4);
    }
    intptr_t pid;

    while ((pid = program_call("wait4", -1UL)) > 0)
        CHECK(!is_ignored); /* nothing is left of a child whose end is ignored, of an adopted one neither */
    CHECK(pid == -ECHILD);
    program_exit(0);
}

static void adopt(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(program_finish(program_start(adopts, 0)) == 0);
        NOTHING_LEFT();
    }
}

/* ---- fork-fails ---- */

static _Atomic(bool) is_done;
static _Atomic(unsigned) made, reaped;

static void reap_until_done(void)
{
    while (!load_relaxed(&is_done)) {
        intptr_t pid = program_call("wait4", -1UL, 0, WALL);

        CHECK(pid > 0 || pid == -ECHILD);
        (void)fetch_add_relaxed(&reaped, pid > 0);
        (void)program_call("sched_yield");
    }
    (void)fetch_sub_relaxed(&waits.waiters, 1);
    for (;;)
        (void)program_call("exit", 0);
}

/* The n-th allocation fails, for about every n; sometimes until there is none. If not, there never is a child. */
static void try_to_fork(uintptr_t flags)
{
    uint64_t tries = sim_chance(2) ? UINT64_MAX : 1 + sim_random_below(12);
    intptr_t pid = -ENOMEM;

    for (uint32_t nth = 1; pid == -ENOMEM && tries > 0; tries--) {
        mm_fail_at(nth);
        pid = make(flags, 1);
        CHECK(mm_fail_fired() == (pid == -ENOMEM) && (pid > 0 || pid == -ENOMEM));
        nth += 1 + (uint32_t)sim_random_below(4);
    }
    (void)fetch_add_relaxed(&made, flags != THREAD && pid > 0);
}

static void forks_without_memory(uintptr_t arg)
{
    if (arg != 0 && job_of(arg) == 1) {
        dawdle(4);
        for (;;)
            (void)program_call("exit", 0);
    }
    if (is_made_with(arg, THREAD))
        reap_until_done();
    for (unsigned i = 1; i < WAITERS; i++)
        CHECK(make(THREAD, 0) > 0);
    try_to_fork(sim_chance(3) ? VFORK : PROGRAM_FORK);
    try_to_fork(sim_chance(2) ? THREAD : PROGRAM_FORK);
    store_relaxed(&is_done, true);
    while (load_relaxed(&waits.waiters) > 0) /* none waits for a child that there never was */
        (void)program_call("sched_yield");
    while (program_call("wait4", -1UL, 0, WALL) > 0)
        (void)fetch_add_relaxed(&reaped, 1);
    program_exit(0);
}

static void fork_fails(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        store_relaxed(&is_done, false);
        store_relaxed(&made, 0);
        store_relaxed(&reaped, 0);
        store_relaxed(&waits.waiters, WAITERS - 1);
        CHECK(program_finish(program_start(forks_without_memory, 0)) == 0);
        CHECK(load_relaxed(&made) == load_relaxed(&reaped));
    }
}

/* ---- group-orphan ---- */

/* Its own group, which whoever is first makes; it stops with its child and nobody but the kernel continues them. */
static void be_job(void)
{
    (void)program_call("setpgid", 0, 0);
    if (sim_chance(2))
        (void)make(PROGRAM_FORK, 2);
    dawdle(4);
    (void)program_call("kill", 0, SIGTSTP);
    dawdle(4);
    program_exit(0);
}

/* A member of the job, or no longer. */
static void be_member(void)
{
    dawdle(6);
    if (sim_chance(3))
        (void)program_call(sim_chance(2) ? "setsid" : "setpgid", 0, 0);
    dawdle(6);
    program_exit(0);
}

static void leads_and_leaves(uintptr_t arg)
{
    if (arg != 0 && job_of(arg) == 1)
        be_job();
    if (arg != 0)
        be_member();
    intptr_t pid = make(PROGRAM_FORK, 1);

    CHECK(pid > 0);
    (void)program_call("setpgid", (uintptr_t)pid, (uintptr_t)pid);
    if (sim_chance(2))
        (void)program_call("wait4", (uintptr_t)pid, 0, WUNTRACED);
    dawdle(8);
    program_exit(0);
}

static void group_orphan(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(program_finish(program_start(leads_and_leaves, 0)) == 0);
        NOTHING_LEFT();
    }
}

/* ---- vfork-end ---- */

#define PATH "/after"
#define PATH_AT SLOT(8)

static void after(uintptr_t arg)
{
    (void)arg;
    dawdle(4);
    program_exit(2);
}

static void borrow_memory(void)
{
    dawdle(4);
    if (sim_chance(3))
        (void)program_call("kill", (uintptr_t)program_call("getpid"), SIGKILL);
    if (sim_chance(2))
        (void)program_call("execve", PATH_AT);
    program_exit(1);
}

static void lends_memory(uintptr_t arg)
{
    uint64_t path = 0;

    if (is_made_with(arg, VFORK))
        borrow_memory();
    (void)memcpy(&path, PATH, sizeof PATH);
    program_store(PATH_AT, path);
    if (arg == 0)
        CHECK(make(THREAD, 1) > 0);
    for (;;) {
        intptr_t pid = make(VFORK, 0);
        uint32_t status = 0;

        CHECK(pid > 0);
        if (program_call("wait4", (uintptr_t)pid, SLOT(job_of(arg))) == pid)
            status = (uint32_t)program_load(SLOT(job_of(arg)));
        CHECK(status == SIGKILL || status >> 8 == 1 || status >> 8 == 2 || task_is_killed());
        if (sim_chance(4))
            program_exit(3);
    }
}

static void vfork_end(void)
{
    program_file(PATH, after, false, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct process *process = program_start(lends_memory, 0);
        bool is_killed = sim_chance(2);

        pause_a_while(20);
        if (is_killed)
            (void)process_kill(process);
        int status = program_finish(process);

        CHECK(status == WAIT_STATUS_EXITED(3) || (is_killed && status == WAIT_STATUS_SIGNALED(SIGKILL)));
        NOTHING_LEFT();
    }
    program_remove(PATH);
}

const struct sim_scenario sim_scenarios_life[] = {
    { .name = "group-kill", .aim = "a group is killed while its members fork, and a child never hears of it",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = group_kill },
    { .name = "wait-many", .aim = "an end, a stop or a continuation is told to two who wait, or to none",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = wait_many },
    { .name = "adopt", .aim = "a child ends while its parent does, and its record is nobody's or for ever",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = adopt },
    { .name = "fork-fails", .aim = "a fork runs out of memory half way, and leaves something or somebody waiting",
      .cpus = 3, .cpus_min = 1, .rounds = 2, .run = fork_fails },
    { .name = "group-orphan", .aim = "a stopped job loses who could continue it, and stays stopped for ever",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = group_orphan },
    { .name = "vfork-end", .aim = "memory that is lent is not given back by a child's end, or its maker ends first",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = vfork_end },
    { .name = NULL },
};
