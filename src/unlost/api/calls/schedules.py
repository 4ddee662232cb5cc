"""The endpoints below `/schedules`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from unlost import carried
from unlost.access.caller import Caller
from unlost.access.keys import KeyScope
from unlost.api.answers import rendering
from unlost.api.answers import schedules as answers
from unlost.api.answers.large import REPLAYED, Large
from unlost.api.answers.one_task import OneTask
from unlost.api.answers.turns import Turns
from unlost.api.calls.acted import acted
from unlost.api.calls.submitting.timeouts import Timeouts
from unlost.api.calls.tasks import RESERVED, location
from unlost.api.frame import OWN, Frame
from unlost.api.http.admission import need, need_type
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations import schedules as op
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.openapi.schemas.schedules import SchedulesBody
from unlost.api.problems import Conflict, NotFound, invalid, pointer
from unlost.api.request import bodies, members, query, submission
from unlost.api.request.acts import read_act
from unlost.api.request.caller import caller_of
from unlost.api.request.schedules import Bounds, read, schedule_id_of
from unlost.asked import checks
from unlost.asked.checks import Wrong
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import ROOM
from unlost.ledger.weight import schedule_weight
from unlost.schedule import acting
from unlost.schedule.cron import BadCron
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.schedule import KEPT_TICKS, MOST, Move, Moved, Plan, Schedule, owner
from unlost.schedule.zones import UnknownZone
from unlost.task import Micros

TRIES: Final = 20
"""How often others may change a schedule while it is changed here."""

AWAY: Final = "no schedule has this id"

TAKEN: Final = f"another task has this id, or {RESERVED}"


class Seen(NamedTuple):
    """A schedule, and the ledger's time."""

    now: Micros
    schedule: Schedule | None


