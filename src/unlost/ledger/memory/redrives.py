"""Redrives: giving many dead letters a fresh set of attempts, step by step, until they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unlost.effects import may_forget
from unlost.ledger.memory.dead_letters import DeadLetters
from unlost.ledger.memory.kept.redrive import KeptRedrive
from unlost.ledger.memory.kept.task import Kept, key
from unlost.ledger.protocol import UnknownRedrive
from unlost.ledger.values import Order, RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import (
    MOST_UNDER_WAY,
    UNSAID,
    Ends,
    Look,
    Named,
    Redrive,
    RedriveState,
    Taken,
    Window,
    advanced,
    begun,
    ended,
    moved,
    stopped,
    wanted,
)
from unlost.task import TERMINAL, Act, Event, Micros, State


class Redrives(DeadLetters):
    """Keeps the promises of `protocol.Redrives`."""

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        if new.id in self._redrives:
            return self._redrives[new.id].redrive, False
        kept = KeptRedrive(begun(new, self._now()), named)
        self._redrives[new.id] = kept
        self._hints.begin()
        return kept.redrive, True

    async def begun(self, seconds: float) -> None:
        await self._hints.begun(seconds)

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        kept = self._redrives.get(redrive_id)
        return None if kept is None else kept.redrive

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        found = (kept.redrive for kept in self._redrives.values())
        listed = [
            one
            for one in found
            if query.state in (None, one.state)
            and (query.after is None or (one.started_at, one.id) < query.after)
        ]
        listed.sort(key=lambda one: (one.started_at, one.id), reverse=True)
        return listed[: query.limit]

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        kept = self._find_redrive(redrive_id)
        kept.redrive = stopped(kept.redrive, why, self._now())
        return kept.redrive

    async def step_redrive(self, redrive_id: str) -> Redrive:
        kept, now = self._find_redrive(redrive_id), self._now()
        kept.redrive = ended(kept.redrive, self._ends(kept), now)
        look = wanted(kept.redrive, now, MOST_UNDER_WAY)
        if look is not None:
            letters = self._look(kept, look)
            if kept.redrive.counting is None and self._bars(kept, letters):
                kept.redrive = stopped(kept.redrive, UNSAID, now)
                return kept.redrive
            found = tuple(key(Order.DIED, letter) for letter in letters)
            last = found[-1] if found else look.until or look.after
            kept.redrive, taken = advanced(
                kept.redrive, Window(found, last, len(found) == look.most), now
            )
            for letter, one in zip(letters, taken, strict=False):
                self._take(kept, letter, one, now)
        return kept.redrive

    def _find_redrive(self, redrive_id: str) -> KeptRedrive:
        if redrive_id not in self._redrives:
            raise UnknownRedrive(redrive_id)
        return self._redrives[redrive_id]

    def _look(self, kept: KeptRedrive, look: Look) -> list[Kept]:
        """The letters that are meant and were not taken, from where the redrive looks."""
        redrive = kept.redrive
        until = look.until or (redrive.started_at, len(self._tasks))
        found = (
            letter
            for letter in self._dead_letters()
            if look.after < key(Order.DIED, letter) <= until and _meant(kept, letter)
        )
        free = (
            one
            for one in found
            if all(act.redrive != redrive.id for act in one.record.history)
            and (redrive.counting is not None or may_forget(one.effects, kept.named.forget))
        )
        return list(free)[: look.most]

    @staticmethod
    def _bars(kept: KeptRedrive, letters: Sequence[Kept]) -> bool:
        """Whether steps stand of which it is not said what becomes of them."""
        return kept.named.forget_unsaid and any(
            step.stands for letter in letters for step in letter.steps.values()
        )

    def _take(self, kept: KeptRedrive, letter: Kept, one: Taken, now: Micros) -> None:
        redrive = kept.redrive
        who = (redrive.by, redrive.reason, redrive.api_key)
        act = Act(now, Event.REDRIVE, *who, redrive=redrive.id)
        self._redrive(letter, act, one.due_at, kept.named.payload, kept.named.forget)
        kept.under_way[letter.record.task_id] = letter.record.redrive_count

    def _ends(self, kept: KeptRedrive) -> Ends:
        """How letters under way have ended; they are no longer under way."""
        counts = Counter[State]()
        for task_id, redrive_count in [*kept.under_way.items()]:
            end = _end(self._tasks[task_id], redrive_count)
            if end is not None:
                counts[end] += 1
                del kept.under_way[task_id]
        return Ends(counts[State.SUCCEEDED], counts[State.DEAD], counts[State.CANCELLED])

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        going = [kept.redrive for kept in self._redrives.values() if kept.redrive.open]
        places = sorted((one.started_at, one.id) for one in going)
        return [place for place in places if after is None or place > after][:limit]

    async def count_redrives(self) -> dict[RedriveState, int]:
        return dict(Counter(kept.redrive.state for kept in self._redrives.values()))

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        found = (kept.redrive for kept in self._redrives.values())
        old = [one.id for one in found if not one.open and one.updated_at < before][:limit]
        for redrive_id in old:
            del self._redrives[redrive_id]
        return len(old)

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        above = sorted(name for name in self._redrives if name > after)[:limit]
        return [
            RedriveCopy(kept.redrive, kept.named, tuple(sorted(kept.under_way.items())))
            for kept in (self._redrives[name] for name in above)
        ]

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        for copy in copies:
            if copy.redrive.id not in self._redrives:
                redrive = moved(copy.redrive)
                self._redrives[redrive.id] = KeptRedrive(redrive, copy.named, dict(copy.under_way))


def _meant(kept: KeptRedrive, letter: Kept) -> bool:
    error, ids = letter.dead_letter, kept.named.task_ids
    fingerprint = "" if error is None else error.fingerprint
    return kept.redrive.means(letter.record.type, fingerprint) and (
        ids is None or letter.record.task_id in ids
    )


def _end(letter: Kept, redrive_count: int) -> State | None:
    """How a letter has ended after a redrive, which others may have followed; None: it has not.

    What was redriven or discarded since had died again.
    """
    record = letter.record
    if record.redrive_count > redrive_count:
        return State.DEAD
    if record.state not in TERMINAL:
        return None
    discarded = record.history[-1].event is Event.DISCARD
    return State.DEAD if discarded else record.state
