/* SPDX-License-Identifier: MIT */
/*
 * POSIX timers: timer_create(2) and the pages that it names; and the interval timers of setitimer(2) that count CPU
 * time. A process has a list of them; fork does not copy it, exec empties it but for interval timers.
 *
 * Each timer has a record for its signal (proc/signal.h), so that its signal is pending once at most: what would come
 * meanwhile is its overrun, which the signal carries. A timer's states, under the process's signal lock:
 *
 *   DISARMED           ARMED              timer_settime()
 *   ARMED              PENDING            it is due: its signal is queued; periodic or not
 *   ARMED              DISARMED, ARMED    it is due, and nobody is told (SIGEV_NONE, ignored); by its period
 *   PENDING            DISARMED, ARMED    the signal is taken or dropped; by its period, past times become overruns
 *   any                DISARMED           timer_settime(0), the end of the last thread
 *
 * (by what `due_ns`, `record` and `is_pending` say.) A periodic timer that runs by a clock is not armed while its
 * signal is pending: so its program's pace bounds the interrupts that it costs, whatever its period.
 *
 * CPU time: an interrupt comes when the threads could have used what is left, had all of them run since. It tells those
 * it concerns (TASK_NOTICE_WORK), and the first that is on its way to its user looks at what was used: a process that
 * sleeps costs nothing. ITIMER_VIRTUAL counts time in user mode only (sched/cputime.h). RLIMIT_CPU (cpu_limit.c) goes
 * by the same looks; a fork hands it on, and what the child has used begins with 0.
 *
 * Context of all: task, of the running thread's process, no lock, unless it says otherwise. Errors: -EINVAL: no such
 * timer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>
#include <time/timer.h>

/* Part of struct process_signals; all zero before timers_init(). */
struct process_timers {
    struct list_node list;
    int32_t last_id;
    bool is_counting;         /* something counts CPU time: a thread that begins is to look when it may be due */
    _Atomic(bool) is_cpu_due; /* who goes to its user looks at what was used: timers_look() */
    _Atomic(bool) is_limited; /* RLIMIT_CPU or RTTIME was set once, and there is this: */
    struct timer limit_timer;
};

/* struct sigevent, as far as the kernel knows it, and its SIGEV_ constants. */
#define TIMER_EVENT_SIGNAL 0
#define TIMER_EVENT_NONE 1
#define TIMER_EVENT_THREAD 2 /* a C library's affair: here the same as TIMER_EVENT_SIGNAL */
#define TIMER_EVENT_THREAD_ID 4
struct timer_event {
    uint64_t value;
    int32_t number;
    int32_t notify;
    tid_t tid; /* THREAD_ID: of the running thread's process */
};

/* `event` NULL: SIGALRM with the id as its value. -EINVAL: no such clock, or event; -EOPNOTSUPP: no timers by that
 * clock; -EAGAIN: RLIMIT_SIGPENDING; -ENOMEM. */
int process_timer_create(int32_t clock, const struct timer_event *event, int32_t *out_id) MUST_USE;
int process_timer_set(int32_t id, bool is_absolute, const struct timer_setting *setting,
                      struct timer_setting *out_old) MUST_USE;
int process_timer_get(int32_t id, struct timer_setting *out) MUST_USE;
/* Of the signal that was taken last; INT32_MAX: so many or more. */
int64_t process_timer_overrun(int32_t id) MUST_USE;
int process_timer_delete(int32_t id) MUST_USE;

/* Two of setitimer(2): ITIMER_VIRTUAL is SIGVTALRM by the process's user time, ITIMER_PROF SIGPROF by all its CPU
 * time. -ENOMEM. */
#define PROCESS_ITIMER_VIRTUAL 1
#define PROCESS_ITIMER_PROF 2
int process_itimer_set(int which, const struct timer_setting *setting, struct timer_setting *out_old) MUST_USE;
void process_itimer_get(int which, struct timer_setting *out);

/* The time of day was set: timers by it look again. Context: task, no lock. */
void timers_wall_was_set(void);

/* Timers that exist: for checks of counts. */
uint64_t timers_count(void);
