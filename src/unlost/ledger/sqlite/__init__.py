"""The ledger in one SQLite file, for the processes of one machine."""

from __future__ import annotations

from unlost.ledger.sqlite.parts.attempts import Attempts
from unlost.ledger.sqlite.parts.controls import Controls
from unlost.ledger.sqlite.parts.dead_letters import DeadLetters
from unlost.ledger.sqlite.parts.keys import Keys
from unlost.ledger.sqlite.parts.redrives import Redrives
from unlost.ledger.sqlite.parts.schedules import Schedules
from unlost.ledger.sqlite.parts.steps import Steps
from unlost.ledger.sqlite.parts.tasks import Tasks
from unlost.ledger.sqlite.parts.upkeep import Upkeep


class SqliteLedger(
    Tasks, Attempts, Steps, DeadLetters, Redrives, Controls, Keys, Schedules, Upkeep
):
    """A ledger in the file at `path`, made if there is none, unless it `must_exist`.

    Any number of processes on one machine may open it.  Every step is synced before it is
    answered or seen; once the file is removed or replaced, LedgerGone is raised instead.  With
    `same`, which another process had as its `file`, no other file is opened, and none is made.
    Raises NotALedger, LedgerUnavailable.
    """
