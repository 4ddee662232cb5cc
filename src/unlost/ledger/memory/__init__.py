"""The ledger in memory: the shortest one that keeps every promise, and so their specification.

One suite tests all ledgers, and property tests step each real one beside it.  Steps are atomic.

`kept` is one task (and what else is kept), `store` all of it and how a task changes; each other
file keeps the promises of the part of `ledger.protocol` that has its name.
"""

from __future__ import annotations

from unlost.ledger.memory.controls import Controls
from unlost.ledger.memory.dead_letters import Reports
from unlost.ledger.memory.effects import Effects
from unlost.ledger.memory.hints import Hints
from unlost.ledger.memory.keys import Keys
from unlost.ledger.memory.pulling import Pulling
from unlost.ledger.memory.redrives import Redrives
from unlost.ledger.memory.schedules import Schedules
from unlost.ledger.memory.steps import Steps
from unlost.ledger.memory.tasks import Records, Tasks
from unlost.ledger.memory.upkeep import Measured, Upkeep


class MemoryLedger(
    Tasks,
    Pulling,
    Steps,
    Effects,
    Redrives,
    Controls,
    Keys,
    Schedules,
    Reports,
    Records,
    Hints,
    Upkeep,
    Measured,
):
    """A `Ledger` that lasts as long as the object.  For one event loop."""
