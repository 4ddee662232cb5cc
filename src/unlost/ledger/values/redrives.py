"""What goes through `protocol.Redrives`, beside `unlost.redrive`."""

from __future__ import annotations

import msgspec

from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Micros

RedrivePlace = tuple[Micros, str]
"""Where a redrive stands among all: its `started_at` and its id."""


class RedriveQuery(msgspec.Struct, frozen=True):
    """Some redrives, newest first: those after `after`, at most `limit`."""

    state: RedriveState | None = None
    limit: int = 50
    after: RedrivePlace | None = None


class RedriveCopy(msgspec.Struct, frozen=True):
    """A redrive with all that a ledger keeps of it, for another ledger to keep.

    `under_way` are the letters that have not ended, by task id, each with the `redrive_count` that
    this redrive gave it.
    """

    redrive: Redrive
    named: Named
    under_way: tuple[tuple[str, int], ...] = ()
