/* SPDX-License-Identifier: MIT */
/* core/syscall/futex.c: what of futex(2)'s arguments means what. What futexes do is test/unit/proc/futex_test.c's. */
#include "call_world.h"

#define WORD PAGE0
#define OTHER (PAGE0 + 4)
#define TIME (PAGE0 + 64)
#define PRIVATE 128u
#define REALTIME 256u

enum {
    WAIT,
    WAKE,
    FD,
    REQUEUE,
    CMP_REQUEUE,
    WAKE_OP,
    OWN_LOCK,
    OWN_UNLOCK,
    OWN_TRYLOCK,
    WAIT_BITSET,
    WAKE_BITSET,
    WAIT_REQUEUE_PI,
    CMP_REQUEUE_PI,
    OWN_LOCK2,
};

static _Atomic(int64_t) result_of_wait;

static int waiter(void)
{
    store_relaxed(&result_of_wait, CALL(futex, WORD, WAIT | PRIVATE, 7, 0));
    return 0;
}

static struct task *start_waiter(void)
{
    struct task *task = world_thread(waiter);

    WAIT_FOR(is_blocked(task));
    return task;
}

static int meanings(void)
{
    put32(WORD, 7);
    CHECK(CALL(futex, WORD, WAIT, 8, 0) == -EAGAIN && CALL(futex, WORD + 1, WAIT, 7, 0) == -EINVAL);
    CHECK(CALL(futex, NOWHERE, WAIT, 7, 0) == -EFAULT && CALL(futex, WORD, WAIT, 7, NOWHERE) == -EFAULT);
    CHECK(CALL(futex, WORD, FD, 7, 0) == -ENOSYS && CALL(futex, WORD, 14, 7, 0) == -ENOSYS);
    CHECK(CALL(futex, WORD, WAIT | REALTIME, 7, 0) == -ENOSYS);
    CHECK(CALL(futex, WORD, WAIT_BITSET, 7, 0, 0, 0) == -EINVAL);
    put_time(TIME, 0, -1);
    CHECK(CALL(futex, WORD, WAIT, 7, TIME) == -EINVAL);
    CHECK(CALL(futex, WORD, REQUEUE, U(-1), 0, OTHER) == -EINVAL);
    CHECK(CALL(futex, WORD, CMP_REQUEUE, 0, 1, OTHER, 8) == -EAGAIN);

    struct task *task = start_waiter();

    CHECK(CALL(futex, WORD, WAKE_BITSET | PRIVATE, 1, 0, 0, 1) == 1 && finish(task) == 0);
    CHECK(load_relaxed(&result_of_wait) == 0);
    task = start_waiter();
    CHECK(CALL(futex, WORD, CMP_REQUEUE | PRIVATE, 0, 1, OTHER, 7) == 1);
    CHECK(CALL(futex, WORD, WAKE | PRIVATE, 1) == 0);
    CHECK(CALL(futex, WORD, WAKE_OP | PRIVATE, 1, 1, OTHER, 0) == 1 && finish(task) == 0);
    return 0;
}

static int timeouts(void)
{
    uint64_t before = clock_ns();

    put32(WORD, 7);
    put_time(TIME, 0, 30 * (int64_t)NS_PER_US);
    CHECK(CALL(futex, WORD, WAIT | PRIVATE, 7, TIME) == -ETIMEDOUT && clock_ns() >= before + 30 * NS_PER_US);
    put_time(TIME, 0, (int64_t)(clock_ns() + 30 * NS_PER_US));
    CHECK(CALL(futex, WORD, WAIT_BITSET, 7, TIME, 0, 1) == -ETIMEDOUT && clock_ns() >= get64(TIME + 8));
    put_time(TIME, 3000, 0);
    CHECK(CALL(clock_settime, 0, TIME) == 0);
    before = clock_ns();
    put_time(TIME, 3000, (int64_t)NS_PER_MS);
    CHECK(CALL(futex, WORD, WAIT_BITSET | REALTIME, 7, TIME, 0, 1) == -ETIMEDOUT);
    CHECK(CALL(clock_gettime, 0, TIME) == 0 && get64(TIME + 8) >= NS_PER_MS && clock_ns() < before + NS_PER_SEC);
    return 0;
}

