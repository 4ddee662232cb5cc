"""What goes out of `protocol.Hints`."""

from __future__ import annotations

import msgspec

from unlost.task import Micros, State


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A change of state that has happened: a hint for those who watch, never a record."""

    task_id: str
    type: str
    state: State
    attempt: int
    at: Micros
