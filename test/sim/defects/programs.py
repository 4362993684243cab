# SPDX-License-Identifier: MIT
"""Seeded defects: what programs own and share. Sockets, vector registers, memory that runs out, their time."""

from .kinds import Defect, edit

SOCKETS = (
    Defect(
        "socket-closes-for-readers",
        "A direction of a pair of sockets that closes wakes those who read there, and not those who wait for room.",
        ("liveness",),
        edit("core/fs/pipe.c", """
    poll_wake(&pipe->can_read);
    poll_wake(&pipe->can_write);
}

bool pipe_ring_has_room""", """
    poll_wake(&pipe->can_read);
}

bool pipe_ring_has_room"""),
        scenarios=("socket-close",)),
    Defect(
        "socket-wakes-then-closes",
        "A direction of a pair of sockets is closed after those who wait there were woken: they look and sleep again.",
        ("liveness",),
        edit("core/fs/pipe.c", """
    mutex_lock(&pipe->mutex);
    store_relaxed(&pipe->readers, 0);
    store_relaxed(&pipe->writers, 0);
    pipe_ring_note_readers(pipe);
    mutex_unlock(&pipe->mutex);
    poll_wake(&pipe->can_read);
    poll_wake(&pipe->can_write);
""", """
    poll_wake(&pipe->can_read);
    poll_wake(&pipe->can_write);
    mutex_lock(&pipe->mutex);
    store_relaxed(&pipe->readers, 0);
    store_relaxed(&pipe->writers, 0);
    pipe_ring_note_readers(pipe);
    mutex_unlock(&pipe->mutex);
"""),
        scenarios=("socket-close",)),
    Defect(
        "socket-pair-ends-once",
        "The first end of a pair of sockets that is closed takes the pair along.",
        ("memory", "sanity", "locks", "conserved"),
        edit("core/fs/socket.c", "    if (fetch_sub_acq_rel(&pair->ends, 1) > 1)",
             "    if (fetch_sub_acq_rel(&pair->ends, 1) < 2)"),
        scenarios=("socket-close",)),
)

VECTORS = (
    Defect(
        "vector-area-uncleared",
        "A vector area is given with what its last owner left in it.",
        ("story",),
        edit("core/proc/vector.c",
             "    if (vector != NULL)\n        memset(vector, 0, HAL_VECTOR_BYTES);\n    return vector;",
             "    return vector;"),
        scenarios=("vector-owners",)),
    Defect(
        "vector-area-forked",
        "A fork's child has its maker's vector area.",
        ("memory", "story", "sanity", "conserved"),
        edit("core/proc/clone.c", "            HAL_FPU_VECTOR(cloning->task->fpu_area) = NULL;",
             "            (void)area;"),
        scenarios=("vector-owners",)),
    Defect(
        "vector-given-unsaved",
        "A vector area is given while the unit holds registers that nobody has saved.",
        ("story", "sanity"),
        edit("core/proc/vector.c", "    hal_fpu_switch(area, area);\n    void *old", "    void *old"),
        scenarios=("vector-owners",)),
    Defect(
        "vector-area-stays",
        "A task that ends leaves its vector area behind.",
        ("conserved",),
        edit("core/proc/object.c", "        vector_free(HAL_FPU_VECTOR(area));", "        (void)HAL_FPU_VECTOR(area);"),
        scenarios=("vector-owners",)),
)

OOM = (
    Defect(
        "oom-victim-for-ever",
        "A victim whose memory is back still counts as one: who needs memory next waits for it.",
        ("liveness",),
        edit("core/proc/oom.c", "        oom.victims--;\n", ""),
        scenarios=("oom-one-victim",)),
    Defect(
        "oom-second-victim",
        "Who finds no memory chooses a victim, though the memory of one is on its way.",
        ("story",),
        edit("core/proc/oom.c", "    bool may_choose = oom.victims == 0 && returned == *seen &&",
             "    bool may_choose = returned == *seen &&"),
        scenarios=("oom-one-victim",)),
    Defect(
        "oom-by-old-news",
        "Who found no memory before a victim's came back chooses another one after that, without another try.",
        ("story",),
        edit("core/proc/oom.c", "    bool may_choose = oom.victims == 0 && returned == *seen &&",
             "    bool may_choose = oom.victims == 0 &&"),
        scenarios=("oom-one-victim",), strategies=("uneven",), seeds=1500),
    Defect(
        "oom-told-before",
        "A victim's memory is said to be back before it is.",
        ("story",),
        edit("core/proc/thread.c", "        space_put(space);\n        oom_memory_returned(process);",
             "        oom_memory_returned(process);\n        space_put(space);"),
        scenarios=("oom-one-victim",)),
    Defect(
        "oom-nobody-told",
        "Nobody who waits for memory is told that it is back.",
        ("liveness",),
        edit("core/proc/oom.c", "    if (was_victim)\n        (void)waitq_wake_all(&oom.wait);\n", ""),
        scenarios=("oom-one-victim",)),
)

CPUTIME = (
    Defect(
        "sampler-stays-off",
        "A sample that finds an idle CPU is the last one there.",
        ("story",),
        edit("core/sched/cputime.c", "    sampler->is_on = false;\n    if (is_idle_task(rq, task))\n        return;",
             "    if (is_idle_task(rq, task))\n        return;\n    sampler->is_on = false;"),
        scenarios=("cputime-told",)),
    Defect(
        "sampler-not-begun",
        "A task's first way to its user does not turn the sampler on.",
        ("story",),
        edit("core/sched/cputime.c",
             "    if (UNLIKELY(!this_runq()->sampler.is_on))\n        cputime_start(this_runq());\n", ""),
        scenarios=("cputime-told",)),
    Defect(
        "sample-of-the-kernel-lost",
        "A sample that interrupts the kernel counts for the user.",
        ("story",),
        edit("core/entry/trap.c", "        cputime_sample(cpu, false);", "        cputime_sample(cpu, true);"),
        scenarios=("cputime-told",)),
)

PROGRAMS = SOCKETS + VECTORS + OOM + CPUTIME
