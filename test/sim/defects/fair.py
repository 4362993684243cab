# SPDX-License-Identifier: MIT
"""Seeded defects: the fair class's sums and its unsorted list."""

from .kinds import Defect, edit

CROWDS = ("fair-moves", "fair-shares", "slice-policy", "random", "steal-storm", "many")
BROKEN = ("counts", "sanity", "memory", "one-cpu", "census", "edges", "liveness")

FAIR = (
    Defect(
        "unsorted-for-ever",
        "A task that does not fit the lane is put aside, and nobody is told to sort it in.",
        ("counts",),
        edit("core/sched/class_fair.c", """
    list_push_back(&rq->fair.unsorted, &task->queue_link);
    leave_for_later(rq);
""", """
    list_push_back(&rq->fair.unsorted, &task->queue_link);
"""),
        scenarios=("fair-crowds",)),
    Defect(
        "unsorted-forgotten",
        "A queue whose tasks are all unsorted counts as empty.",
        BROKEN,
        edit("core/sched/class_fair.c",
             "    if (list_is_empty(&rq->fair.lane) && list_is_empty(&rq->fair.unsorted) && !tree_is_inhabited",
             "    if (list_is_empty(&rq->fair.lane) && !tree_is_inhabited"),
        scenarios=CROWDS),
    Defect(
        "unsorted-not-weighed",
        "Who loosens a task takes its weight out of the sums, and so does who then takes the task.",
        BROKEN,
        edit("core/sched/class_fair.c", "    put_aside(rq, task); /* the last to be sorted in again */",
             "    set_weights(&rq->fair, rq->fair.weights - task->fair_weight);\n"
             "    put_aside(rq, task); /* the last to be sorted in again */"),
        scenarios=CROWDS),
    Defect(
        "lag-left-behind",
        "A task that leaves takes its weight along, but the mean of the others stays where it was.",
        BROKEN,
        edit("core/sched/class_fair.c", "        settle(fair, (int64_t)fair->excess + lag);\n    task->fair_lag",
             "        settle(fair, (int64_t)fair->excess);\n    task->fair_lag"),
        scenarios=CROWDS),
    # Of the ghost, whose node is in the tree while it runs. To take it out before another choice, too, or before its
    # own insertion, would change nothing that a run could show: a CPU sorts after each switch, with interrupts off.
    Defect(
        "ghost-stays",
        "The node of a task that was chosen is left in the tree until the next choice, though the task may go before.",
        ("counts", "census", "memory", "sanity"),
        edit("core/sched/class_fair.c", """
    if (fair->ghost != NULL)
        remove_ghost(fair);
    else if (!list""", """
    if (!list"""),
        scenarios=("fair-crowds",)),
    Defect(
        "ghost-counts",
        "A tree that holds nobody but the one that runs counts as inhabited.",
        ("counts",),
        edit("core/sched/class_fair.c", """
    return root != NULL &&
           (fair->ghost == NULL || root != &fair->ghost->fair_node || root->left != NULL || root->right != NULL);
""", """
    return root != NULL;
"""),
        scenarios=("fair-crowds",), seeds=1000, strategies=("pct", "postpone", "adversary", "order")),
)
