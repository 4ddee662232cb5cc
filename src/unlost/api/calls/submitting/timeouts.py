"""Timeouts beyond what a home's own workers can give: for types alone that others serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from time import monotonic
from typing import Final

from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import Invalid, invalid, pointer
from unlost.ledger.protocol import Ledger
from unlost.task import MAX_TIMEOUT, Submission

KNOWN_FOR: Final = 5.0
"""Seconds for which it goes by marks that it has seen.  One that it has not is looked for."""


class Timeouts:
    """Refuses new tasks that ask for more than `longest` seconds, unless their type is marked
    `pull`; what is there already is never refused."""

    def __init__(
        self, ledger: Ledger, longest: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._ledger = ledger
        self._longest = longest
        self._clock = clock
        self._marked: frozenset[str] = frozenset()
        self._looked = 0.0

    @property
    def bounded(self) -> bool:
        """Whether any task is refused at all."""
        return self._longest < MAX_TIMEOUT

    @property
    def refusal(self) -> Invalid:
        """What is said of one that is refused."""
        told = f"must be at most {self._longest:g}, since its type is not marked pull"
        return invalid([FieldError(told, pointer("timeoutSeconds"))])

    async def refused(self, submissions: Sequence[Submission]) -> frozenset[int]:
        """Those of the submissions, by their turn, that ask for too much.

        Raises LedgerUnavailable.
        """
        if not self.bounded:
            return frozenset()
        long = [n for n, new in enumerate(submissions) if (new.timeout or 0) > self._longest]
        if not long:
            return frozenset()
        marked = await self._marks({submissions[turn].type for turn in long})
        wrong = [turn for turn in long if submissions[turn].type not in marked]
        if not wrong:
            return frozenset()
        known = await self._ledger.compare([submissions[turn] for turn in wrong])
        return frozenset(turn for turn, there in zip(wrong, known, strict=True) if there is None)

    async def allow(self, task_type: str, timeout: float | None) -> bool:
        """Whether tasks of this type may ask for it.  Raises LedgerUnavailable."""
        return (timeout or 0) <= self._longest or task_type in await self._marks({task_type})

    async def _marks(self, types: Collection[str]) -> frozenset[str]:
        """The types that are marked."""
        if self._clock() - self._looked >= KNOWN_FOR or not self._marked.issuperset(types):
            self._looked = self._clock()
            self._marked = frozenset(one.type for one in await self._ledger.controls() if one.pull)
        return self._marked
