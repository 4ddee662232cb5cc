"""Attempts, and the workers that may claim them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from unlost.ledger import follow_ups
from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.memory.kept.task import Kept, running
from unlost.ledger.memory.store import Store
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import (
    Claim,
    Claimed,
    Enlisted,
    Held,
    Settled,
    Settlement,
    Worker,
)
from unlost.limits.breaker import ending
from unlost.limits.control import Claimant, Rooms
from unlost.task import Event, Micros


class Workers(Store):
    """Keeps the promises of `protocol.Workers`."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await self._strike_off(lease)
        known, _ = self._workers.get(worker.id, (worker, 0))
        self._workers[worker.id] = (known if worker.starting else worker, self._now() + lease)

    async def _strike_off(self, lease: Micros) -> None:
        gone = self._now() - lease
        for name in [name for name, (_, until) in self._workers.items() if until <= gone]:
            await self.dismiss(name, expired=True)

    async def extend(self, workers: Collection[str], lease: Micros) -> set[str]:
        enlisted = set(workers) & self._workers.keys()
        for name in enlisted:
            self._workers[name] = (self._workers[name][0], self._now() + lease)
        return enlisted

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        if expired and (self._alive(worker) or self._run_by(worker) or self._named_lately(worker)):
            return
        self._workers.pop(worker, None)
        self._owners.pop(worker, None)

    async def workers(self) -> list[Enlisted]:
        return self._living()


class Attempts(Store):
    """Keeps the promises of `protocol.Attempts`."""

    async def claim(self, claim: Claim) -> list[Claimed]:
        if not self._alive(claim.worker):
            raise LeaseOver(claim.worker)
        now, rooms = self._now(), self._rooms(claim.claimant)
        suited = sorted(self._suited(claim.types, claim.alone), key=lambda kept: kept.turn)
        due = (kept for kept in suited if kept.due_at <= now)
        chosen = (kept for kept in due if rooms.take(kept.record.type, kept.record.key))
        pairs = list(zip(claim.tokens, chosen, strict=False))
        sizes = (len((kept.record.payload or "").encode()) for _, kept in pairs)
        pairs = pairs[: claim.fitting(sizes)]
        self._controls.started(rooms, [(kept.record.type, kept.record.key) for _, kept in pairs])
        return [self._start(kept, token, claim, now) for token, kept in pairs]

    def _rooms(self, claimant: Claimant) -> Rooms:
        runs = map(running, self._running.values())
        named = self._named() if claimant is Claimant.STAND_IN else set()
        return self._controls.rooms(runs, self._now(), claimant, named)

    def _suited(self, types: Collection[str] | None, alone: bool) -> list[Kept]:
        """What a claim of this kind finds, now or later, as far as there is room."""
        return [
            kept
            for kept in self._waiting.values()
            if kept.alone is alone and (types is None or kept.record.type in types)
        ]

    def _start(self, kept: Kept, token: str, claim: Claim, now: Micros) -> Claimed:
        due_at = kept.due_at
        kept.start(token, claim.worker, claim.limits(kept.record.type, kept.submitted), now)
        self._running[token] = kept
        self._move(kept, Event.CLAIM, now)
        return claimed(kept, due_at)

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
        after: Claim | None = None,
    ) -> Micros | None:
        rooms = self._rooms(claimant)
        dues = (
            max(kept.due_at, when)
            for kept in self._suited(types, alone)
            if (when := rooms.when(kept.record.type, kept.record.key)) is not None
        )
        due = min(dues, default=None)
        return None if due is None else max(0, due - self._now())

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        now = self._now()
        return [self._settle(settlement, now) for settlement in settlements]

    def _settle(self, asked: Settlement, now: Micros) -> Settled:
        kept = self._running.get(asked.token)
        if kept is None or kept.record.task_id != asked.task_id:
            return Settled.REFUSED
        [end] = follow_ups.decided([asked], self._digests(follow_ups.wanted([asked])))
        started_at = kept.record.attempts[-1].started_at
        seen = ending(started_at, end.outcome, end.error)
        if self._controls.ended(kept.record.type, seen, now):
            end = end.by_breaker
        self._freed(kept)
        now = max(now, started_at)
        again = now + end.wait if end.event in (Event.RETRY, Event.RELEASE) else None
        self._move(kept, end.event, now, again, result=end.result)
        del self._running[end.token]
        retry_at = again if end.event is Event.RETRY else None
        kept.stop(end.outcome, now, end.error, retry_at, excused=end.excused)
        if end.event is Event.DIE:
            self._bury(kept, end.error or UNKNOWN, now)
        new = follow_ups.submitted([end])
        accepted = follow_ups.accepted(new, [self._submit(one, self._now()) for one in new])
        [kept.brought] = follow_ups.brought([end], accepted)
        return follow_ups.settled(asked, end)

    def _digests(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        return {one: self._tasks[one].record.digest for one in task_ids if one in self._tasks}

    async def held(self, worker: str | None) -> list[Held]:
        now, running = self._now(), self._running.values()
        if worker is None:
            return [held(kept, now) for kept in running if not self._alive(kept.worker)]
        return [held(kept, now) for kept in running if kept.worker == worker]

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        running = {token: kept.record.task_id for token, kept in self._running.items()}
        return [token for token, task_id in tokens.items() if running.get(token) != task_id]


def claimed(kept: Kept, due_at: Micros | None) -> Claimed:
    """What a worker needs to run the attempt that was just recorded."""
    record = kept.record
    attempt = record.attempts[-1]
    return Claimed(
        record.task_id, kept.token or "", record.type, record.payload or "", attempt.number,
        kept.spent, record.max_retries or 0, record.timeout or 0.0, kept.deadline,
        record.redrive_count, record.submitted_at, attempt.started_at, due_at, record.carried,
        kept.effects, record.excused_count, record.key,
    )  # fmt: skip


def held(kept: Kept, now: Micros) -> Held:
    """A running attempt, seen from outside."""
    record = kept.record
    return Held(
        record.task_id, kept.token or "", kept.worker or "", kept.spent,
        record.max_retries or 0, record.timeout or 0.0, kept.deadline - now, record.type,
        record.attempts[-1].number, record.carried, record.excused_count,
    )  # fmt: skip
