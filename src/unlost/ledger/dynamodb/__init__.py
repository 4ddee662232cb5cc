"""The ledger in one DynamoDB table, for any number of processes and functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from unlost.access.keys import Key
from unlost.effects import Forget, Recorded, Step
from unlost.ledger.dynamodb.attempts import claiming, claiming_by_id, pulled, pulling, workers
from unlost.ledger.dynamodb.attempts.claiming_by_id import BY_WHAT_IS_SET, Asked, NotClaimed
from unlost.ledger.dynamodb.attempts.settling import Settling
from unlost.ledger.dynamodb.controls.slots import Rooms
from unlost.ledger.dynamodb.dead_letters import reporting
from unlost.ledger.dynamodb.effects import declaring, recording
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.keys import keeping
from unlost.ledger.dynamodb.opened import PATIENCE
from unlost.ledger.dynamodb.records import copying, counting
from unlost.ledger.dynamodb.redrives import Redrives
from unlost.ledger.dynamodb.schedules import scheduling
from unlost.ledger.dynamodb.schedules.scheduling import Scheduling
from unlost.ledger.dynamodb.stored.record import PUT_OFF
from unlost.ledger.dynamodb.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.dynamodb.upkeep import overdue, paced, purging
from unlost.ledger.values import (
    EVERYTHING,
    ROOM,
    Claim,
    Claimed,
    Cohorts,
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
    Report,
    Settled,
    Settlement,
    StepLook,
    Submitted,
    Verdict,
    Worker,
)
from unlost.limits.control import Change, Claimant, Control, Pause, left_to_others
from unlost.limits.why import MOST_BEFORE, Facts
from unlost.policy import Limits
from unlost.schedule.schedule import Due, Move, Moved, Schedule, Tick
from unlost.task import Act, Event, Micros, Record, Submission

__all__ = ["PATIENCE", "DynamoLedger", "NotClaimed"]


class DynamoLedger(Redrives):
    """A `Ledger` in the table `table`, which has the shape of `schema.definition`.

    Any number of processes may open it.  Whatever it answers is in the table.  Lists and what is
    due come from indexes, which lag on AWS by a second or so; counts follow the table's stream
    (`counting`).  `announce` is told of what is due and of deaths, after each step; `wait` and
    `transitions` know the steps that are taken in this process.  `client` is a boto3 client to
    use; `shards` is for a table that is new; `retrying` says for how long DynamoDB is waited for.
    One event loop at a time.
    """

    # Submitting and reading

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await submitting.submit(
                self._calls, tell, submissions, self._positions, now, self._patience
            )

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        return await submitting.compare(self._calls, submissions)

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        stored = await reading.find(self._calls, task_id)
        if stored is None:
            return None
        return (await reading.records(self._calls, [stored], parts))[0]

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        controls = {control.type: control for control in await self._controls.all()}
        now = self._clock()
        return await explaining.facts(self._calls, controls, task_ids, most_before, now)

    async def page(self, query: Query) -> Page:
        return await listing.page(self._calls, query)

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        return await listing.groups(self._calls, room, types)

    async def counts(self) -> Counts:
        now = self._clock()
        paused, pulled = await self._controls.paused(now), await self._controls.pulled(now)
        return await counting.counts(self._calls, paused, pulled, now)

    async def cohorts(self) -> Cohorts:
        """What is counted as accepted so far, for the audit."""
        return await counting.cohorts(self._calls)

    async def rates(self) -> tuple[float, float]:
        """Tasks accepted and settled a second, in the newest minute that is counted whole."""
        return await counting.rates(self._calls, self._clock())

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        return await reading.entries(self._calls, after, limit, room)

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        return await copying.copies(self._calls, after, limit, room)

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await copying.restore(
                self._calls, tell, copies, self._places, now, self._patience
            )

    # Attempts

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await workers.enlist(self._calls, worker, lease, self._clock())

    async def extend(self, workers_: Collection[str], lease: Micros) -> set[str]:
        return await workers.extend(self._calls, workers_, lease, self._clock())

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        await workers.dismiss(self._calls, worker, self._clock(), expired=expired)

    async def workers(self) -> list[Enlisted]:
        return await workers.enlisted(self._calls, self._clock())

    async def claim(self, claim: Claim) -> list[Claimed]:
        now = self._clock()
        async with self._telling(now) as tell:
            rooms = await self._rooms(claim.claimant, now)
            return await claiming.claim(self._calls, tell, claim, rooms, now, self._random)

    async def _rooms(self, claimant: Claimant, now: Micros) -> Rooms:
        known = await self._controls.known(now)
        if claimant is Claimant.STAND_IN:
            named = await workers.named(self._calls, now)
            known = {one.type: one for one in left_to_others(known.values(), named)}
        return Rooms(self._calls, known, now, claimant)

    async def claim_task(
        self,
        task_id: str,
        *,
        token: str,
        worker: str,
        limits: Mapping[str, Limits] | None,
        defaults: Limits,
        lease: Micros,
        claimant: Claimant = Claimant.LOCAL,
    ) -> Claimed | NotClaimed:
        """Start an attempt of this one task if it is due, under a lease of its own.

        `limits` are the types served, with their handlers' limits; None serves every type.  The
        worker need not be enlisted.  Once `lease` is over, `held(None)` names the attempt, as
        soon as `hint_overdue` has met it.  The same token again, after an unknown outcome, is
        answered with the attempt that it started.

        It goes by what was set, and for a stand-in by which types were named, up to 5 s ago; but
        none is refused by that: whoever changes it sends messages at once, which must not serve in
        vain.
        """
        wanted = Claim(worker, (token,), limits, defaults, claimant=claimant)
        now = self._clock()
        async with self._telling(now) as tell:
            claimed = await self._claim_task(tell, task_id, wanted, lease, now)
            if isinstance(claimed, NotClaimed) and claimed.reason in BY_WHAT_IS_SET:
                self._controls.forget()
                self._named.forget()
                claimed = await self._claim_task(tell, task_id, wanted, lease, now)
            return claimed

    async def _claim_task(
        self, tell: Telling, task_id: str, wanted: Claim, lease: Micros, now: Micros
    ) -> Claimed | NotClaimed:
        known = await self._controls.known(now)
        stand_in = wanted.claimant is Claimant.STAND_IN
        named = await self._named.known(now) if stand_in else frozenset[str]()
        asked = Asked(task_id, wanted, lease, known, now, named)
        return await claiming_by_id.claim_task(self._calls, tell, asked, self._random)

    async def pull(self, wanted: Pull) -> Pulled:
        now = self._clock()
        async with self._telling(now) as tell:
            known = await self._controls.known(now)
            pulls = pulling.Pulls(self._calls, tell, known, now, self._random)
            return await pulls.pull(wanted)

    async def lone(self) -> dict[str, Micros]:
        now = self._clock()
        rooms = await self._rooms(Claimant.PULL, now)
        return await pulled.lone(self._calls, rooms, now)

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        await pulled.prolong(self._calls, worker, owner, lease, self._clock())

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        return await pulled.standing(self._calls, tokens, self._clock())

    async def overtime(self) -> list[Held]:
        return await pulled.overtime(self._calls, self._clock())

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
    ) -> Micros | None:
        now = self._clock()
        rooms = await self._rooms(claimant, now)
        if claimant is not Claimant.PULL:
            return await claiming.due_in(self._calls, types, rooms, now, alone=alone)
        before = now + PUT_OFF + PATIENCE  # who claims by the API asks each second, for a second
        pages = 1 if alone else claiming.WAITED_FOR
        return await claiming.due_in(
            self._calls, types, rooms, now, alone=alone, before=before, pages=pages
        )

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        now = self._clock()
        new_id = partial(self._report_ids.next, now)
        async with self._telling(now) as tell:
            settling = Settling(
                self._calls, tell, self._controls, self._positions, new_id, now, self._patience,
                self._random,
            )  # fmt: skip
            return await settling.settle(settlements)

    async def held(self, worker: str | None) -> list[Held]:
        now = self._clock()
        if worker is not None:
            return await workers.held_by(self._calls, worker, now)
        return await workers.left_behind(self._calls, now)

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await workers.dropped(self._calls, tokens)

    async def effect_secret(self) -> bytes:
        return await recording.secret(self._calls)

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        return await recording.look(self._calls, task_id, token, name)

    async def record_step(self, new: NewStep) -> Recorded:
        return await recording.record(self._calls, new, self._clock())

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        return await recording.steps_of(self._calls, task_id, results=results)

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        await declaring.declare(self._calls, new, self._clock())

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        return await declaring.page(self._calls, cursor, limit)

    # What people do

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        act = Act(self._clock(), Event.CANCEL, by, reason, api_key)
        async with self._telling(act.at) as tell:
            await acts.cancel(self._calls, tell, task_id, act)

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
        act = Act(self._clock(), Event.REDRIVE, by, reason, api_key, call)
        async with self._telling(act.at) as tell:
            await acts.redrive(self._calls, tell, task_id, act, payload, self._patience, forget)

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        act = Act(self._clock(), Event.DISCARD, by, reason, api_key, call)
        async with self._telling(act.at) as tell:
            await acts.discard(self._calls, tell, task_id, act)

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        await self._controls.pause(Pause(task_type, self._clock(), by, reason))

    async def resume(self, task_type: str) -> None:
        now = self._clock()
        async with self._telling(now) as tell:
            await self._controls.resume(task_type, tell)

    async def change(self, task_type: str, change: Change) -> None:
        now = self._clock()
        async with self._telling(now) as tell:
            await self._controls.change(task_type, change, tell, now)

    async def controls(self) -> list[Control]:
        return await self._controls.all()

    # Keys

    async def add_key(self, key: Key) -> Key | None:
        return await keeping.add(self._calls, key)

    async def keys(self) -> list[Key]:
        return await keeping.keys(self._calls)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        return await keeping.rotate(self._calls, name, digest, until)

    async def revoke_key(self, name: str, at: Micros) -> Key:
        return await keeping.revoke(self._calls, name, at)

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        await keeping.note_use(self._calls, used)

    # Schedules

    moves_at_once = scheduling.MOVES

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await self._scheduling(tell, now).move(moves)

    async def drop_schedule(self, schedule_id: str) -> bool:
        now = self._clock()
        async with self._telling(now) as tell:
            return await self._scheduling(tell, now).drop(schedule_id)

    def _scheduling(self, tell: Telling, now: Micros) -> Scheduling:
        return Scheduling(self._calls, tell, self._positions, now, self._patience)

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        return self._clock(), await scheduling.get(self._calls, schedule_id)

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        return await scheduling.schedules(self._calls, after, limit, room, payloads=payloads)

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        return await scheduling.ticks(self._calls, schedule_id, limit)

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        return await scheduling.due(self._calls, self._clock(), limit, room)

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        return await scheduling.unended(self._calls, task_ids)

    # Reports and upkeep

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        return await reporting.claim_reports(self._calls, limit, lease, self._clock())

    async def claim_report(self, report_id: int, lease: Micros) -> Report | None:
        """Lease this one report; None where it was recorded as made, or is leased."""
        return await reporting.claim_report(self._calls, report_id, lease, self._clock())

    async def reported(self, report_ids: Collection[int]) -> None:
        await reporting.reported(self._calls, report_ids)

    async def hint_overdue(self, limit: int) -> int:
        """Look at up to `limit` tasks that nobody has brought on; how many were, or are paused."""
        now = self._clock()
        async with self._telling(now) as tell:
            paused = await self._controls.paused(now)
            for name in await self._controls.startable(now):
                tell.room_for_one(name)
            return await overdue.hint_overdue(self._calls, tell, paused, now, self._patience, limit)

    async def hint_paced(self) -> int:
        """Hint as many tasks as the rates of their types let start until after the next sweep, a
        minute from now, and that nobody has told of it; how many."""
        now = self._clock()
        if self._patience == 0:
            return 0
        async with self._telling(now) as tell:
            names, known = await self._controls.startable(now), await self._controls.known(now)
            return await paced.hint_paced(self._calls, tell, [known[one] for one in names], now)

    async def hint_deaths(self, limit: int) -> int:
        """Announce anew up to `limit` deaths that wait too long for their report; how many."""
        now = self._clock()
        async with self._telling(now) as tell:
            return await overdue.hint_deaths(self._calls, tell, now, limit)

    async def purge(self, before: Micros, limit: int) -> int:
        return await purging.purge(self._calls, before, limit, self._clock())
