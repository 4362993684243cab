/* SPDX-License-Identifier: MIT */
/* What the tests inside the kernel share: checks that are counted, counts that must come back, and small tasks. */
#pragma once

#include <k/log.h>
#include <mm/phys.h>
#include <proc/task.h>
#include <sched/sched.h>

/* A failed check is logged and counted; the test goes on. Evaluates to the condition. */
#define CHECK(condition) check_that((condition), #condition, __FILE_NAME__, __LINE__)
bool check_that(bool holds, const char *text, const char *file, int line);
unsigned check_failures(void);

/* Everything that a test must leave as it found it. */
struct check_counts {
    uint64_t free_pages;
    uint64_t tasks;
    unsigned ids;
    unsigned stacks;
    unsigned processes;
    uint64_t user_pages; /* anonymous, and of objects */
};
void check_counts_get(struct check_counts *out); /* reclaims what can be reclaimed first */
/* Number of counts that differ, each logged. */
unsigned check_counts_compare(const struct check_counts *before, const struct check_counts *after);

/* Tasks that nobody joined may still be on their way: wait until so many exist, the dead ones reclaimed. */
uint64_t count_tasks(void);
void wait_for_tasks(uint64_t count);

/* The scheduler's sum: started == died + queued + running + blocked. */
bool check_census(void);

/* A task with the usual stack; NULL affinity: anywhere. Failing to create one fails the test and returns NULL. */
struct task *spawn(const char *name, int (*entry)(void *), void *arg, int priority, const struct cpumask *affinity);
struct task *spawn_on(const char *name, int (*entry)(void *), void *arg, int priority, cpu_id_t cpu);

/* Join, drop the reference, return the code. */
int finish(struct task *task);

/* Of this moment. */
bool is_blocked(struct task *task);
int effective_priority(struct task *task); /* what it inherits counts */

/* The n-th online CPU, wrapping around. */
cpu_id_t online_cpu(unsigned n);
unsigned online_count(void);

/* Small seeded generator (xorshift64*), one state per user. */
uint64_t random_next(uint64_t *state);

/* A set with at least one online CPU. */
void random_online_mask(uint64_t *state, struct cpumask *out);

/* Wait until `condition`, yielding to others, and look no more once it has held; fails the check after a long time and
 * many looks (a hang detector, not a measure: the machine may stand still, and then nothing happens between two). */
#define WAIT_FOR(condition)                                                            \
    do {                                                                               \
        uint64_t give_up_ = clock_ns() + 60 * NS_PER_SEC;                              \
        bool holds_ = (condition);                                                     \
        for (unsigned i_ = 0; !holds_ && (i_ < 1000 || clock_ns() < give_up_); i_++) { \
            (void)task_sleep_for(50 * NS_PER_US);                                      \
            holds_ = (condition);                                                      \
        }                                                                              \
        check_that(holds_, #condition, __FILE_NAME__, __LINE__);                       \
    } while (0)

typedef void (*test_fn)(void);
struct kernel_test {
    const char *name; /* a sentence */
    test_fn run;
};
extern const struct kernel_test tests_create[], tests_exit[], tests_sched[], tests_crowd[], tests_policy[],
    tests_deadline[], tests_wait[], tests_sync[], tests_process[], tests_user[], tests_space[], tests_objects[],
    tests_torture[], tests_latency[], tests_nodes[], tests_hotplug[];

int showcase_main(const char *argument);
int selftest_main(const char *argument);
int bench_main(const char *argument);
int bench_mm_main(const char *argument);
int bench_time_main(const char *argument);
int soak_main(const char *argument);
int hotplug_main(const char *argument);
int crash_main(const char *argument);
int trace_main(const char *argument);
int schedlab_main(const char *argument); /* test/lab */

/* bench_user.c */
void bench_user(void);

/* torture_ARCH.S: one floating-point or vector instruction. Returns if the running task owns such registers. */
void crash_use_fpu(void);
