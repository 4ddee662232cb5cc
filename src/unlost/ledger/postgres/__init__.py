"""The ledger in a PostgreSQL database, for the processes of any number of machines."""

from __future__ import annotations

from unlost.ledger.postgres.parts.attempts import Attempts
from unlost.ledger.postgres.parts.controls import Controls
from unlost.ledger.postgres.parts.dead_letters import DeadLetters
from unlost.ledger.postgres.parts.keys import Keys
from unlost.ledger.postgres.parts.redrives import Redrives
from unlost.ledger.postgres.parts.schedules import Schedules
from unlost.ledger.postgres.parts.steps import Steps
from unlost.ledger.postgres.parts.tasks import Tasks
from unlost.ledger.postgres.parts.upkeep import Upkeep


class PostgresLedger(
    Tasks, Attempts, Steps, DeadLetters, Redrives, Controls, Keys, Schedules, Upkeep
):
    """A ledger in the database at `place`, for one event loop; made by `open`.

    Any number of processes on any number of machines may use one database.  `clock` is for
    tests; without it, the time is the database's.
    """
