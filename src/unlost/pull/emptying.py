"""Which worker is given nothing until it holds nothing, for a task that has to run alone.

Pure.  Such a task goes only to a worker that holds nothing, and one that is busy always holds
something.  Whoever asks gets the same answer, since it depends on what the ledger says alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from unlost.task import SECOND, Micros

PATIENCE: Final = 5 * SECOND
"""How long such a task is due before anybody is held back for it."""

TURN: Final = 10 * SECOND
"""How long the first worker is held back."""


def held_back(overdue: Micros, workers: Sequence[str]) -> tuple[str | None, Micros]:
    """Whose turn it is of the workers (sorted) where a task has been due for so long; and how long
    this is so.

    One is held back after the other, and then nobody for as long: what runs may run for hours.  In
    each round that lasts twice as long, so that in one of them the turn is longer than what runs.
    """
    since, turn, places = overdue - PATIENCE, TURN, len(workers) + 1
    if since < 0 or not workers:
        return None, max(-since, 0)
    while since >= places * turn:
        since -= places * turn
        turn *= 2
    place, past = divmod(since, turn)
    return (workers[place] if place < len(workers) else None), turn - past
