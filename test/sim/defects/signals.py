# SPDX-License-Identifier: MIT
"""Seeded defects: signals."""

from .kinds import Defect, edit

SIGNALS = (
    Defect(
        "signal-awaited-too-late",
        "Who waits for signals looks for them first, and says only without the lock what it waits for.",
        ("liveness",),
        edit("core/proc/signal.c", """
    self->awaited = number == 0 ? set : 0;
    *out_is_due = signals_are_due(signals, self);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
""", """
    *out_is_due = signals_are_due(signals, self);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
    self->awaited = number == 0 ? set : 0;
"""),
        scenarios=("signal-take",)),
    Defect(
        "signal-notice-unlocked",
        "A thread that found no signal takes its notice back without the lock: that of one that comes in between, too.",
        ("liveness",),
        edit("core/proc/signal.c", """
    self->awaited = number == 0 ? set : 0;
    *out_is_due = signals_are_due(signals, self);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
""", """
    self->awaited = number == 0 ? set : 0;
    *out_is_due = signals_are_due(signals, self);
    signals_unlock(signals, state);
    if (!*out_is_due)
        task_notice_clear(TASK_NOTICE_SIGNAL);
"""),
        scenarios=("signal-take",)),
    Defect(
        "signal-wait-sees-others-take",
        "A wait for signals ends when it was told of one, though another thread has taken that.",
        ("story", "liveness"),
        edit("core/proc/signal.c", "        if (result == -ETIMEDOUT || is_due || task_is_killed())",
             "        if (result != 0 || is_due || task_is_killed())"),
        scenarios=("signal-take",)),
    Defect(
        "signal-queue-cut",
        "A queued signal that is taken takes those behind it along.",
        ("liveness",),
        edit("core/proc/signal_queue.c", """
    forget_if_empty(pending, number);
    return first;
""", """
    pending->set &= ~signal_bit(number);
    return first;
"""),
        scenarios=("signal-take",)),
    Defect(
        "signal-newest-first",
        "Of the signals that are queued under a number the newest is read, and the oldest goes.",
        ("story", "liveness"),
        edit("core/proc/signal_queue.c", """
        *out = first->info;
""", """
        *out = (*last)->info;
"""),
        scenarios=("signal-take",)),
)
