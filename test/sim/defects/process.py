# SPDX-License-Identifier: MIT
"""Seeded defects: programs that become others, and their ends."""

from .kinds import Defect, edit

PROCESS = (
    Defect(
        "late-thread-not-killed",
        "A thread that is scheduled after the others were killed is not told to end: exec waits for it for ever.",
        ("liveness",),
        edit("core/proc/thread.c", """
    if (process->is_exiting || process->executing != NULL) /* who ends the threads has been here, and saw no task */
        store_relaxed(&object->task.notices, TASK_NOTICE_KILL);
""", "\n"),
        scenarios=("exec-threads", "exec-killed")),
    Defect(
        "second-exec-goes-on",
        "A thread that executes does not look whether another one does.",
        ("liveness", "sanity", "conserved", "story", "memory"),
        edit("core/proc/exec.c", "    if (process->is_exiting || process->executing != NULL) {",
             "    if (process->is_exiting) {"),
        scenarios=("exec-threads", "exec-killed")),
)
