"""A ledger, of its parts."""

from __future__ import annotations

from typing import Protocol

from unlost.ledger.protocol.attempts import Attempts
from unlost.ledger.protocol.controls import Controls
from unlost.ledger.protocol.dead_letters import DeadLetters
from unlost.ledger.protocol.hints import Hints
from unlost.ledger.protocol.records import Records
from unlost.ledger.protocol.reports import Reports
from unlost.ledger.protocol.tasks import Tasks
from unlost.ledger.protocol.upkeep import Upkeep
from unlost.ledger.protocol.workers import Workers


class Ledger(
    Tasks, Workers, Attempts, DeadLetters, Controls, Reports, Records, Hints, Upkeep, Protocol
):
    """The durable record of every task and every attempt: the one source of truth."""