/* With a time it is made anew after a signal without a handler, and ends when it would have. */
#define WHOLE_NS (400 * NS_PER_US)

static struct {
    _Atomic(int64_t) first, second;
    uint64_t begin_ns, end_ns; /* before `second` */
    unsigned command;
} again;

static int waits_again(void)
{
    again.begin_ns = clock_ns();
    put_time(TIME, 0, (int64_t)(again.command == WAIT ? WHOLE_NS : again.begin_ns + WHOLE_NS));
    store_relaxed(&again.first, CALL(futex, WORD, again.command | PRIVATE, 7, TIME, 0, 1));
    task_notice_clear(TASK_NOTICE_SIGNAL);
    put_time(TIME, 3000, 0); /* nobody reads it again */
    int64_t result = signal_restart_current()->again(signal_restart_current());

    again.end_ns = clock_ns();
    store_relaxed(&again.second, result);
    return 0;
}

static int interrupted(void)
{
    static const unsigned commands[] = { WAIT, WAIT_BITSET };

    put32(WORD, 7);
    for (unsigned i = 0; i < ARRAY_COUNT(commands); i++) {
        again.command = commands[i];
        struct task *task = world_thread(waits_again);

        WAIT_FOR(is_blocked(task));
        (void)task_sleep_until(clock_ns() + WHOLE_NS / 2);
        CHECK(task_notify(task, TASK_NOTICE_SIGNAL) == 0 && finish(task) == 0);
        CHECK(load_relaxed(&again.first) == -ERESTART_RESTARTBLOCK && load_relaxed(&again.second) == -ETIMEDOUT);
        CHECK(again.end_ns - again.begin_ns >= WHOLE_NS && again.end_ns - again.begin_ns < WHOLE_NS + WHOLE_NS / 4);
    }
    struct task *task = start_waiter(); /* for ever: after a handler with SA_RESTART, too */

    CHECK(task_notify(task, TASK_NOTICE_SIGNAL) == 0 && finish(task) == 0);
    CHECK(load_relaxed(&result_of_wait) == -ERESTARTSYS);
    return 0;
}

/* Of locks: each call's words, and the clock that its time is of. */
static int owner_main(void)
{
    store_relaxed(&result_of_wait, CALL(futex, WORD, OWN_LOCK | PRIVATE, 0, 0));
    (void)!CALL(futex, OTHER, WAIT | PRIVATE, 0, 0); /* it owns it until it is woken, and ends */
    return 0;
}

static int owned(void)
{
    uint64_t before;

    put32(WORD, 0);
    put32(OTHER, 0);
    CHECK(CALL(futex, WORD, OWN_LOCK | REALTIME, 0, 0) == -ENOSYS && CALL(futex, WORD, OWN_UNLOCK, 0, 0) == -EPERM);
    CHECK(CALL(futex, WORD, CMP_REQUEUE_PI, 2, 1, OTHER, 0) == -EINVAL);
    CHECK(CALL(futex, WORD, CMP_REQUEUE_PI, 1, U(-1), OTHER, 0) == -EINVAL);
    CHECK(CALL(futex, WORD, CMP_REQUEUE_PI, 1, 1, OTHER, 0) == 0);
    struct task *task = world_thread(owner_main);

    WAIT_FOR(is_blocked(task));
    CHECK(CALL(futex, WORD, OWN_TRYLOCK | PRIVATE, 0, 0) == -EAGAIN);
    put_time(TIME, 0, -1);
    CHECK(CALL(futex, WORD, OWN_LOCK | PRIVATE, 0, TIME) == -EINVAL);
    put_time(TIME, 3000, 0);
    CHECK(CALL(clock_settime, 0, TIME) == 0);
    before = clock_ns();
    put_time(TIME, 3000, (int64_t)NS_PER_MS);
    CHECK(CALL(futex, WORD, OWN_LOCK | PRIVATE, 0, TIME) == -ETIMEDOUT && clock_ns() < before + NS_PER_SEC);
    CHECK(CALL(futex, WORD, OWN_LOCK2 | REALTIME | PRIVATE, 0, TIME) == -ETIMEDOUT && clock_ns() < before + NS_PER_SEC);
    put_time(TIME, 0, (int64_t)(clock_ns() + 30 * NS_PER_US));
    CHECK(CALL(futex, WORD, OWN_LOCK2 | PRIVATE, 0, TIME) == -ETIMEDOUT && clock_ns() >= get64(TIME + 8));
    CHECK(CALL(futex, OTHER + 4, WAIT_REQUEUE_PI | PRIVATE, 0, TIME, WORD) == -ETIMEDOUT);
    CHECK(CALL(futex, OTHER, WAKE | PRIVATE, 1) == 1 && finish(task) == 0 && load_relaxed(&result_of_wait) == 0);
    CHECK(CALL(futex, WORD, OWN_LOCK | PRIVATE, 0, 0) == -ESRCH);
    return 0;
}