class Schedules:
    """What is submitted at set times.  `root` is the path below which the service is shown."""

    def __init__(
        self,
        ledger: Ledger,
        turns: Turns,
        max_retries: int,
        frame: Frame = OWN,
        root: str = "",
    ) -> None:
        self._ledger = ledger
        self._turns = turns
        self._task = OneTask(ledger, turns, max_retries, frame.redaction)
        self._frame = frame
        self._root = root
        check_type = frame.name(checks.submitted_type)
        self._bounds = Bounds(frame.callbacks, check_type, frame.schedule_grace)
        self._timeouts = Timeouts(ledger, frame.longest_timeout)
        self._new_id = frame.name(members.path_id)
        self._run_id = frame.name(checks.task_id)

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.LIST, responding(self.list)),
            Route(op.SHOW, responding(self.show)),
            Route(op.SET, responding(self.set)),
            Route(op.DELETE, responding(self.delete)),
            Route(op.RUN, responding(self.run)),
            Route(op.PAUSE, responding(self.pause)),
            Route(op.RESUME, responding(self.resume)),
        ]

    async def list(self, request: Request) -> Large:
        """A page of schedules; of a key that is bounded to types, those of these types."""
        asked = query.read(request.scope["query_string"], op.LIST.query)
        caller, limit = caller_of(request.scope), asked["limit"]
        with_payload = "payload" in asked["include"]

        async def made() -> Sequence[bytes]:
            page, more = await self._page(caller, asked["cursor"], limit, payloads=with_payload)
            shown = [
                answers.shown(one, self._frame.redaction, with_payload=with_payload) for one in page
            ]
            cursor = op.CURSOR + page[-1].id if more else None
            return [rendering.encode(SchedulesBody(shown, cursor))]

        return Large(self._turns, self._frame.page_bytes, made)

    async def _page(
        self, caller: Caller, after: str, limit: int, *, payloads: bool
    ) -> tuple[Sequence[Schedule], bool]:
        """The next schedules that are there for the caller, and whether there are more of them."""
        room = self._frame.page_bytes // 2
        page: list[Schedule] = []
        while found := await self._ledger.schedules(
            after, limit + 1, room if room > 0 else ROOM, payloads=payloads and room > 0
        ):
            after = found[-1].id
            for one in found:
                if not caller.sees(one.plan.type):
                    continue
                # One more than a page has is looked for, so that its end is known.
                if len(page) == limit or room <= 0:
                    return page, True
                page.append(one)
                room -= schedule_weight(one)
        return page, False

    async def show(self, request: Request) -> Response:
        """One schedule, with its newest ticks where asked for."""
        asked = query.read(request.scope["query_string"], op.SHOW.query)
        name = schedule_id_of(request)
        seen = await self._seen(name, caller_of(request.scope))
        ticks = None
        if "ticks" in asked["include"]:
            ticks = await self._ledger.ticks(name, KEPT_TICKS)
        schedule = _there(seen)
        body = answers.whole(schedule, seen.now, self._frame.redaction, ticks)
        return rendering.answer(body)

    async def set(self, request: Request) -> Response:
        """Make a schedule, or make it another."""
        asked = query.read(request.scope["query_string"], op.SET.query)
        name, caller = schedule_id_of(request), caller_of(request.scope)
        need(caller, KeyScope.SUBMIT)
        try:
            self._new_id(name)
        except Wrong as wrong:
            raise invalid([FieldError(f"the id {wrong}", pointer())]) from None
        raw = await bodies.read_json(request.scope, request.receive, submission.BODY_LIMIT)

        async def moves(seen: Seen) -> Sequence[Move]:
            kept = None if seen.schedule is None else seen.schedule.plan
            new = read(raw, self._bounds, self._restored(kept), seen.now, caller.name)
            need_type(caller, new.plan.type)
            asks = (new.plan.type, new.plan.timeout)
            same = kept is not None and (kept.type, kept.timeout) == asks
            if not (same or await self._timeouts.allow(*asks)):
                raise self._timeouts.refusal
            return _set(name, seen, new.plan, paused=new.paused)

        seen, done = await self._change(name, caller, moves, dry=asked["dryRun"])
        schedule = done[-1].schedule if done else _there(seen)
        body = answers.whole(schedule, seen.now, self._frame.redaction)
        if asked["dryRun"]:
            return rendering.answer(body)
        if done:
            acted(op.SET, caller, [name])
        if seen.schedule is not None:
            return rendering.answer(body)
        return rendering.answer(body, 201, {"Location": f"{self._root}/schedules/{name}"})

    async def delete(self, request: Request) -> Response:
        """Delete a schedule; one that is not there stays so: a call may come twice."""
        asked = query.read(request.scope["query_string"], op.DELETE.query)
        name, caller = schedule_id_of(request), caller_of(request.scope)
        need(caller, KeyScope.SUBMIT)
        await self._seen(name, caller)
        if await self._ledger.drop_schedule(name):
            acted(op.DELETE, caller, [name], asked["by"], asked["reason"])
        return Response(status_code=204)

    async def pause(self, request: Request) -> Response:
        """Pause a schedule."""
        return await self._pause(request, op.PAUSE, paused=True)

    async def resume(self, request: Request) -> Response:
        """Let a schedule go on."""
        return await self._pause(request, op.RESUME, paused=False)

    async def _pause(self, request: Request, operation: Operation, *, paused: bool) -> Response:
        name, caller = schedule_id_of(request), caller_of(request.scope)
        need(caller, KeyScope.SUBMIT)
        act = await read_act(request, operation)
        act.body.finish()

        async def moves(seen: Seen) -> Sequence[Move]:
            return _set(name, seen, _there(seen).plan, paused=paused)

        seen, done = await self._change(name, caller, moves)
        if done:
            acted(operation, caller, [name], act.by, act.reason)
        schedule = done[-1].schedule if done else _there(seen)
        return rendering.answer(answers.whole(schedule, seen.now, self._frame.redaction))

    async def run(self, request: Request) -> Large:
        """Submit its task now and show it; the same one again where the call has its id."""
        name, caller = schedule_id_of(request), caller_of(request.scope)
        need(caller, KeyScope.SUBMIT)
        act = await read_act(request, op.RUN)
        task_id = act.body.optional("taskId", self._run_id, None)
        act.body.finish()
        made, is_new = await self._run(name, caller, task_id)
        found = partial(self._task.found, made, caller)
        if not is_new:
            return self._task.answer(caller, found, 200, REPLAYED)
        acted(op.RUN, caller, [name], act.by, act.reason, taskId=made)
        where = {"Location": self._root + location(made).decode()}
        return self._task.answer(caller, found, 202, where)

    async def _run(self, name: str, caller: Caller, task_id: str | None) -> tuple[str, bool]:
        """The id of the task, and whether it is new: else an earlier call has made it."""
        later = 0
        for _ in range(TRIES):
            seen = await self._seen(name, caller)
            if task_id is not None and await self._is_owned(task_id):
                await self._check_ran(name, task_id)
                return task_id, False
            move = acting.run(_there(seen), task_id, seen.now + later, caller.name)
            [moved] = await self._ledger.move_schedules([move])
            made = move.schedule.last_run or ""
            if moved is Moved.DONE:
                return made, True
            if moved is Moved.TAKEN and task_id is not None:
                await self._check_ran(name, task_id)
                return task_id, False
            if moved is Moved.TAKEN:  # by another run of this millisecond
                later += 1_000
        raise LedgerUnavailable(f"others change the schedule {name} all the time")

    async def _is_owned(self, task_id: str) -> bool:
        """Whether it is one that a schedule that is there gives to its own tasks."""
        name = owner(task_id)
        return name is not None and (await self._ledger.schedule(name))[1] is not None

    async def _check_ran(self, name: str, task_id: str) -> None:
        """Raise Conflict where it was no run of this schedule that made the task."""
        record = await self._ledger.get(task_id, ())
        by = None if record is None else carried.read(record.carried).schedule
        if record is None or by is None or by.id != name or not by.by_hand:
            raise Conflict(TAKEN)

    async def _seen(self, name: str, caller: Caller) -> Seen:
        """The schedule, if it is there for the caller.  Raises NotFound for one of other types."""
        seen = Seen(*await self._ledger.schedule(name))
        if seen.schedule is not None and not caller.sees(seen.schedule.plan.type):
            raise NotFound(AWAY)
        return seen

    def _restored(self, kept: Plan | None) -> Callable[[str], str]:
        if kept is None:
            return str
        return partial(self._frame.redaction.restore, kept=kept.payload)

    async def _change(
        self,
        name: str,
        caller: Caller,
        decide: Callable[[Seen], Awaitable[Sequence[Move]]],
        *,
        dry: bool = False,
    ) -> tuple[Seen, Sequence[Move]]:
        """What was there before, and the steps that were taken.  Raises what `decide` does."""
        for _ in range(TRIES):
            seen = await self._seen(name, caller)
            moves = await decide(seen)
            if dry or not moves:
                return seen, moves
            results = await self._ledger.move_schedules(moves)
            if results[-1] is Moved.FULL:
                raise Conflict(f"there are {MOST} schedules, which is as many as there may be")
            if all(moved is Moved.DONE for moved in results):
                return seen, moves
        raise LedgerUnavailable(f"others change the schedule {name} all the time")


def _there(seen: Seen) -> Schedule:
    if seen.schedule is None:
        raise NotFound(AWAY)
    return seen.schedule


def _set(name: str, seen: Seen, plan: Plan, *, paused: bool | None) -> Sequence[Move]:
    """The steps to this plan.  Raises Conflict where it cannot go on as it was set."""
    times, old = times_of(plan), seen.schedule
    if old is None:
        return [acting.created(name, plan, times, seen.now, tzdata(), paused=bool(paused))]
    before = times_of(old.plan)
    try:
        return acting.changed(old, plan, before, times, seen.now, tzdata(), paused=paused)
    except (UnknownZone, BadCron) as wrong:
        raise Conflict(f"its times cannot be found any more: {wrong}") from None
