# SPDX-License-Identifier: MIT
"""A machine that stands still at times, as the guest of a loaded host does: its QEMU is stopped and continued, at
moments and for times that are drawn from a seed. All its virtual CPUs and devices stop together; its clock goes on."""

import os
import random
import signal
import threading

VARIABLE = "VERDANT_STALL"          # the seed: CTest hands the environment down to each test
RUN_SECONDS = (0.01, 0.3)           # it runs for so long between two stops
STOP_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5)


def plan_for(name):
    """The moments for a boot of that name, or None: no stalls were asked for. Each name has its own."""
    seed = os.environ.get(VARIABLE)
    return moments(f"{seed} {name}") if seed else None


def moments(seed):
    """Without end: seconds to run, seconds to stand still."""
    generator = random.Random(seed)
    while True:
        yield generator.uniform(*RUN_SECONDS), generator.choice(STOP_SECONDS)


class Staller:
    """Stops and continues one process, until close(); never leaves it stopped."""

    def __init__(self, child, plan):
        self.child, self.plan = child, plan
        self.count, self.seconds = 0, 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True) if plan else None
        if self.thread:
            self.thread.start()

    def follow(self):
        for run, stand in self.plan:
            if self.ended.wait(run):
                return
            # Popen looks first whether the process has ended: no other one gets the signal.
            self.child.send_signal(signal.SIGSTOP)
            try:
                self.ended.wait(stand)
            finally:
                self.child.send_signal(signal.SIGCONT)
            self.count += 1
            self.seconds += stand

    def close(self):
        """After this the process runs on, or has ended."""
        self.ended.set()
        if self.thread:
            self.thread.join()

    def note(self):
        """For a log: how often, and how long in all. Nothing without a plan."""
        return f"stopped {self.count} times, for {self.seconds:.1f} s in all" if self.plan else ""
