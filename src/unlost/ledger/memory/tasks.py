"""Tasks: as callers know them, and one after another for the audit and for moving."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from unlost import carried
from unlost.effects import Effects, taken_along
from unlost.ledger.deaths import dead_letter, error_of
from unlost.ledger.memory.kept.task import Kept, key, names, running, view
from unlost.ledger.memory.store import Store
from unlost.ledger.protocol import BadCursor
from unlost.ledger.unserved import unserved
from unlost.ledger.values import (
    EVERYTHING,
    ROOM,
    Copy,
    Counts,
    Death,
    Entry,
    Order,
    Page,
    Part,
    Query,
    Report,
    Submitted,
    Verdict,
)
from unlost.ledger.weight import copy_weight, entry_weight, weight, within
from unlost.limits.why import MOST_BEFORE, Facts, taken
from unlost.task import FINAL, TERMINAL, Act, Event, Micros, Outcome, Record, Submission


class Tasks(Store):
    """Keeps the promises of `protocol.Tasks`."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        now = self._now()
        return [self._submit(new, now) for new in submissions]

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        return [self._compare(new) for new in submissions]

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        kept = self._tasks.get(task_id)
        return None if kept is None else view(kept.record, parts)

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        now = self._now()
        found = [self._tasks[one] for one in task_ids if one in self._tasks]
        return {kept.record.task_id: self._facts(kept, now, most_before) for kept in found}

    def _facts(self, kept: Kept, now: Micros, most_before: int) -> Facts:
        task, control = kept.record, self._controls.get(kept.record.type)
        if task.due_at is None:
            return Facts(view(task, ()), now)
        by_key = control is not None and control.by_key
        alike = (
            one
            for one in self._waiting.values()
            if (one.alone, one.record.type) == (kept.alone, task.type)
            and (not by_key or one.record.key in (None, task.key))
        )
        before = sum(one.due_at <= now and one.turn < kept.turn for one in alike)
        rooms = self._controls.rooms((), now)
        alive = tuple(one.alive for one in self._living())
        return Facts(
            view(task, ()),
            now,
            kept.alone,
            control,
            taken(control, task.key, map(running, self._running.values())),
            alive,
            min(before, most_before),
            rooms.free_at(task.type, None),
            None if task.key is None else rooms.free_at(task.type, task.key),
            named=any(one.stand_in for one in alive) and task.type in self._named(),
        )

    async def page(self, query: Query) -> Page:
        return _page(self._tasks.values(), query)

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        kept, now = self._find(task_id), self._now()
        self._act(kept, Act(now, Event.CANCEL, by, reason, api_key))
        if kept.token is not None:
            del self._running[kept.token]
            kept.stop(Outcome.CANCELLED, now, None, None)
            self._freed(kept)


def _page(tasks: Iterable[Kept], query: Query) -> Page:
    """One page of a list.  The cursor is the key at which the page before ended."""
    before = None if query.cursor is None else _parse(query.order, query.cursor)
    found = sorted(
        (
            kept
            for kept in tasks
            if _matches(query, kept) and (before is None or key(query.order, kept) < before)
        ),
        key=lambda kept: key(query.order, kept),
        reverse=True,
    )
    views = (view(kept.record, query.parts) for kept in found[: query.limit])
    records = list(within(query.room, views, weight))
    keys = (key(query.order, kept) for kept in found[: len(records)])
    cursors = ["{}-{}-{}".format(query.order, *one) for one in keys]
    return Page(records, cursors[-1] if len(records) < len(found) else None, cursors)


def _parse(order: Order, cursor: str) -> tuple[Micros, int]:
    parts = re.fullmatch(rf"{order}-(\d{{1,20}})-(\d{{1,20}})", cursor, re.ASCII)
    if parts is None:
        raise BadCursor(cursor)
    return int(parts[1]), int(parts[2])


def _matches(query: Query, kept: Kept) -> bool:
    record = kept.record
    return (
        (query.order is Order.SUBMITTED or kept.dead_letter is not None)
        and query.state in (None, record.state)
        and query.type in (None, record.type)
        and (query.types is None or record.type in query.types)
        and query.parent in (None, carried.parent(record.carried))
        and record.task_id.startswith(query.id_prefix)
        and (query.since is None or query.since <= record.submitted_at)
        and (query.until is None or record.submitted_at < query.until)
        and (query.error is None or query.error in names(kept))
    )


