"""Why each attempt ended as it did: what the ledger says, with what the journal knows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from unlost.prove.fates import KILLS, OVERTAKINGS, Fate
from unlost.prove.journal import Kind, Note
from unlost.prove.report import Cause
from unlost.task import Attempt, Micros, Outcome

Key = tuple[str, int]
"""An attempt: its task's id and its number."""

_PLAIN = {
    Outcome.SUCCEEDED: Cause.SUCCEEDED,
    Outcome.TIMED_OUT: Cause.TIMED_OUT,
    Outcome.RELEASED: Cause.RELEASED,
    Outcome.CANCELLED: Cause.CANCELLED,
    None: Cause.RUNNING,
}

INJECTED_ERROR = "InjectedFailure"


class Known:
    """What the journal knows of the attempts."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self.began: dict[Key, Note] = {}
        self.began_again: set[Key] = set()
        self.returned: set[Key] = set()
        self.struck: dict[Key, Fate] = {}
        self.effects: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        self.steps: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        self.late: dict[Kind, set[Key]] = {Kind.REFUSED: set(), Kind.HELD: set()}
        self._killed_at: dict[int, Micros] = {}  # by generation
        self._killed_workers: set[tuple[int, int]] = set()
        for note in notes:
            self._add(note, (note.task_id, note.number))

    @property
    def restarts(self) -> int:
        """How often all processes were killed."""
        return len(self._killed_at)

    def _add(self, note: Note, key: Key) -> None:
        match note.kind:
            case Kind.BEGAN:
                if key in self.began:
                    self.began_again.add(key)
                self.began.setdefault(key, note)
            case Kind.STRUCK:
                self._strike(note, key, Fate(note.what))
            case Kind.EFFECT:
                self.effects[note.task_id, note.what][note.number] += 1
            case Kind.MADE:
                self.steps[note.task_id, note.what][note.number] += 1
            case Kind.ENDED if note.what == "returned":
                self.returned.add(key)
            case Kind.REFUSED | Kind.HELD:
                self.late[note.kind].add(key)
            case Kind.RESTART:
                self._killed_at.setdefault(note.generation, note.at)

    def _strike(self, note: Note, key: Key, fate: Fate) -> None:
        self.struck[key] = fate
        if fate in KILLS:
            self._killed_workers.add((note.generation, note.pid))
        if fate is Fate.TREE_KILLED:
            self._killed_at.setdefault(note.generation, note.at)

    def cause(self, task_id: str, attempt: Attempt) -> Cause:
        """Why this attempt ended as it did."""
        if attempt.outcome is Outcome.FAILED:
            injected = attempt.error is not None and attempt.error.type == INJECTED_ERROR
            return Cause.FAILED_BY_INJECTION if injected else Cause.FAILED_BY_ITSELF
        if attempt.outcome is Outcome.LOST:
            return self._lost((task_id, attempt.number), attempt)
        return _PLAIN[attempt.outcome]

    def _lost(self, key: Key, attempt: Attempt) -> Cause:
        struck = self.struck.get(key)
        if struck in KILLS:
            return Cause.LOST_TO_KILL
        if struck in OVERTAKINGS:
            return Cause.LOST_LEASE
        if struck is Fate.TREE_KILLED:
            return Cause.LOST_TO_RESTART
        began = self.began.get(key)
        if began is None:
            return self._lost_unbegun(attempt)
        if (began.generation, began.pid) in self._killed_workers:
            return Cause.LOST_WITH_NEIGHBOUR
        killed_at = self._killed_at.get(began.generation)
        if killed_at is not None and _ended(attempt) >= killed_at:
            return Cause.LOST_TO_RESTART
        return Cause.LOST_BY_ITSELF

    def _lost_unbegun(self, attempt: Attempt) -> Cause:
        """Its process ended between the claim and the handler's start."""
        killed = self._killed_at.values()
        if any(attempt.started_at <= at <= _ended(attempt) for at in killed):
            return Cause.LOST_TO_RESTART
        return Cause.LOST_WITH_NEIGHBOUR

    def injected(self, key: Key) -> Fate:
        """What was carried out on this attempt."""
        return self.struck.get(key, Fate.NONE)


def _ended(attempt: Attempt) -> Micros:
    return attempt.finished_at or attempt.started_at
