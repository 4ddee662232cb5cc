"""One write transaction: what is done in it, counted in it, and told after it."""

from __future__ import annotations

from collections.abc import Callable

import apsw

from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken, named
from unlost.task import TERMINAL, Micros, State

HINT_WITHIN: Micros = 1_000_000
"""Workers look by themselves after this long, so only what is due sooner is worth a hint."""


class Transaction:
    """The steps of several callers in one commit.

    `now` is the ledger's time for all of them.  Counters are written once, at the end.
    `watched` says whether anybody wants to hear of transitions.  `take_back` are steps that undo,
    in another transaction, what must not stand if nobody can be told that it was done.
    """

    def __init__(self, db: apsw.Connection, now: Micros, *, watched: bool) -> None:
        self.db = db
        self.now = now
        self.watched = watched
        self.transitions: list[Transition] = []
        self.wake = False
        self.begun = False  # whether a redrive has
        self._due_types: set[str] = set()
        self.take_back: list[Callable[[Transaction], object]] = []
        self._tally: dict[str, int] = {}
        self.moves = 0  # of tasks, from state to state

    def accepted(self, count: int) -> None:
        """Count new tasks."""
        self._count("accepted", count)
        self._count(State.QUEUED.value, count)

    def moved(self, before: State, after: State, count: int = 1) -> None:
        """Count `count` tasks that went from one state to another."""
        self.moves += count
        self._count(before.value, -count)
        self._count(after.value, count)
        if after in TERMINAL:
            self._count("settled", count)

    def _count(self, name: str, more: int) -> None:
        self._tally[name] = self._tally.get(name, 0) + more

    def tell(self, task_id: str, task_type: str, state: State, attempt: int) -> None:
        """Let those who watch know of a transition, once it is committed."""
        if self.watched:
            self.transitions.append(Transition(task_id, task_type, state, attempt, self.now))

    def due(self, at: Micros, task_type: str) -> None:
        """A task is due at this time: wake the workers, if they would not look before."""
        if at - self.now < HINT_WITHIN:
            self._due_types.add(task_type)

    @property
    def woken(self) -> Woken:
        """The types of which workers are to look for tasks, none at all included."""
        return None if self.wake else named(self._due_types)

    def write_tally(self) -> None:
        """Write the counters; the last statement before the commit."""
        changed = {name: n for name, n in self._tally.items() if n}
        if changed:
            sets = ", ".join(f"{name} = {name} + ?" for name in changed)
            self.db.execute(f"UPDATE tally SET {sets}", tuple(changed.values()))
