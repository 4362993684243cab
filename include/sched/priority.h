/* SPDX-License-Identifier: MIT */
/*
 * The one priority scale, and how every other scale maps onto it (docs/PRIORITIES.md has the table). A priority is a
 * number 0..99, lower is more urgent:
 *
 *   0..20    real-time: level = priority * 98 / 20, so 0, 10, 20 are Linux's FIFO/RR 99, 50, 1
 *   21..98   fair: nice = (priority - 60) / 2, so 60 is nice 0; 21 is nice -19, 98 is nice 19
 *   99       idle class: runs only when nothing else wants the CPU
 *
 * Real-time tasks have finer levels than this scale names: 100 levels, 0 most urgent; Linux's 1..99 is level 99 - n.
 */
#pragma once

#include <stdbool.h>

#define PRIORITY_REALTIME_HIGH 0
#define PRIORITY_REALTIME_NORMAL 10
#define PRIORITY_REALTIME_LOW 20
#define PRIORITY_SYSTEM_HIGH 30
#define PRIORITY_SYSTEM_NORMAL 40
#define PRIORITY_USER_HIGH 50
#define PRIORITY_USER_NORMAL 60
#define PRIORITY_USER_LOW 70
#define PRIORITY_IDLE 99
#define PRIORITY_DEFAULT PRIORITY_USER_NORMAL

#define RT_LEVELS 100

static inline bool priority_is_valid(int priority)
{
    return priority >= 0 && priority <= PRIORITY_IDLE;
}

static inline unsigned priority_rt_level(int priority)
{
    return (unsigned)priority * 98 / PRIORITY_REALTIME_LOW;
}

static inline int priority_nice(int priority)
{
    return (priority - PRIORITY_USER_NORMAL) / 2;
}

/* The way back: the number that a level or a nice value is nearest to. */
static inline int priority_of_rt_level(unsigned level)
{
    int priority = (int)(level * PRIORITY_REALTIME_LOW + 97) / 98;

    return priority < PRIORITY_REALTIME_LOW ? priority : PRIORITY_REALTIME_LOW;
}

static inline int priority_of_nice(int nice)
{
    int priority = PRIORITY_USER_NORMAL + 2 * nice;

    return priority > PRIORITY_REALTIME_LOW ? priority : PRIORITY_REALTIME_LOW + 1;
}

/* A thread's priority number (any int; below 0 counts as 0) onto the nine named priorities. */
static inline int priority_from_thread_number(int number)
{
    static const signed char named[] = {
        PRIORITY_REALTIME_HIGH, PRIORITY_REALTIME_NORMAL, PRIORITY_REALTIME_LOW, PRIORITY_SYSTEM_HIGH,
        PRIORITY_SYSTEM_NORMAL, PRIORITY_USER_HIGH,       PRIORITY_USER_NORMAL,  PRIORITY_USER_LOW,
    };

    if (number <= 10)
        return named[0];
    return number > 80 ? PRIORITY_IDLE : named[(number - 1) / 10];
}
