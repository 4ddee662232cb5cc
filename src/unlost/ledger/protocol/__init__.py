"""What a ledger is: the narrow waist between what is decided and where it is kept.

Every change of a task is one atomic, conditional step.  The ledgers apply decisions, they make
none; they read the time from the clock they were given (a database's own, where it has one).
Every method is safe to repeat after an unknown outcome, because the caller brings the identity:
a task id or a fencing token.  `LedgerUnavailable` may come from any of them.

Each part is a file and a protocol; `Ledger` is all of them.  Who needs no more than a part names
that.  What goes through them is in `ledger.values`, in files of the same names.
"""

from __future__ import annotations

from typing import Protocol

from unlost.ledger.protocol.attempts import Attempts, Workers
from unlost.ledger.protocol.controls import Controls
from unlost.ledger.protocol.dead_letters import DeadLetters, Reports
from unlost.ledger.protocol.effects import Effects
from unlost.ledger.protocol.errors import (
    AnotherCall,
    AnothersWorker,
    BadCursor,
    LeaseOver,
    LedgerGone,
    LedgerUnavailable,
    LedgerUnfit,
    NotALedger,
    Refused,
    Repeated,
    StepsStand,
    UnknownKey,
    UnknownRedrive,
    UnknownTask,
)
from unlost.ledger.protocol.hints import Hints
from unlost.ledger.protocol.keys import Keys
from unlost.ledger.protocol.pulling import Pulling
from unlost.ledger.protocol.redrives import Redrives
from unlost.ledger.protocol.schedules import Schedules
from unlost.ledger.protocol.steps import Steps
from unlost.ledger.protocol.tasks import (
    Awaiting,
    CountsLater,
    Prompt,
    Records,
    Tasks,
    exact_counts,
)
from unlost.ledger.protocol.upkeep import Upkeep

__all__ = [
    "AnotherCall", "AnothersWorker", "Attempts", "Awaiting", "BadCursor", "Controls", "CountsLater",
    "DeadLetters", "Effects", "Hints", "Keys", "LeaseOver", "Ledger", "LedgerGone",
    "LedgerUnavailable", "LedgerUnfit", "NotALedger", "Prompt", "Pulling", "Records", "Redrives",
    "Refused", "Repeated", "Reports", "Schedules", "Steps", "StepsStand", "Tasks", "UnknownKey",
    "UnknownRedrive", "UnknownTask", "Upkeep", "Workers", "exact_counts",
]  # fmt: skip


class Ledger(
    Tasks,
    Workers,
    Attempts,
    Steps,
    Effects,
    DeadLetters,
    Redrives,
    Controls,
    Keys,
    Schedules,
    Reports,
    Records,
    Hints,
    Upkeep,
    Protocol,
):
    """The durable record of every task and every attempt: the one source of truth."""
