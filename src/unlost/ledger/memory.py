"""The ledger in memory: the shortest one that keeps every promise, and so their specification.

One suite tests all ledgers, and property tests step each real one beside it.  Steps are atomic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec.structs import replace

from unlost.breaker import ending
from unlost.control import Change, Control, Pause, Rooms
from unlost.ledger import copying
from unlost.ledger import kept as read
from unlost.ledger.kept import Kept
from unlost.ledger.kept_controls import KeptControls
from unlost.ledger.kept_tasks import KeptTasks
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import (
    EVERYTHING,
    MOST_SHOWN,
    RUN_PAUSE,
    Claim,
    Claimed,
    Copy,
    Counts,
    Enlisted,
    Entry,
    Group,
    Held,
    Page,
    Part,
    Query,
    Report,
    Selection,
    Settlement,
    Submitted,
    Transition,
    Verdict,
    Worker,
)
from unlost.task import (
    Act,
    Event,
    Micros,
    Outcome,
    Record,
    Submission,
)


class MemoryLedger(KeptTasks):
    """A `Ledger` that lasts as long as the object.  For one event loop."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        super().__init__()
        self._now = clock
        self._workers: dict[str, tuple[Worker, Micros]] = {}  # with the end of the lease
        self._controls = KeptControls()
        self._runs: dict[Any, tuple[Micros, Micros, Micros]] = {}  # began, next slot, last call

    # Submitting and reading

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        now = self._now()
        return [self._submit(new, now) for new in submissions]

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        kept = self._tasks.get(task_id)
        return None if kept is None else read.view(kept.record, parts)

    async def page(self, query: Query) -> Page:
        return read.page(self._tasks.values(), query)

    async def groups(self) -> list[Group]:
        return read.groups(self._dead_letters())

    async def counts(self) -> Counts:
        now = self._now()
        waiting = [k for k in self._waiting.values() if not self._controls.paused(k.record.type)]
        due = [kept for kept in waiting if kept.due_at <= now]
        served = [w.types for w, until in self._workers.values() if until > now and not w.alone]
        types = {kept.record.type for kept in due}
        unhandled = {name for name in types if not any(t is None or name in t for t in served)}
        position = max((kept.position for kept in self._tasks.values()), default=0)
        return Counts(
            self._accepted, self._settled, dict(self._states), position,
            tuple(sorted(unhandled)), min((kept.due_at for kept in due), default=None),
        )  # fmt: skip

    async def entries(self, after: int, limit: int) -> list[Entry]:
        found = [kept for kept in self._tasks.values() if kept.position > after][:limit]
        return [read.entry(k, claimable=k.record.task_id in self._waiting) for k in found]

    async def copies(self, after: int, limit: int) -> list[tuple[int, Copy]]:
        found = [kept for kept in self._tasks.values() if kept.position > after][:limit]
        reports = [report for report, _ in self._reports.values()]
        return [(kept.position, copying.copy(kept, reports)) for kept in found]

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        return [self._restore(copy) for copy in copies]

    # Attempts

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        for name in [name for name in self._workers if not self._alive(name)]:
            await self.dismiss(name, expired=True)
        self._workers[worker.id] = (worker, self._now() + lease)

    async def extend(self, workers: Collection[str], lease: Micros) -> set[str]:
        enlisted = set(workers) & self._workers.keys()
        for name in enlisted:
            self._workers[name] = (self._workers[name][0], self._now() + lease)
        return enlisted

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        if not expired or not (self._alive(worker) or await self.held(worker)):
            self._workers.pop(worker, None)

    def _alive(self, worker: str | None) -> bool:
        return worker in self._workers and self._workers[worker][1] > self._now()

    async def workers(self) -> list[Enlisted]:
        return [self._enlisted(name) for name in sorted(self._workers) if self._alive(name)]

    def _enlisted(self, name: str) -> Enlisted:
        worker, until = self._workers[name]
        running = [read.running(kept) for kept in self._running.values() if kept.worker == name]
        running.sort(key=lambda one: (one.started_at, one.task_id))
        return Enlisted(worker, until, tuple(running[:MOST_SHOWN]), len(running))

    async def claim(self, claim: Claim) -> list[Claimed]:
        if not self._alive(claim.worker):
            raise LeaseOver(claim.worker)
        now, rooms = self._now(), self._rooms()
        suited = sorted(self._suited(claim.types, claim.alone), key=lambda kept: kept.turn)
        due = (kept for kept in suited if kept.due_at <= now)
        chosen = (kept for kept in due if rooms.take(kept.record.type, kept.record.key))
        pairs = list(zip(claim.tokens, chosen, strict=False))
        return [self._start(kept, token, claim, now) for token, kept in pairs]

    def _rooms(self) -> Rooms:
        return self._controls.rooms(map(read.run, self._running.values()), self._now())

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
        return read.claimed(kept, due_at)

    async def due_in(self, types: Collection[str] | None, *, alone: bool = False) -> Micros | None:
        rooms = self._rooms()
        suited = (k for k in self._suited(types, alone) if rooms.any(k.record.type, k.record.key))
        due = min((kept.due_at for kept in suited), default=None)
        return None if due is None else max(0, due - self._now())

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        now = self._now()
        return [self._settle(settlement, now) for settlement in settlements]

    def _settle(self, end: Settlement, now: Micros) -> bool:
        kept = self._running.get(end.token)
        if kept is None or kept.record.task_id != end.task_id:
            return False
        started_at = kept.record.attempts[-1].started_at
        self._controls.ended(kept.record.type, ending(started_at, end.outcome, end.error), now)
        self._freed(kept)
        now = max(now, started_at)
        again = now + end.wait if end.event in (Event.RETRY, Event.RELEASE) else None
        self._move(kept, end.event, now, again, result=end.result)
        del self._running[end.token]
        kept.stop(end.outcome, now, end.error, again if end.event is Event.RETRY else None)
        if end.event is Event.DIE:
            self._bury(kept, end.error or read.UNKNOWN, now)
        if end.follow is not None:
            self._submit(end.follow, self._now())
        return True

    def _freed(self, kept: Kept) -> None:
        """An attempt leaves room, for which a task may wait that is due."""
        if kept.record.type in self._controls:
            self._hints.wake()

    async def held(self, worker: str | None) -> list[Held]:
        now, running = self._now(), self._running.values()
        if worker is None:
            return [read.held(kept, now) for kept in running if not self._alive(kept.worker)]
        return [read.held(kept, now) for kept in running if kept.worker == worker]

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        running = {token: kept.record.task_id for token, kept in self._running.items()}
        return [token for token, task_id in tokens.items() if running.get(token) != task_id]

    # What people do

    def _act(self, kept: Kept, act: Act, due_at: Micros | None = None, **new: Any) -> None:
        """A step that a person takes; it stays in the history.  Raises Refused."""
        self._move(kept, act.event, act.at, due_at, history=(*kept.record.history, act), **new)
        kept.dead_letter = None

    async def cancel(self, task_id: str, by: str | None, reason: str | None) -> None:
        kept, now = self._find(task_id), self._now()
        self._act(kept, Act(now, Event.CANCEL, by, reason))
        if kept.token is not None:
            del self._running[kept.token]
            kept.stop(Outcome.CANCELLED, now, None, None)
            self._freed(kept)

    async def discard(self, task_id: str, by: str | None, reason: str | None) -> None:
        self._act(self._find(task_id), Act(self._now(), Event.DISCARD, by, reason))

    async def redrive(
        self, task_id: str, by: str | None, reason: str | None, payload: str | None = None
    ) -> None:
        act = Act(self._now(), Event.REDRIVE, by, reason)
        self._redrive(self._find(task_id), act, act.at, payload)

    def _redrive(self, kept: Kept, act: Act, due_at: Micros, payload: str | None = None) -> None:
        payload = kept.record.payload if payload is None else payload
        self._act(kept, act, due_at, redrive_count=kept.record.redrive_count + 1, payload=payload)
        kept.spent = 0

    async def redrive_many(
        self, selection: Selection, by: str | None, reason: str | None
    ) -> tuple[int, bool]:
        act = Act(self._now(), Event.REDRIVE, by, reason)
        selectors = replace(selection, limit=0, interval=0)
        began, slot, last = self._runs.pop(selectors, (act.at, act.at, act.at))
        if last + RUN_PAUSE < act.at:
            began = slot = act.at
        slot = max(slot, act.at) if selection.interval else act.at
        dead = (kept for kept in self._dead_letters() if kept.died_at <= began)
        meant = [kept for kept in dead if read.selected(selection, kept)]
        chosen = meant[: selection.limit]
        for kept in chosen:
            self._redrive(kept, act, slot)
            slot += selection.interval
        if more := len(meant) > len(chosen):
            self._runs[selectors] = (began, slot, act.at)
        return len(chosen), more

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        self._controls.pause(Pause(task_type, self._now(), by, reason))

    async def resume(self, task_type: str) -> None:
        self._controls.resume(task_type)
        self._hints.wake()

    async def change(self, task_type: str, change: Change) -> None:
        self._controls.change(task_type, change)
        self._hints.wake()

    async def controls(self) -> list[Control]:
        return self._controls.listed()

    # Reports and upkeep

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        now = self._now()
        free = [report for report, until in self._reports.values() if until <= now][:limit]
        self._reports |= {report.id: (report, now + lease) for report in free}
        return free

    async def reported(self, report_ids: Collection[int]) -> None:
        for report_id in report_ids:
            self._reports.pop(report_id, None)

    async def purge(self, before: Micros, limit: int) -> int:
        unreported = {report.task_id for report, _ in self._reports.values()}
        found = (k for k in self._tasks.values() if k.record.task_id not in unreported)
        old = [kept for kept in found if read.purgeable(kept.record, before)]
        old.sort(key=lambda kept: kept.record.updated_at)
        for kept in old[:limit]:
            kept.record = replace(
                read.view(kept.record, (Part.HISTORY,)), purged_at=self._now(), error=None
            )
        return len(old[:limit])

    async def ping(self) -> None:
        """Memory answers writes for as long as it is there."""

    async def wait(self, seconds: float) -> None:
        await self._hints.wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return self._hints.transitions()

    async def close(self) -> None:
        """There is nothing to give back."""
