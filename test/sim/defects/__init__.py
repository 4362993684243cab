# SPDX-License-Identifier: MIT
"""
Seeded defects: plausible mistakes, each a replacement of a few lines of the core, that the simulator must find. They
are applied to a copy of the sources by `./verdant sim --defects`; the core itself knows nothing of them. A text that no
longer occurs exactly once in its file is an error: whoever changes such a line moves the defect along.
"""

from .kinds import BUILDS, PROMISES, Defect, Edit
from .wake import WAKE
from .queues import QUEUES
from .machine import MACHINE
from .lifetime import LIFETIME
from .order import ORDER
from .process import PROCESS
from .memory import MEMORY
from .objects import OBJECTS
from .pages import PAGES
from .spaces import SPACES
from .signals import SIGNALS
from .sync import SYNC
from .tables import TABLES
from .futex import FUTEX
from .balance import BALANCE
from .deadline import DEADLINE
from .fair import FAIR
from .files import FILES
from .hotplug import HOTPLUG
from .programs import PROGRAMS
from .stride import STRIDE

DEFECTS = (WAKE + QUEUES + MACHINE + LIFETIME + SPACES + MEMORY + ORDER + PAGES + OBJECTS + TABLES + BALANCE
           + SYNC + FUTEX + SIGNALS + DEADLINE + FILES + STRIDE + PROCESS + HOTPLUG + FAIR
           + PROGRAMS)
