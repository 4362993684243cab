/* SPDX-License-Identifier: MIT */
/* core/proc/group.c against a plain model: who is in which group and session after random calls; and who is told when
 * a group becomes an orphaned one. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <mm/fail.h>
#include <proc/group.h>
#include <proc/id.h>

#define PROCESSES 5 /* a parent, and its children */
#define ROUNDS 300

struct model {
    pid_t pid, group, session;
};

static struct process *process[PROCESSES];
static struct model model[PROCESSES];

static bool group_exists(pid_t group, pid_t session)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        if (model[i].group == group && (session == 0 || model[i].session == session))
            return true;
    return false;
}

/* setpgid(2) by the parent, of itself or a child. */
static int model_set_group(unsigned of, pid_t group)
{
    if (model[of].session != model[0].session)
        return -EPERM;
    if (model[of].session == model[of].pid)
        return -EPERM;
    if (group == 0)
        group = model[of].pid;
    if (group != model[of].pid && !group_exists(group, model[0].session))
        return -EPERM;
    if (group_exists(group, 0) && !group_exists(group, model[0].session))
        return -EPERM;
    model[of].group = group;
    return 0;
}

static int model_new_session(unsigned of)
{
    if (group_exists(model[of].pid, 0))
        return -EPERM;
    model[of].group = model[of].session = model[of].pid;
    return model[of].pid;
}

static void step(uint64_t *random)
{
    unsigned of = (unsigned)(random_next(random) % PROCESSES);
    unsigned other = (unsigned)(random_next(random) % PROCESSES);
    pid_t group = random_next(random) % 3 == 0 ? 0 : model[other].pid;

    if (random_next(random) % 40 == 0) {
        int expected = model_new_session(of);

        CHECK(process_new_session(process[of]) == expected);
    } else {
        int expected = model_set_group(of, group);

        CHECK(process_set_group(process[0], model[of].pid, group) == expected);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        CHECK(process_group_id(process[i]) == model[i].group);
        CHECK(process_session_id(process[i]) == model[i].session);
    }
}

static void spins(uintptr_t arg)
{
    if (arg == 0)
        for (unsigned i = 1; i < PROCESSES; i++)
            CHECK(program_call("clone", PROGRAM_FORK) > 0);
    program_store(PROGRAM_MEMORY, 1);
    for (;;)
        (void)program_call("sched_yield");
}

static unsigned find_children(void)
{
    unsigned found = 1;

    for (pid_t pid = 2; pid < 200 && found < PROCESSES; pid++) {
        struct process *candidate = process_lookup(pid);

        if (candidate == NULL)
            continue;
        if (candidate->has_user && candidate != process[0])
            process[found++] = candidate;
        else
            process_put(candidate);
    }
    return found;
}

static void model_test(void)
{
    uint64_t random = booted_seed() * 3 + 1;

    process[0] = program_start(spins, 0);
    WAIT_FOR(process_count() == PROCESSES);
    CHECK(find_children() == PROCESSES);
    for (unsigned i = 0; i < PROCESSES; i++)
        model[i] = (struct model){ process[i]->pid, process[0]->pid, process[0]->pid };
    for (unsigned round = 0; round < ROUNDS; round++)
        step(&random);
    CHECK(process_set_group(process[0], 0, -1) == -EINVAL);
    CHECK(process_set_group(process[1], process[2]->pid, 0) == -ESRCH); /* no child of its */
    CHECK(process_set_group(process[0], 199999, 0) == -ESRCH);
    mm_fail_at(1);
    CHECK(process_set_group(process[0], 0, 0) == -ENOMEM);
    CHECK(mm_fail_fired());
    for (unsigned i = 0; i < PROCESSES; i++)
        CHECK(process_kill(process[i]) == 0);
    for (unsigned i = 1; i < PROCESSES; i++)
        process_put(process[i]);
    CHECK(program_finish(process[0]) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
    for (unsigned i = 0; i < PROCESSES; i++)
        CHECK(id_group_locked(model[i].pid) == NULL); /* all have gone, and their ids are free: see the counts */
}

/* ---- Orphaned groups ---- */

#define SIG_STOP 19
#define W_UNTRACED 2u

static _Atomic(unsigned) lived_on; /* members that saw their parent go, and were not told */

/* The parent goes when its child has stopped. The child, a group of its own, is told, and ends by that: SIGHUP. */
static void leaves_a_stopped_child(uintptr_t arg)
{
    uint64_t status = 0;

    if (arg == PROGRAM_FORK) {
        CHECK(program_call("setpgid", 0, 0) == 0);
        (void)program_call("kill", (uintptr_t)program_call("getpid"), SIG_STOP);
        CHECK(false); /* it went on, without a hangup */
        program_exit(1);
    }
    intptr_t child = program_call("clone", PROGRAM_FORK);

    CHECK(program_call("wait4", (uintptr_t)child, PROGRAM_MEMORY, W_UNTRACED) == child);
    status = program_load(PROGRAM_MEMORY);
    CHECK((status & 0xffff) == (SIG_STOP << 8 | 0x7f));
    program_exit(0);
}

/* Nobody has stopped: nobody is told. */
static void leaves_a_running_child(uintptr_t arg)
{
    if (arg == PROGRAM_FORK) {
        intptr_t parent = (intptr_t)program_load(PROGRAM_MEMORY);

        CHECK(program_call("setpgid", 0, 0) == 0);
        while (program_call("getppid") == parent)
            (void)program_call("sched_yield");
        (void)fetch_add_relaxed(&lived_on, 1);
        program_exit(0);
    }
    program_store(PROGRAM_MEMORY, (uint64_t)program_call("getpid"));
    CHECK(program_call("clone", PROGRAM_FORK) > 0);
    program_exit(0);
}

static void stopped_test(void)
{
    program_run(leaves_a_stopped_child); /* which waits until all have gone */
    program_run(leaves_a_running_child);
    CHECK(load_relaxed(&lived_on) == 1);
}

const struct kernel_test booted_tests[] = {
    { "model", model_test },
    { "stopped", stopped_test },
    { NULL, NULL },
};

static void random_calls_match_a_plain_model(void **state)
{
    (void)state;
    booted_run("model", 24);
}

static void a_group_that_nobody_can_continue_is_hung_up_if_it_has_stopped(void **state)
{
    (void)state;
    booted_run("stopped", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_calls_match_a_plain_model),
        cmocka_unit_test(a_group_that_nobody_can_continue_is_hung_up_if_it_has_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
