"""How many tasks may be outstanding before new ones are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from unlost.api.problems import BacklogFull
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Counts, Verdict
from unlost.task import SECOND, TERMINAL, Micros, Submission

KNOWN_FOR: Final[Micros] = 5 * SECOND
"""How old the counts may be that it goes by."""

AT_ONCE: Final = 1_000
"""Tasks that are looked for in one step of the ledger."""


class Backlog:
    """Refuses new tasks while there are as many outstanding as there may be: `most`.

    What is there already is never refused.  `clock` is the time of day.
    """

    def __init__(self, ledger: Ledger, most: int | None, clock: Callable[[], Micros]) -> None:
        self._ledger = ledger
        self._most = most
        self._clock = clock
        self._outstanding = 0
        self._noted_at: Micros | None = None

    @property
    def bounded(self) -> bool:
        """Whether any task is refused at all."""
        return self._most is not None

    def note(self, counts: Counts) -> None:
        """Go by these counts from now on."""
        self._outstanding = outstanding(counts)
        self._noted_at = self._clock()

    async def refused(self, submissions: Sequence[Submission]) -> frozenset[int]:
        """Those of the submissions, by their turn, that there is no room for.

        Raises LedgerUnavailable.
        """
        if self._most is None:
            return frozenset()
        room = self._most - await self._counted()
        if len(submissions) <= room:
            return frozenset()
        known = await self._compared(submissions)
        let_in: set[str] = set()
        refused = []
        for turn, (new, verdict) in enumerate(zip(submissions, known, strict=True)):
            if verdict is None and new.task_id not in let_in:
                if len(let_in) < room:
                    let_in.add(new.task_id)
                else:
                    refused.append(turn)
        return frozenset(refused)

    async def _counted(self) -> int:
        at, now = self._noted_at, self._clock()
        if at is None or not 0 <= now - at < KNOWN_FOR:
            self.note(await self._ledger.counts())
        return self._outstanding

    async def _compared(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        found: list[Verdict | None] = []
        for start in range(0, len(submissions), AT_ONCE):
            found += await self._ledger.compare(submissions[start : start + AT_ONCE])
        return found


def full() -> BacklogFull:
    """The refusal of a new task, until the counts may have changed.  Each time another one: it
    holds what it was raised through, and one that is raised again holds all of that."""
    return BacklogFull("too many tasks are outstanding", headers={"Retry-After": "5"})


def outstanding(counts: Counts) -> int:
    """How many tasks have not come to their end."""
    return sum(number for state, number in counts.states.items() if state not in TERMINAL)
