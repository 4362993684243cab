# SPDX-License-Identifier: MIT
"""Seeded defects: mistakes in a class of one's own, in the example of docs/SCHEDULING-CLASS.md."""

from .kinds import Defect, edit

STRIDE = (
    Defect(
        "class-not-marked-ready",
        "A class does not say that it has queued tasks.",
        ("counts",),
        edit("core/sched/class_stride.c", "    rq->ready_classes |= 1u << CLASS_STRIDE;\n", ""),
        scenarios=("stride-shares",)),
    Defect(
        "class-slice-not-renewed",
        "A task whose slice has ended gets no new one.",
        ("liveness", "story"),
        edit("core/sched/class_stride.c", "kind == ENQUEUE_YIELDED || task->slice_left_ticks == 0)",
             "kind == ENQUEUE_YIELDED)"),
        scenarios=("stride-shares",)),
    Defect(
        "class-charge-unweighted",
        "Tasks are charged for time and not for their part of it.",
        ("story",),
        edit("core/sched/class_stride.c", "* stride_of(task);", "* (stride_of(task) | STRIDE_ONE);"),
        scenarios=("stride-shares",)),
    Defect(
        "class-no-block",
        "A class forgets that a running task that blocks leaves, too.",
        ("story", "sanity", "liveness"),
        edit("core/sched/class_stride.c", "    .block = withdraw,\n", ""),
        scenarios=("stride-shares", "stride-change")),
    Defect(
        "class-joined-with-old-numbers",
        "A task comes into a class with what it had when it was last of it.",
        ("sanity",),
        edit("core/sched/class_stride.c", "    *pass_of(task) = 0;\n", ""),
        scenarios=("stride-change",)),
)
