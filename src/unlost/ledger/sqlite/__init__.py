"""The ledger in one SQLite file, for the processes of one machine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from unlost.access.keys import Key
from unlost.batches import BatchSize
from unlost.effects import Forget, Recorded, Step
from unlost.ledger.hints import Hints
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite.attempts import claiming, pulling, settling, workers
from unlost.ledger.sqlite.connection.faults import MALFORMED, meaning
from unlost.ledger.sqlite.connection.gathering import Gathering
from unlost.ledger.sqlite.connection.opening import Opened
from unlost.ledger.sqlite.connection.reading import OpenedToRead
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.connection.writer import Writer
from unlost.ledger.sqlite.controls import controlling, pacing
from unlost.ledger.sqlite.dead_letters import redrives, reporting, stepping
from unlost.ledger.sqlite.files.identity import Identity
from unlost.ledger.sqlite.keys import keeping
from unlost.ledger.sqlite.records import copying, counting
from unlost.ledger.sqlite.schedules import scheduling
from unlost.ledger.sqlite.steps import declaring, recording
from unlost.ledger.sqlite.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.sqlite.tasks.acts import Who
from unlost.ledger.sqlite.upkeep import measuring, purging
from unlost.ledger.values import (
    EVERYTHING,
    ROOM,
    Claim,
    Claimed,
    Copy,
    Counts,
    EffectPage,
    Enlisted,
    Entry,
    Group,
    Held,
    NewEffect,
    NewStep,
    Page,
    Part,
    Pull,
    Pulled,
    Query,
    RedriveCopy,
    RedrivePlace,
    RedriveQuery,
    Report,
    Settled,
    Settlement,
    StepLook,
    Submitted,
    Transition,
    Verdict,
    Worker,
)
from unlost.ledger.waking import Woken
from unlost.limits.control import Change, Claimant, Control, shown
from unlost.limits.why import MOST_BEFORE, Facts
from unlost.redrive import Named, Redrive, RedriveState
from unlost.schedule.schedule import Due, Move, Moved, Schedule, Tick
from unlost.task import Micros, Record, Submission
from unlost.telemetry.measures import Measures

T = TypeVar("T")

READERS = 2
REDRIVE_AT_ONCE = 500
"""Dead letters redriven in one transaction: while two busy workers claim and settle once each, some
400 letters end, and with fewer the workers would find less than they have room for."""
REDRIVE_BESIDE = 100
"""To so few it goes down, by half with each transaction for which others waited."""
BRING_BACK_AT_ONCE = 5_000
"""Parked tasks brought back in one transaction."""
RESTORE_AT_ONCE = 500
"""Copies kept in one transaction."""


class SqliteLedger:
    """A ledger in the file at `path`, made if there is none.

    Any number of processes on one machine may open it.  Every step is synced before it is
    answered or seen; once the file is removed or replaced, LedgerGone is raised instead.  With
    `same`, which another process had as its `file`, no other file is opened, and none is made.
    Raises NotALedger, LedgerUnavailable.
    """

    _opened: Opened | OpenedToRead
    _hints: Hints | LocalHints
    _redriving = BatchSize.of(REDRIVE_AT_ONCE)
    _beside = BatchSize.of(REDRIVE_AT_ONCE)
    _bringing_back = BatchSize.of(BRING_BACK_AT_ONCE)

    def __init__(
        self, path: Path, clock: Callable[[], Micros], *, same: Identity | None = None
    ) -> None:
        self._clock = clock
        opened = Opened(path, READERS, same)
        try:
            hints = Hints(path)
        except BaseException:
            opened.close()
            raise
        self._opened, self._hints = opened, hints
        self._writer = Writer(opened, clock, hints)
        self._do = self._writer.do
        self._looks = Gathering(self._look_at_steps)
        self._records = Gathering(self._record_steps)
        self._readers = ThreadPoolExecutor(READERS, "unlost-reader")

    @property
    def file(self) -> Identity:
        """Which file it is, by device and inode."""
        return self._opened.files.identity

    def check_file(self) -> None:
        """Raise LedgerGone where the file that was opened is no longer the one at its path."""
        self._opened.files.check()

    def free(self) -> int:
        """Bytes that are free for it on its disk.  Raises OSError."""
        return shutil.disk_usage(self._opened.files.database.parent).free

    async def _read(self, query: Callable[[apsw.Connection], T]) -> T:
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, self._query, query)
        except apsw.Error as fault:
            if isinstance(fault, MALFORMED):
                self._opened.files.found_damaged(str(fault))
            raise meaning(fault) from fault
        except RuntimeError as fault:
            raise LedgerUnavailable(f"{type(fault).__name__}: {fault}") from fault

    def _query(self, query: Callable[[apsw.Connection], T]) -> T:
        db = self._opened.readers.get()
        try:
            return query(db)
        finally:
            self._opened.readers.put(db)

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        return await self._writer.do_joint(submitting.submit, submissions)

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        return await self._read(partial(submitting.compare, submissions=submissions))

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        return await self._read(partial(reading.get, task_id=task_id, parts=parts))

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        step = partial(
            explaining.facts, now=self._clock(), task_ids=task_ids, most_before=most_before
        )
        return await self._read(step)

    async def page(self, query: Query) -> Page:
        return await self._read(partial(listing.page, query=query))

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        return await self._read(partial(listing.groups, room=room, types=types))

    async def counts(self) -> Counts:
        return await self._read(partial(counting.counts, now=self._clock()))

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        return await self._read(partial(reading.entries, after=after, limit=limit, room=room))

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        return await self._read(partial(copying.copies, after=after, limit=limit, room=room))

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for start in range(0, len(copies), RESTORE_AT_ONCE):
            batch = copies[start : start + RESTORE_AT_ONCE]
            verdicts += await self._do(partial(copying.restore, copies=batch), patient=True)
        return verdicts

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await self._do(partial(workers.enlist, worker=worker, lease=lease))

    async def extend(self, names: Collection[str], lease: Micros) -> set[str]:
        step = partial(workers.extend, names=names, lease=lease)
        return await self._do(step)

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        step = partial(workers.dismiss, worker=worker, expired=expired)
        await self._do(step)

    async def workers(self) -> list[Enlisted]:
        return await self._read(partial(workers.workers, now=self._clock()))

    async def claim(self, claim: Claim) -> list[Claimed]:
        return await self._do(partial(claiming.claim, wanted=claim), patient=True)

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
    ) -> Micros | None:
        now = self._clock()
        step = partial(claiming.due_in, now=now, types=types, alone=alone, claimant=claimant)
        return await self._read(step)

    async def pull(self, wanted: Pull) -> Pulled:
        return await self._do(partial(pulling.pull, wanted=wanted))

    async def lone(self) -> dict[str, Micros]:
        return await self._read(partial(pulling.lone, now=self._clock()))

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        await self._do(partial(pulling.prolong, worker=worker, owner=owner, lease=lease))

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        return await self._read(partial(pulling.standing, now=self._clock(), tokens=tokens))

    async def overtime(self) -> list[Held]:
        return await self._read(partial(pulling.overtime, now=self._clock()))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await self._writer.do_joint(settling.settle, settlements, patient=True)

    async def effect_secret(self) -> bytes:
        return await self._read(recording.secret)

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        return await self._looks.ask((task_id, token, name))

    async def _look_at_steps(self, wanted: list[recording.Wanted]) -> list[StepLook]:
        return await self._read(partial(recording.look, wanted=wanted))

    async def record_step(self, new: NewStep) -> Recorded:
        return await self._records.ask(new)

    async def _record_steps(self, new: list[NewStep]) -> list[Recorded]:
        return await self._writer.do_joint(recording.record, new)

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        return await self._read(partial(recording.steps_of, task_id=task_id, results=results))

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        await self._writer.do_joint(declaring.declare, new)

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        return await self._read(partial(declaring.page, cursor=cursor, limit=limit))

    async def held(self, worker: str | None) -> list[Held]:
        return await self._read(partial(workers.held, now=self._clock(), worker=worker))

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await self._read(partial(workers.dropped, tokens=tokens))

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        who = Who(by, reason, api_key)
        await self._do(partial(acts.cancel, task_id=task_id, who=who))

    async def redrive(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        payload: str | None = None,
        *,
        api_key: str | None = None,
        call: str | None = None,
        forget: Forget | None = None,
    ) -> None:
        who = Who(by, reason, api_key, call)
        step = partial(acts.redrive, task_id=task_id, who=who, payload=payload, forget=forget)
        await self._do(step)

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        return await self._do(partial(redrives.add, new=new, named=named))

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        return await self._read(partial(redrives.find, redrive_id=redrive_id))

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        return await self._read(partial(redrives.listed, query=query))

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        return await self._do(partial(redrives.stop, redrive_id=redrive_id, why=why))

    async def step_redrive(self, redrive_id: str) -> Redrive:
        most = min(self._redriving.now, max(REDRIVE_BESIDE, self._beside.now))

        def step(transaction: Transaction) -> tuple[Redrive, bool]:
            waited_for = self._writer.waited_for
            redrive = stepping.step(
                transaction, redrive_id=redrive_id, most=most, waited_for=waited_for
            )
            return redrive, waited_for()

        try:
            redrive, waited_for = await self._do(step, patient=True)
        except LedgerUnavailable:
            self._redriving = self._redriving.failed(most)
            raise
        self._redriving = self._redriving.succeeded()
        if not waited_for:
            self._beside = self._beside.succeeded()
        elif most > REDRIVE_BESIDE:
            self._beside = self._beside.failed(most)
        return redrive

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        return await self._read(partial(redrives.open_ones, limit=limit, after=after))

    async def count_redrives(self) -> dict[RedriveState, int]:
        return await self._read(redrives.counts)

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        return await self._do(partial(redrives.purge, before=before, limit=limit), patient=True)

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        return await self._read(partial(redrives.copies, after=after, limit=limit))

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        await self._do(partial(redrives.restore, copies=copies))

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        who = Who(by, reason, api_key, call)
        await self._do(partial(acts.discard, task_id=task_id, who=who))

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        await self._do(partial(controlling.pause, task_type=task_type, by=by, reason=reason))

    async def resume(self, task_type: str) -> None:
        await self._do(partial(controlling.resume, task_type=task_type))

    async def change(self, task_type: str, change: Change) -> None:
        lifted = await self._do(partial(controlling.change, task_type=task_type, change=change))
        while change.by_key and await self._bring_back(task_type) > 0:
            pass
        if lifted:
            await self._do(partial(controlling.forget_key_rate, task_type=task_type))

    async def _bring_back(self, task_type: str) -> int:
        limit = self._bringing_back.now
        step = partial(pacing.bring_all_back, task_type=task_type, limit=limit)
        try:
            count = await self._do(step, patient=True)
        except LedgerUnavailable:
            self._bringing_back = self._bringing_back.failed(limit)
            raise
        self._bringing_back = self._bringing_back.succeeded()
        return count

    async def controls(self) -> list[Control]:
        return shown(await self._read(controlling.controls))

    async def add_key(self, key: Key) -> Key | None:
        return await self._do(partial(keeping.add, key=key))

    async def keys(self) -> list[Key]:
        return await self._read(keeping.keys)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        return await self._do(partial(keeping.rotate, name=name, digest=digest, until=until))

    async def revoke_key(self, name: str, at: Micros) -> Key:
        return await self._do(partial(keeping.revoke, name=name, at=at))

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        await self._do(partial(keeping.note_use, moments=used))

    moves_at_once = scheduling.AT_ONCE

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        many = len(moves) > 1  # a person's is one
        return await self._writer.do_joint(scheduling.move, moves, patient=many)

    async def drop_schedule(self, schedule_id: str) -> bool:
        return await self._do(partial(scheduling.drop, schedule_id=schedule_id))

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        return self._clock(), await self._read(partial(scheduling.get, schedule_id=schedule_id))

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        step = partial(scheduling.schedules, after=after, limit=limit, room=room, payloads=payloads)
        return await self._read(step)

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        return await self._read(partial(scheduling.ticks, schedule_id=schedule_id, limit=limit))

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        step = partial(scheduling.due, now=self._clock(), limit=limit, room=room)
        return await self._read(step)

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        return await self._read(partial(scheduling.unended, task_ids=task_ids))

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        step = partial(reporting.claim_reports, limit=limit, lease=lease)
        return await self._do(step, patient=True)

    async def reported(self, report_ids: Collection[int]) -> None:
        await self._do(partial(reporting.reported, report_ids=report_ids), patient=True)

    async def purge(self, before: Micros, limit: int) -> int:
        return await self._do(partial(purging.purge, before=before, limit=limit), patient=True)

    async def open_measures(self, process: str) -> None:
        await self._do(partial(measuring.open_row, process=process))

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        return await self._do(partial(measuring.publish, process=process, measures=measures))

    async def close_measures(self, process: str, measures: Measures) -> None:
        await self._do(partial(measuring.close_row, process=process, measures=measures))

    async def sum_measures(self) -> Measures:
        return await self._read(measuring.published)

    async def ping(self) -> None:
        await self._do(lambda transaction: transaction.db.execute("UPDATE tally SET pinged = 1"))

    async def wait(self, seconds: float) -> Woken:
        return await self._hints.wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return self._hints.transitions()

    async def close(self) -> None:
        self._readers.shutdown()
        await asyncio.to_thread(self._writer.close)  # the last to close checkpoints, locked
        self._hints.close()
