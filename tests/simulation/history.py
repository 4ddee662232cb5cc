"""What happened, in order: every call as it reached the ledger, what its caller heard of it, and
every effect in the world outside.  All that the checker reads.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from tests.simulation.world import World
from unlost.task import Micros

UNKNOWN = "unknown"
"""What a caller hears that cannot know whether its call was applied."""


class Event(NamedTuple):
    """Something that happened, at the true time.

    `what` is one of
      applied   (call, method, arguments, answer): the ledger took a call's step
      heard     (call, method, answer or UNKNOWN): its caller got an answer
      counts    (accepted, settled, states): the public counters after a step
      started   (task id, number), told (…), ended (…, how, seconds asked for): a handler
      effect    (task id, number, name, key): a step's function runs
      got       (task id, number, name, value): what the step came to
      declares  (task id, number, turn, name): its handler says that it has happened
      wrote, unwritten  (line): a line of the log
      born, crashed, exited, paused, told to end, drains, stuck, leaving
      put down  (by its supervisor, which is about to end)
      faults over
      claims    (number), given (number, attempts): a worker that claims by the API asks and gets
      beat      (since when, task id, number and state if it is gone of each that it runs)
      settled   (task id, number, outcome, status, state): what such a worker is told of it
      explained (task id, reason, what is not true of it): asked why it waits
    """

    at: Micros
    who: str
    what: str
    data: tuple[Any, ...]


class History:
    """The events so far."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.events: list[Event] = []

    def add(self, who: str, what: str, *data: Any) -> None:
        """Record what happens now."""
        self.events.append(Event(self._world.clock(), who, what, data))

    def digest(self) -> str:
        """The same for histories that are the same to the last detail."""
        return hashlib.blake2b(repr(self.events).encode(), digest_size=16).hexdigest()