/* A thread of another process asks for the list of this one's: as root, and as somebody. */
static tid_t asked;

static int stranger_asks(void *arg)
{
    const struct syscall_args args = { .arg = { U(asked), PAGE0, PAGE0 + 8 } };
    extern syscall_handler sys_get_robust_list;

    (void)arg;
    cred_get(&cred_root);
    thread_current()->user.cred = &cred_root;
    CHECK(sys_get_robust_list(&args, NULL) == -EFAULT); /* it may, but it has no memory */
    world_become(7);
    CHECK(sys_get_robust_list(&args, NULL) == -EPERM);
    CHECK(CALL(get_robust_list, 0, PAGE0, PAGE0 + 8) == -EFAULT);
    return 0;
}

static void ask_as_stranger(void)
{
    const struct thread_spec spec = {
        .name = "stranger", .entry = stranger_asks, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    struct task *task = NULL;

    asked = current_task()->tid;
    CHECK(process_create(&process_kernel, "stranger", &process) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(task_create_from_thread(process->pid, thread->tid, thread, &task) == 0);
    CHECK(task_start(task) == 0 && finish(task) == 0);
    thread_put(thread);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    process_put(process);
}

static int lists(void)
{
    CHECK(CALL(set_robust_list, PAGE0 + 512, 23) == -EINVAL);
    CHECK(CALL(set_robust_list, NOWHERE, 24) == 0); /* looked at when the thread ends */
    CHECK(CALL(get_robust_list, 0, PAGE0, PAGE0 + 8) == 0 && get64(PAGE0) == NOWHERE && get64(PAGE0 + 8) == 24);
    CHECK(CALL(get_robust_list, U(current_task()->tid), PAGE0, NOWHERE) == -EFAULT);
    CHECK(CALL(get_robust_list, TID_MAX - 1, PAGE0, PAGE0 + 8) == -ESRCH);
    ask_as_stranger();
    return 0;
}

static void run_meanings(void)
{
    world_run(meanings);
}

static void run_timeouts(void)
{
    world_run(timeouts);
}

static void run_interrupted(void)
{
    world_run(interrupted);
}

static void run_owned(void)
{
    world_run(owned);
}

static void run_lists(void)
{
    world_run(lists);
}

const struct kernel_test booted_tests[] = {
    { "meanings", run_meanings },
    { "timeouts", run_timeouts },
    { "interrupted", run_interrupted },
    { "owned", run_owned },
    { "lists", run_lists },
    { NULL, NULL },
};

static void arguments_mean_what_the_manual_says(void **state)
{
    (void)state;
    booted_run("meanings", 8);
    booted_run("timeouts", 8);
    booted_run("owned", 8);
    booted_run("lists", 4);
}

static void a_timed_wait_made_anew_ends_when_it_would_have(void **state)
{
    (void)state;
    booted_run("interrupted", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_mean_what_the_manual_says),
        cmocka_unit_test(a_timed_wait_made_anew_ends_when_it_would_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