class Records(Store):
    """Keeps the promises of `protocol.Records`."""

    async def counts(self) -> Counts:
        now = self._now()
        waiting = [k for k in self._waiting.values() if not self._controls.paused(k.record.type)]
        due = [kept for kept in waiting if kept.due_at <= now]
        alive = [w for w, until in self._workers.values() if until > now and not w.alone]
        served = [(worker.types, worker.pull) for worker in alive]
        unhandled = unserved({kept.record.type for kept in due}, served, self._controls.pulled)
        position = max((kept.position for kept in self._tasks.values()), default=0)
        return Counts(
            self._accepted, self._settled, dict(self._states), position,
            unhandled, min((kept.due_at for kept in due), default=None),
            sum(worker.types != () for worker in alive),
        )  # fmt: skip

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        found = [kept for kept in self._tasks.values() if kept.position > after][:limit]
        entries = (_entry(k, claimable=k.record.task_id in self._waiting) for k in found)
        return list(within(room, entries, entry_weight))

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        found = [kept for kept in self._tasks.values() if kept.position > after][:limit]
        reports = [report for report, _ in self._reports.values()]
        copies = ((kept.position, _copy(kept, reports, self._secret)) for kept in found)
        return list(within(room, copies, copy_weight))

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        return [self._restore(copy) for copy in copies]

    def _restore(self, copy: Copy) -> Verdict:
        task = copy.record
        if known := self._tasks.get(task.task_id):
            return Verdict.REPLAYED if known.record.digest == task.digest else Verdict.CONFLICT
        self._accepted += 1
        self._settled += task.state in TERMINAL
        self._last_submit = max(self._last_submit, task.submitted_at)
        kept = self._tasks[task.task_id] = _restored(copy, self._accepted)
        if kept.token is not None:
            self._running[kept.token] = kept
        for death in copy.unreported:
            self._report(_report(task, death, self._deaths + 1))
        self._entered(kept)
        return Verdict.ACCEPTED


def _entry(kept: Kept, *, claimable: bool) -> Entry:
    """The task with the ledger's marks."""
    return Entry(
        kept.position,
        view(kept.record, (Part.ATTEMPTS, Part.HISTORY)),
        kept.token,
        kept.worker,
        kept.spent,
        kept.dead_letter.fingerprint if kept.dead_letter else None,
        claimable,
        (kept.effects or Effects()).forgotten,
        tuple(replace(step, result=None) for step in kept.listed_steps),
        kept.listed_effects,
        kept.brought,
    )


def _copy(kept: Kept, reports: Iterable[Report], secret: bytes) -> Copy:
    """All that is kept of a task; `reports` are those still to be made, its own among them."""
    task = kept.record
    return Copy(
        task,
        kept.submitted,
        kept.spent,
        kept.alone,
        kept.token,
        kept.worker,
        kept.deadline if kept.token is not None else None,
        kept.died_at if kept.dead_letter is not None else None,
        tuple(_death(task, report) for report in reports if report.task_id == task.task_id),
        taken_along(
            kept.effects, secret, task.task_id, task.submitted_at, over=task.state in FINAL
        ),
        kept.listed_steps,
        kept.listed_effects,
        kept.brought,
    )


def _death(task: Record, report: Report) -> Death:
    """A task died in the last of the attempts that were counted by then."""
    counted = [one.number for one in task.attempts if one.outcome is not Outcome.RELEASED]
    return Death(report.died_at, counted[report.attempt_count - 1], report.attempt_count)


def _restored(copy: Copy, position: int) -> Kept:
    """The task as another ledger kept it."""
    return Kept(
        position, copy.own, copy.record, copy.spent, copy.alone, copy.token, copy.worker,
        copy.deadline or 0, copy.died_at or 0, dead_letter(copy.record),
        {step.name: step for step in copy.steps}, copy.effects,
        {(one.attempt, one.turn): one for one in copy.declared}, copy.brought,
    )  # fmt: skip


def _report(task: Record, death: Death, report_id: int) -> Report:
    """A report still to be made, by the payload in force."""
    return Report(
        report_id, task.task_id, task.type, task.payload or "", error_of(task, death.number),
        death.attempt_count, task.submitted_at, death.died_at,
    )  # fmt: skip
