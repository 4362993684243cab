# SPDX-License-Identifier: MIT
"""What a seeded defect is."""

import dataclasses

# As sim_promise_name() calls them.
PROMISES = ("census", "one-cpu", "edges", "counts", "wake-once", "conservation", "locks", "grace", "memory", "tlb",
            "conserved", "affinity", "order", "deadline", "share", "inherit", "time", "race", "liveness", "story",
            "sanity")
BUILDS = ("plain", "thread", "address")


@dataclasses.dataclass(frozen=True)
class Edit:
    file: str  # below the root
    old: str   # occurs exactly once
    new: str


@dataclasses.dataclass(frozen=True)
class Defect:
    name: str
    what: str            # the mistake, in one sentence
    breaks: tuple        # promises one of which must be reported; the first is what the mistake is about
    edits: tuple
    scenarios: tuple = ()  # to look with; none: all
    build: str = "plain"
    hazard: int = 0      # row of the list of hazards of small SMP kernels that it belongs to; 0: none
    cpus: int = 0        # 0: by scenario and seed
    seeds: int = 200     # not found with so many seeds of each scenario and strategy: the test has failed
    strategies: tuple = ("uniform", "pct", "adversary", "round-robin")


def edit(file, old, new):
    return (Edit(file, old.strip("\n"), new.strip("\n")),)
