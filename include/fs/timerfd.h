/* SPDX-License-Identifier: MIT */
/*
 * Timers as files: timerfd_create(2). A read takes how often the timer was due since it was read or set; it waits while
 * that is 0, or -EAGAIN with O_NONBLOCK; -EINVAL: no room for 8 bytes.
 *
 *   DISARMED   ARMED             timerfd_set()
 *   ARMED      DUE               its time has come: readable. The machine's timer stays off: what comes meanwhile is
 *                                counted by the next read, so the reader's pace bounds the interrupts that it costs
 *   DUE        ARMED, DISARMED   it is read: with a period, and without
 *   any        DISARMED          timerfd_set(0)
 *
 * Context of all: task, may sleep.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>
#include <time/timer.h>

struct file;

/* By the time of day, or by monotonic time. Flags: O_NONBLOCK (O_CLOEXEC is the table's). A reference. -ENOMEM. */
int timerfd_create(bool is_wall, uint32_t flags, struct file **out) MUST_USE;

#define TIMERFD_ABSOLUTE 1u
#define TIMERFD_CANCEL_ON_SET 2u /* of an absolute one by the time of day: a read is -ECANCELED once that was set */

/* timerfd_settime(2), timerfd_gettime(2). -EINVAL: no such file. */
int timerfd_set(struct file *file, uint32_t flags, const struct timer_setting *setting,
                struct timer_setting *out_old) MUST_USE;
int timerfd_get(struct file *file, struct timer_setting *out) MUST_USE;

/* The time of day was set. */
void timerfd_wall_was_set(void);
