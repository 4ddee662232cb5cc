"""Mutants of follow-ups."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.simulation.facts import FOLLOWED
from tests.simulation.mutant import mutant
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Claimed, Held, Settled, Settlement
from unlost.task import Micros
from unlost.worker.attempt import Ended
from unlost.worker.settling.settler import Settler, Unsettled
from unlost.worker.worker import Worker


@mutant(FOLLOWED)
class FollowUpsFirst(MemoryLedger):
    """follow-ups before the success: they stay where the settlement is refused."""

    def _settle(self, asked: Settlement, now: Micros) -> Settled:
        for one in asked.submit:
            self._submit(one.submission, now)
        return super()._settle(asked, now)


@mutant(FOLLOWED)
class ConflictSucceeds(MemoryLedger):
    """a conflict that succeeds: the task is done, and one of its follow-ups is another task."""

    def _settle(self, asked: Settlement, now: Micros) -> Settled:
        new = [one for one in asked.submit if self._compare(one.submission) is None]
        return super()._settle(replace(asked, submit=tuple(new)), now)


@mutant(FOLLOWED)
class ConflictKeepsSome(MemoryLedger):
    """a conflict that keeps some: what came before it in the list is there."""

    def _settle(self, asked: Settlement, now: Micros) -> Settled:
        result = super()._settle(asked, now)
        if result is Settled.CONFLICT:
            self._submit(asked.submit[0].submission, now)
        return result


class _WithoutFollowUps(Settler):
    async def _put_off(self, batch: list[Unsettled], error: LedgerUnavailable) -> None:
        await super()._put_off(batch, error)
        self._waiting[:] = [
            replace(one, settlement=replace(one.settlement, submit=())) for one in self._waiting
        ]


@mutant(FOLLOWED)
class RepeatedWithout(Worker):
    """lost when repeated: what is told again after a lost answer has no follow-ups."""

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._settler = _WithoutFollowUps(
            ledger, options["random"], self._recorder, settled=self._freed.set
        )


@mutant(FOLLOWED)
class OnlyTheFirst(Worker):
    """some of them: of several follow-ups only the first is brought."""

    def settlement(self, known: Claimed | Held, ended: Ended) -> Settlement:
        done = super().settlement(known, ended)
        return replace(done, submit=done.submit[:1])
