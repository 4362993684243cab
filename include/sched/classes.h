/* SPDX-License-Identifier: MIT */
/*
 * The scheduling classes, highest first: the first one that has a task runs it. A class of one's own is a line here and
 * core/sched/class_NAME.c: docs/SCHEDULING-CLASS.md. From this list come enum class_id, the declarations of
 * class_NAME, sched_classes[], enum sched_policy, sched_policy_class[], and the queues in struct runq.
 *
 *   CLASS(ID, name, bytes)  CLASS_ID, `const struct sched_class class_name`, and so many bytes of its own for each CPU,
 *                           cleared, at runq->name_queue. The classes of the kernel have fields of struct runq instead.
 *   POLICY(ID, name)        SCHED_POLICY_ID: what a task asks for to be of that class; a word of workload files.
 */
#pragma once

#include <k/compiler.h>

#define SCHED_CLASSES(CLASS, POLICY)                        \
    CLASS(STOP, stop, 0)                                    \
    CLASS(DEADLINE, deadline, 0) POLICY(DEADLINE, deadline) \
    CLASS(BELOW, below, 0)                                  \
    CLASS(RT, rt, 0) /* FIFO and RR: sched/params.h */      \
    CLASS(FAIR, fair, 0) POLICY(FAIR, fair)                 \
    SCHED_CLASSES_EXAMPLE(CLASS, POLICY)                    \
    CLASS(IDLE, idle, 0) POLICY(IDLE, idle)

/* The example of docs/SCHEDULING-CLASS.md, only where -DVERDANT_EXAMPLE_CLASS=ON builds it. */
#define SCHED_CLASSES_EXAMPLE(CLASS, POLICY) SCHED_CLASSES_IF(KERNEL_EXAMPLE_CLASS)(CLASS, POLICY)
#define SCHED_CLASSES_EXAMPLE_0(CLASS, POLICY)
#define SCHED_CLASSES_EXAMPLE_1(CLASS, POLICY) CLASS(STRIDE, stride, 24) POLICY(STRIDE, stride)
#define SCHED_CLASSES_IF(is_built) SCHED_CLASSES_JOIN(SCHED_CLASSES_EXAMPLE_, is_built)
#define SCHED_CLASSES_JOIN(a, b) a##b

#define SCHED_LIST_NOTHING(...)
