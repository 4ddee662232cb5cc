"""The memory ledger, of its parts."""

from __future__ import annotations

from unlost.ledger.memory.attempts import Attempts
from unlost.ledger.memory.controls import Controls
from unlost.ledger.memory.dead_letters import DeadLetters
from unlost.ledger.memory.hints import Hints
from unlost.ledger.memory.measures import Measured
from unlost.ledger.memory.records import Records
from unlost.ledger.memory.reports import Reports
from unlost.ledger.memory.tasks import Tasks
from unlost.ledger.memory.upkeep import Upkeep
from unlost.ledger.memory.workers import Workers


class MemoryLedger(
    Tasks, Workers, Attempts, DeadLetters, Controls, Reports, Records, Hints, Upkeep, Measured
):
    """A `Ledger` that lasts as long as the object.  For one event loop."""
