"""The ledger in a PostgreSQL database, for the processes of any number of machines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Self, TypeVar

import psycopg

from unlost.access.keys import Key
from unlost.batches import BatchSize
from unlost.effects import MAX_RESULT, Forget, Recorded, Step
from unlost.ledger.postgres.attempts import (
    claiming,
    pulling,
    settling,
    succeeding,
    transacting,
    workers,
)
from unlost.ledger.postgres.attempts.marks import Marks
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.faults import unreachable
from unlost.ledger.postgres.connection.joining import Joined
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.store import SOON, Store
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.controls import controlling, pacing
from unlost.ledger.postgres.controls.limiting import Limited
from unlost.ledger.postgres.dead_letters import burying, redrives, reporting, stepping
from unlost.ledger.postgres.hints.listening import Hints
from unlost.ledger.postgres.keys import keeping
from unlost.ledger.postgres.preparing import prepare
from unlost.ledger.postgres.records import copying, counting
from unlost.ledger.postgres.schedules import scheduling
from unlost.ledger.postgres.steps import declaring, recording
from unlost.ledger.postgres.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.postgres.tasks.acts import Who
from unlost.ledger.postgres.upkeep import measuring
from unlost.ledger.postgres.upkeep.purging import Purging
from unlost.ledger.postgres.upkeep.vacuuming import Vacuum
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.protocol.transacting import HandlerTransaction
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
    StepAsked,
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
from unlost.task import SECOND, Micros, Record, Submission
from unlost.telemetry.measures import Measures

T = TypeVar("T")

REDRIVE_AT_ONCE: Final = 500
"""Dead letters redriven in one transaction, so that others need not wait long for it."""

BRING_BACK_AT_ONCE: Final = 5_000
"""Parked tasks brought back in one transaction."""

FORGET_AT_ONCE: Final = 1_000
"""Rows of groups looked at in one transaction for those of which no letter is left."""

FORGET_STRETCHES: Final = 30
"""Such transactions in a row: redrives go on only after them."""

SLOWEST: Final = 512 * 1024
"""Bytes a second that a submit is given more time for."""

SUBMITS_AT_ONCE: Final = 2
"""Transactions of submits under way while thousands wait: each keeps one processor of the server
busy, and waits for its disk."""

READY_WITHIN: Final = 1.5
"""Seconds after which a write that says whether the ledger is ready is given up."""


class PostgresLedger:
    """A ledger in the database at `place`, for one event loop; made by `open`.

    Any number of processes on any number of machines may use one database.  `clock` is for
    tests; without it, the time is the database's.
    """

    def __init__(self, place: Place, clock: Callable[[], Micros] | None = None) -> None:
        self._place = place
        self._pool = Pool(place)
        self._hints = Hints(place, self._pool)
        self._store = Store(self._pool, clock, self._committed)
        self._limited = Limited()
        self._marks = Marks((lambda: clock() / SECOND) if clock else time.monotonic)
        self._forgotten = ""  # the fingerprint behind which groups are looked at next
        self._controlled = True  # whether anything was set for a type when a step last looked
        self._submits = Joined(self._submit, _weight, SUBMITS_AT_ONCE)
        self._settles = Joined(self._settle, _settlement_weight)
        self._looks = Joined(self._look, lambda _: MAX_RESULT)
        self._records = Joined(self._record, lambda new: len(new.result or ""))
        self._declared = Joined(self._declare, lambda new: len(new.name))
        self._redriving = BatchSize.of(REDRIVE_AT_ONCE)
        self._bringing_back = BatchSize.of(BRING_BACK_AT_ONCE)
        self._vacuum = Vacuum(self._pool)
        self._purging = Purging(self._pool, self._store)

    def _committed(self, transaction: Transaction) -> None:
        self._controlled = transaction.controlled
        for name, due_at in transaction.made_due.items():
            self._marks.lower(name, due_at)
        self._hints.committed(transaction)

    @classmethod
    async def open(
        cls, url: str, clock: Callable[[], Micros] | None = None, *, must_exist: bool = False
    ) -> Self:
        """The ledger at `url`, its tables made where there are none, unless it `must_exist`.

        Raises WrongSetting, NotALedger, LedgerUnavailable.
        """
        place = Place(url)
        ledger = cls(place, clock)
        try:
            async with ledger._pool.lent() as db:
                await prepare(db, str(place), must_exist=must_exist)
        except psycopg.Error as fault:
            await ledger.close()
            raise unreachable(fault, str(place)) from None
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        submitting.refuse_what_cannot_be(submissions)
        return await self._submits.do(submissions)

    async def _submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        within = SOON + sum(map(_weight, submissions)) / SLOWEST
        step = partial(submitting.submit, submissions=submissions)
        answers = await self._store.write(step, within)
        if len(answers) < len(submissions):
            others = partial(submitting.compare, submissions=submissions, answers=answers)
            answers = await self._store.read(others)
        return [answers[turn] for turn in range(len(submissions))]

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        step = partial(submitting.compare_all, submissions=submissions)
        return await self._store.read(step)

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        return await self._store.read(partial(reading.get, task_id=task_id, parts=parts))

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        step = partial(explaining.facts, task_ids=task_ids, most_before=most_before)
        return await self._store.read(step)

    async def page(self, query: Query) -> Page:
        return await self._store.read(partial(listing.page, query=query))

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        return await self._store.read(partial(listing.groups, room=room, types=types))

    async def counts(self) -> Counts:
        return await self._store.read(partial(counting.counts, marks=self._marks))

    async def exact_counts(self) -> Counts:
        return await self._store.look(partial(counting.exact_counts, marks=self._marks))

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        step = partial(reading.entries, after=after, limit=limit, room=room)
        return await self._store.read(step)

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        last = await self._store.look(copying.last_position)
        step = partial(copying.copies, after=after, last=last, limit=limit, room=room)
        return await self._store.read(step)

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        submitting.refuse_what_cannot_be(copy.record for copy in copies)
        return await self._store.write(partial(copying.restore, copies=copies))

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await self._store.write(partial(workers.enlist, worker=worker, lease=lease))

    async def extend(self, workers_: Collection[str], lease: Micros) -> set[str]:
        step = partial(workers.extend, workers=workers_, lease=lease)
        return await self._store.write(step, SOON)

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        await self._store.write(partial(workers.dismiss, worker=worker, expired=expired))

    async def workers(self) -> list[Enlisted]:
        return await self._store.read(workers.workers)

    async def claim(self, claim: Claim) -> list[Claimed]:
        limited = self._limited if self._controlled else None
        step = partial(claiming.claim, wanted=claim, limited=limited, marks=self._marks)
        claimed = await self._claimed(step)
        self._vacuum.claimed(len(claimed))
        return claimed

    async def _claimed(self, step: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(step)
        except LedgerUnavailable:  # what the marks have passed may be there still
            self._marks.forget()
            raise

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
    ) -> Micros | None:
        limited = self._controlled
        step = partial(
            claiming.due_in,
            types=types,
            alone=alone,
            limited=limited,
            marks=self._marks,
            claimant=claimant,
        )
        return await self._store.read(step)

    async def pull(self, wanted: Pull) -> Pulled:
        limited = self._limited if self._controlled else None
        step = partial(pulling.pull, wanted=wanted, limited=limited, marks=self._marks)
        pulled = await self._claimed(step)
        self._vacuum.claimed(len(pulled.attempts))
        return pulled

    async def lone(self) -> dict[str, Micros]:
        return await self._store.read(partial(pulling.lone, limited=self._controlled))

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        step = partial(pulling.prolong, worker=worker, owner=owner, lease=lease)
        await self._store.write(step, SOON)

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        return await self._store.read(partial(pulling.standing, tokens=tokens))

    async def overtime(self) -> list[Held]:
        return await self._store.read(pulling.overtime)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await self._settles.do(settlements)

    async def _settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        if self._controlled or not all(map(succeeding.plain, settlements)):
            return await self._store.write(partial(settling.settle, settlements=settlements), SOON)
        succeed = partial(succeeding.succeed, settlements=settlements)
        done = await self._store.write(succeed, SOON)
        rest = [end for end, settled in zip(settlements, done, strict=True) if not settled]
        answers: list[Settled] = []
        if rest:
            answers = await self._store.write(partial(settling.settle, settlements=rest), SOON)
        others = iter(answers)
        return [Settled.HELD if settled else next(others) for settled in done]

    async def effect_secret(self) -> bytes:
        return await self._store.read(recording.secret)

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        [found] = await self._looks.do([StepAsked(task_id, token, name)])
        return found

    async def _look(self, asked: Sequence[StepAsked]) -> list[StepLook]:
        return await self._store.read(partial(recording.look, asked=asked))

    async def record_step(self, new: NewStep) -> Recorded:
        [verdict] = await self._records.do([new])
        return verdict

    async def _record(self, steps: Sequence[NewStep]) -> list[Recorded]:
        return await self._store.write(partial(recording.record, steps=steps), SOON)

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        step = partial(recording.steps_of, task_id=task_id, results=results)
        return await self._store.read(step)

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        await self._declared.do(new)

    async def _declare(self, new: Sequence[NewEffect]) -> list[None]:
        return await self._store.write(partial(declaring.declare, new=new), SOON)

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        return await self._store.read(partial(declaring.page, cursor=cursor, limit=limit))

    async def begin_transaction(self, *, threaded: bool) -> HandlerTransaction:
        return await transacting.begin(self._place, self._store, threaded=threaded)

    async def held(self, worker: str | None) -> list[Held]:
        return await self._store.read(partial(workers.held, worker=worker))

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await self._store.read(partial(workers.dropped, tokens=tokens))

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        step = partial(acts.cancel, task_id=task_id, who=Who(by, reason, api_key))
        await self._store.write(step, SOON)

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
        await self._store.write(step, SOON)

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        return await self._store.write(partial(redrives.add, new=new, named=named), SOON)

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        return await self._store.read(partial(redrives.find, redrive_id=redrive_id))

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        return await self._store.read(partial(redrives.listed, query=query))

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        step = partial(redrives.stop, redrive_id=redrive_id, why=why)
        return await self._store.write(step, SOON)

    async def step_redrive(self, redrive_id: str) -> Redrive:
        most = self._redriving.now
        step = partial(stepping.step, redrive_id=redrive_id, most=most)
        try:
            redrive = await self._store.write(step)
        except LedgerUnavailable:
            self._redriving = self._redriving.failed(most)
            raise
        self._redriving = self._redriving.succeeded()
        return redrive

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        return await self._store.read(partial(redrives.open_ones, limit=limit, after=after))

    async def count_redrives(self) -> dict[RedriveState, int]:
        return await self._store.read(redrives.counts)

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        purged = await self._store.write(partial(redrives.purge, before=before, limit=limit))
        if purged < limit:  # else this is called again
            await self._forget_empty_groups()
        return purged

    async def _forget_empty_groups(self) -> None:
        """Those of a bounded stretch of all groups: the next call goes on behind it."""
        for _ in range(FORGET_STRETCHES):
            step = partial(burying.forget_empty, after=self._forgotten, limit=FORGET_AT_ONCE)
            _, self._forgotten = await self._store.write(step)
            if not self._forgotten:
                break

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        return await self._store.read(partial(redrives.copies, after=after, limit=limit))

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        await self._store.write(partial(redrives.restore, copies=copies))

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        step = partial(acts.discard, task_id=task_id, who=Who(by, reason, api_key, call))
        await self._store.write(step, SOON)

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        step = partial(controlling.pause, task_type=task_type, by=by, reason=reason)
        await self._store.write(step, SOON)
        self._controlled = True

    async def resume(self, task_type: str) -> None:
        await self._store.write(partial(controlling.resume, task_type=task_type), SOON)

    async def change(self, task_type: str, change: Change) -> None:
        step = partial(controlling.change, task_type=task_type, change=change)
        lifted = await self._store.write(step, SOON)
        self._controlled = True
        while change.by_key and await self._bring_back(task_type) > 0:
            pass
        if lifted:
            await self._store.write(partial(controlling.forget_key_rate, task_type=task_type), SOON)

    async def _bring_back(self, task_type: str) -> int:
        limit = self._bringing_back.now
        step = partial(pacing.bring_all_back, task_type=task_type, limit=limit)
        try:
            count = await self._store.write(step)
        except LedgerUnavailable:
            self._bringing_back = self._bringing_back.failed(limit)
            raise
        self._bringing_back = self._bringing_back.succeeded()
        return count

    async def controls(self) -> list[Control]:
        return shown(await self._store.read(controlling.controls))

    async def add_key(self, key: Key) -> Key | None:
        return await self._store.write(partial(keeping.add, key=key), SOON)

    async def keys(self) -> list[Key]:
        return await self._store.read(keeping.keys)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        step = partial(keeping.rotate, name=name, digest=digest, until=until)
        return await self._store.write(step, SOON)

    async def revoke_key(self, name: str, at: Micros) -> Key:
        return await self._store.write(partial(keeping.revoke, name=name, at=at), SOON)

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        await self._store.write(partial(keeping.note_use, moments=used), SOON)

    moves_at_once = scheduling.AT_ONCE

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        return await self._store.write(partial(scheduling.move, moves=moves))

    async def drop_schedule(self, schedule_id: str) -> bool:
        return await self._store.write(partial(scheduling.drop, schedule_id=schedule_id), SOON)

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        return await self._store.read(partial(scheduling.get, schedule_id=schedule_id))

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        step = partial(scheduling.schedules, after=after, limit=limit, room=room, payloads=payloads)
        return await self._store.read(step)

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        return await self._store.read(
            partial(scheduling.ticks, schedule_id=schedule_id, limit=limit)
        )

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        return await self._store.read(partial(scheduling.due, limit=limit, room=room))

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        return await self._store.read(partial(scheduling.unended, task_ids=task_ids))

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        return await self._store.write(partial(reporting.claim_reports, limit=limit, lease=lease))

    async def reported(self, report_ids: Collection[int]) -> None:
        await self._store.write(partial(reporting.reported, report_ids=report_ids))

    async def purge(self, before: Micros, limit: int) -> int:
        return await self._purging.purge(before, limit)

    async def open_measures(self, process: str) -> None:
        await self._store.write(partial(measuring.open_row, process=process))

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        step = partial(measuring.publish, process=process, measures=measures)
        return await self._store.write(step)

    async def close_measures(self, process: str, measures: Measures) -> None:
        await self._store.write(partial(measuring.close_row, process=process, measures=measures))

    async def sum_measures(self) -> Measures:
        return await self._store.read(measuring.published)

    async def ping(self) -> None:
        await self._store.write(counting.ping, READY_WITHIN)

    async def wait(self, seconds: float) -> Woken:
        return await self._hints.wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return self._hints.transitions()

    async def close(self) -> None:
        await self._vacuum.close()
        await self._hints.close()
        await self._store.close()


def _settlement_weight(done: Settlement) -> int:
    return len(done.result or "") + sum(_weight(one.submission) for one in done.submit)


def _weight(submission: Submission) -> int:
    return len(submission.payload)
