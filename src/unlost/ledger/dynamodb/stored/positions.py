"""Positions: the order of all tasks by their submission, and by what it is made.  Pure but for
`Positions`, which remembers the last one."""

from __future__ import annotations

import hashlib

from unlost.task import Micros

TURN_BITS = 24
NAME_BITS = 40
LOW_BITS = TURN_BITS + NAME_BITS


class Positions:
    """Submit times and positions, in the order of submission within this process.

    A position is the time in microseconds, then 24 bits that count the tasks which this process
    submitted in that microsecond, then 40 bits of the task id's hash, which keep apart what
    several processes submitted then.  The time never goes back, though the clock may.
    """

    def __init__(self) -> None:
        self._at: Micros = 0
        self._turn = 0

    def next(self, task_id: str, now: Micros) -> tuple[Micros, int]:
        """The submit time and the position of a task that is submitted now."""
        if now > self._at:
            self._at, self._turn = now, 0
        turn, self._turn = self._turn, self._turn + 1
        return self._at, position(task_id, self._at, turn)


def position(task_id: str, submitted_at: Micros, turn: int) -> int:
    """Where a task stands that was submitted then, after `turn` others in that microsecond."""
    name = int.from_bytes(hashlib.sha256(task_id.encode()).digest()[-NAME_BITS // 8 :])
    return max(submitted_at, 0) << LOW_BITS | turn << NAME_BITS | name


def first_position(at: Micros) -> int:
    """The first that a task submitted then can have."""
    return max(at, 0) << LOW_BITS
