/* SPDX-License-Identifier: MIT */
/* Signals: two threads of a process wait for them, with and without a deadline, while others send. */
#include "scenario.h"

#include <proc/signo.h>

#define VALUES SIGNAL_REALTIME
#define GO_HOME (SIGNAL_REALTIME + 1)
#define SENDERS 2
#define EACH 6
#define RECEIVERS 2

static struct {
    struct process *process;
    struct thread *thread[RECEIVERS];
    struct sim_line line;
    _Atomic(unsigned) got[SENDERS * EACH]; /* by value */
    _Atomic(unsigned) count;
} story;

/* Until it is sent home, which is so after all values. */
static int receive(void *unused)
{
    const uint64_t set = signal_bit(VALUES) | signal_bit(GO_HOME);
    struct signal_info info;

    (void)unused;
    signal_mask_set(set);
    sim_line_wait(&story.line);
    for (;;) {
        uint64_t deadline = sim_chance(3) ? clock_ns() + sim_random_below(400) : TIME_NEVER;
        int number = signal_wait(set, deadline, &info);

        if (number == GO_HOME)
            return 1;
        if (number == -EAGAIN && deadline != TIME_NEVER)
            continue;
        if (!CHECK(number == VALUES && info.sent.value < SENDERS * EACH))
            return 0;
        (void)fetch_add_relaxed(&story.got[info.sent.value], 1);
        (void)fetch_add_relaxed(&story.count, 1);
        sim_delay();
    }
}

/* To the process, or to one of the threads. */
static int send(void *number)
{
    unsigned first = (unsigned)(uintptr_t)number * EACH;

    sim_line_wait(&story.line);
    for (unsigned i = 0; i < EACH; i++) {
        const struct signal_info info = { .number = VALUES, .code = SI_QUEUE, .sent = { .value = first + i } };
        struct thread *thread = story.thread[sim_random_below(RECEIVERS)];

        CHECK((sim_chance(3) ? signal_send_thread(thread, &info) : signal_send_process(story.process, &info)) == 0);
        sim_delay();
    }
    return 1;
}

static void send_home(void)
{
    for (unsigned i = 0; i < RECEIVERS; i++) {
        const struct signal_info info = { .number = GO_HOME, .code = SI_QUEUE };

        CHECK(signal_send_thread(story.thread[i], &info) == 0);
    }
}

static void signal_take(void)
{
    struct task *task[SENDERS];
    int status;

    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_line_init(&story.line);
        store_relaxed(&story.count, 0);
        if (!CHECK(process_create(&process_kernel, "receiver", &story.process) == 0))
            return;
        for (unsigned i = 0; i < RECEIVERS; i++) {
            story.thread[i] = sim_thread(story.process, receive, NULL, NULL);
            if (story.thread[i] == NULL)
                return;
        }
        for (unsigned i = 0; i < SENDERS; i++) {
            task[i] = sim_spawn_nth("sender", send, (void *)(uintptr_t)i, i);
            if (task[i] == NULL)
                return;
        }
        sim_line_open(&story.line, RECEIVERS + SENDERS);
        CHECK(sim_finish_all(task, SENDERS) == SENDERS);
        while (load_relaxed(&story.count) < SENDERS * EACH)
            sim_pause();
        send_home();
        CHECK(process_wait(&process_kernel, story.process->pid, 0, &status) == story.process->pid);
        for (unsigned i = 0; i < SENDERS * EACH; i++)
            CHECK(xchg_relaxed(&story.got[i], 0) == 1);
        CHECK(signal_record_count() == 0);
        for (unsigned i = 0; i < RECEIVERS; i++)
            thread_put(story.thread[i]);
        process_put(story.process);
    }
}

const struct sim_scenario sim_scenarios_signal[] = {
    { .name = "signal-take", .aim = "a signal that is queued is taken twice or never, or wakes nobody who waits for it",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = signal_take },
    { .name = NULL },
};
