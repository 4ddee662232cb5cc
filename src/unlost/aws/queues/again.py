"""When a message has to come again whose task could not be claimed.  Pure."""

from __future__ import annotations

from typing import Final

from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.task import SECOND, Micros

SHORTEST: Final[Micros] = 5 * SECOND
LONGEST: Final[Micros] = 120 * SECOND
"""Between them a task that has no room waits for its next message: about as long as it is overdue
already, since whoever makes room sends one to the next in turn.  So does what is left to workers
elsewhere, in case they go."""

GIVEN_UP: Final[Micros] = 900 * SECOND
"""How long a task is overdue whose messages are not followed by others any more, so that they do
not pile up: the sweep sends one now and then, and whoever makes room."""


def delay(why: NotClaimed, now: Micros, draw: float) -> Micros | None:
    """How long until the next message; None where none has to follow.

    `draw`, from 0 to 1, spreads out what waits for the same room.
    """
    if why.due_at is None:
        return None
    wait = max(0, why.due_at - now)
    if why.reason not in ("no_room", "named"):
        return wait
    overdue = now - (why.due_at if why.since is None else why.since)
    if overdue > GIVEN_UP:
        return None
    return wait + round(min(max(overdue, SHORTEST), LONGEST) * (0.5 + draw))
