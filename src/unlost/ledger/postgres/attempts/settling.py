"""Settling: the step that ends attempts, each only while its token is the running one's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from unlost.ledger import follow_ups
from unlost.ledger.postgres.connection.transaction import Transaction, packed, text
from unlost.ledger.postgres.controls.controlling import ended
from unlost.ledger.postgres.controls.parking import bring_back
from unlost.ledger.postgres.dead_letters.burying import Death, bury
from unlost.ledger.postgres.steps.declaring import keep_brought
from unlost.ledger.postgres.tasks.submitting import digests, submit, submit_first, submit_new
from unlost.ledger.values import Settled, Settlement
from unlost.limits.breaker import ending
from unlost.task import TRANSITIONS, Event, Micros, Outcome, State, TaskError

# `=` would let the planner take the index of what runs, which it believes empty if nothing ran when
# it last looked, and read all of it for each task.
RUNNING = """
SELECT wanted.token, it.seq, it.type, it.number, it.spent, it.attempt_count, it.started_at,
       it.max_retries, it.timeout, it.error_number, it.alone, task.edit, it.key, it.place,
       task.place, it.excused
FROM json_to_recordset(%(wanted)s::json) AS wanted (id text, token text)
CROSS JOIN LATERAL (
  SELECT seq, edit, ctid AS place FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
CROSS JOIN LATERAL (
  SELECT *, ctid AS place FROM unlost.open_task AS it WHERE it.seq = task.seq
    AND it.token IS NOT DISTINCT FROM wanted.token
  FOR UPDATE) AS it
"""

ATTEMPTS = """
INSERT INTO unlost.attempt (seq, number, started_at, finished_at, next_attempt_at, outcome,
                            error_type, message, traceback, fingerprint, excused)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  seq bigint, number integer, started_at bigint, finished_at bigint, next_attempt_at bigint,
  outcome text, error_type text, message text, traceback text, fingerprint text,
  excused boolean)
"""

# Rows are taken by their places (see `lookup`).  None can change meanwhile: who settles or cancels
# holds the lock of the open row, and nobody else writes an open task.
CLOSE = """
WITH item AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(items)s::json) AS item (
    place tid, task tid, state text, updated_at bigint, alone boolean, error_number integer)
), closed AS (
  DELETE FROM unlost.open_task AS it USING item WHERE it.ctid = item.place
  RETURNING item.task, it.number, it.spent, it.attempt_count, it.max_retries, it.timeout,
            it.excused, item.state, item.updated_at, item.alone, item.error_number
)
UPDATE unlost.task
SET state = closed.state, updated_at = closed.updated_at, number = closed.number,
    spent = closed.spent, attempt_count = closed.attempt_count, max_retries = closed.max_retries,
    timeout = closed.timeout, alone = closed.alone, error_number = closed.error_number,
    excused = closed.excused
FROM closed WHERE task.ctid = closed.task
"""

AGAIN = """
WITH item AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(items)s::json) AS item (
    place tid, state text, updated_at bigint, due_at bigint, alone boolean, spent integer,
    attempt_count integer, error_number integer, excused integer)
)
UPDATE unlost.open_task AS it
SET state = item.state, updated_at = item.updated_at, due_at = item.due_at, alone = item.alone,
    spent = item.spent, attempt_count = item.attempt_count, error_number = item.error_number,
    excused = item.excused, worker = NULL, token = NULL, started_at = NULL, deadline = NULL
FROM item WHERE it.ctid = item.place
"""

RESULTS = """
INSERT INTO unlost.result (seq, text)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (seq bigint, text text)
"""

AFTER = {event: after for (state, event), after in TRANSITIONS.items() if state is State.RUNNING}


class _Wanted(msgspec.Struct, frozen=True):
    id: str
    token: str


class _Running(msgspec.Struct, frozen=True):
    """What settling needs of a running task; the columns of RUNNING."""

    seq: int
    type: str
    number: int
    spent: int
    attempt_count: int
    started_at: Micros
    max_retries: int
    timeout: float
    error_number: int | None
    alone: bool
    edit: int | None
    key: str | None
    place: str
    task_place: str
    excused: int | None


class AttemptRow(msgspec.Struct, frozen=True):
    """How an attempt ended, as ATTEMPTS takes it."""

    seq: int
    number: int
    started_at: Micros
    finished_at: Micros
    next_attempt_at: Micros | None
    outcome: Outcome
    error_type: str | None = None
    message: str | None = None
    traceback: str | None = None
    fingerprint: str | None = None
    excused: bool | None = None


class CloseRow(msgspec.Struct, frozen=True):
    """A task that is over, as CLOSE takes it: the places of its open row and of its own."""

    place: str
    task: str
    state: State
    updated_at: Micros
    alone: bool
    error_number: int | None


class _AgainRow(msgspec.Struct, frozen=True):
    place: str
    state: State
    updated_at: Micros
    due_at: Micros
    alone: bool
    spent: int
    attempt_count: int
    error_number: int | None
    excused: int | None


class _ResultRow(msgspec.Struct, frozen=True):
    seq: int
    text: str


_Held = tuple[_Running, Settlement]


async def settle(transaction: Transaction, settlements: Sequence[Settlement]) -> list[Settled]:
    """End attempts whose token still runs; what a stale token brings changes nothing."""
    running = await _running(transaction, settlements)
    asked = [(running.pop(done.token, None), done) for done in settlements]
    ends, new = await _decided(transaction, [done for task, done in asked if task is not None])
    held = list(zip((task for task, _ in asked if task is not None), ends, strict=True))
    if held:
        held = await _end(transaction, held)
        ends = [done for _, done in held]
    if new:
        numbers = follow_ups.brought(ends, new)
        rows = [(task.seq, number) for (task, _), number in zip(held, numbers, strict=True)]
        await keep_brought(transaction, rows)
    for task, done in held:
        after = AFTER[done.event]
        transaction.moved(State.RUNNING, after)
        transaction.tell(done.task_id, task.type, after, task.number)
    if follow := [done.follow for done in ends if done.follow is not None]:
        if transaction.begun_elsewhere:  # who began it looks first at what became of this
            await submit_first(transaction, follow)
        else:
            await submit(transaction, follow)  # and commit
    return follow_ups.answers(((task is not None, done) for task, done in asked), ends)


async def _decided(
    transaction: Transaction, ends: list[Settlement]
) -> tuple[list[Settlement], list[str]]:
    """How attempts that run end, once all the follow-ups are stored that they bring, and the ids of
    those that are new.

    Where somebody else was quicker with an id, what is there decides.
    """
    wanted = set(follow_ups.wanted(ends))
    while wanted:
        known = await digests(transaction, wanted)
        decided = follow_ups.decided(ends, known)
        new = follow_ups.new(decided, known)
        if not new or await submit_new(transaction, new):
            return decided, [one.task_id for one in new]
    return ends, []


async def which_conflict(transaction: Transaction, settlement: Settlement) -> str:
    """What to say of the conflict by which a settlement has just ended."""
    known = await digests(transaction, set(follow_ups.wanted([settlement])))
    [end] = follow_ups.decided([settlement], known)
    return "" if end.error is None else end.error.message


async def _running(
    transaction: Transaction, settlements: Sequence[Settlement]
) -> dict[str, _Running]:
    """What of it runs, by token; locked, in one order for all who lock several."""
    wanted = sorted({(done.task_id, done.token) for done in settlements})
    values = {"wanted": packed([_Wanted(*one) for one in wanted])}
    return {token: _Running(*row) for token, *row in await transaction.rows(RUNNING, values)}


async def _write(transaction: Transaction, held: Sequence[_Held]) -> None:
    now = transaction.now
    closed = [one for one in held if one[1].event in (Event.SUCCEED, Event.DIE)]
    again = [one for one in held if one[1].event in (Event.RETRY, Event.RELEASE)]
    await send(transaction, ATTEMPTS, [_attempt_row(now, *one) for one in held])
    await send(transaction, CLOSE, [_close_row(now, *one) for one in closed])
    await send(transaction, AGAIN, [_again_row(transaction, *one) for one in again])
    results = [(task.seq, done.result) for task, done in held if done.result is not None]
    await send(transaction, RESULTS, [_ResultRow(*one) for one in results])
    await bury(transaction, [_death(now, *one) for one in closed if one[1].event is Event.DIE])


async def _end(transaction: Transaction, held: list[_Held]) -> list[_Held]:
    """End them, and make room; what holds of each, once breakers know of it."""
    endings = [
        (task.type, ending(task.started_at, done.outcome, done.error)) for task, done in held
    ]
    known = await ended(transaction, endings)
    for place in known.excused:
        task, done = held[place]
        held[place] = task, done.by_breaker
    await _write(transaction, held)
    if known.by_key:
        await bring_back(transaction, [(task.type, task.key) for task, _ in held])
    return held


async def send(transaction: Transaction, sql: str, items: Iterable[msgspec.Struct]) -> None:
    """Send a statement for some items, if there are any."""
    if rows := list(items):
        await transaction.do(sql, {"items": packed(rows)})


def attempt_row(
    seq: int,
    number: int,
    times: tuple[Micros, Micros],
    outcome: Outcome,
    error: TaskError | None = None,
    next_at: Micros | None = None,
    *,
    excused: bool = False,
) -> AttemptRow:
    """How an attempt ended; `times` are its start and now."""
    row = (seq, number, times[0], max(times), next_at, outcome)
    if error is None:
        return AttemptRow(*row)
    words = (text(error.type), text(error.message), text(error.traceback))
    return AttemptRow(*row, *words, text(error.fingerprint), excused or None)


def _attempt_row(now: Micros, task: _Running, done: Settlement) -> AttemptRow:
    again = _due_again(now, task, done) if done.event is Event.RETRY else None
    times = (task.started_at, now)
    return attempt_row(
        task.seq, task.number, times, done.outcome, done.error, again, excused=done.excused
    )


def _due_again(now: Micros, task: _Running, done: Settlement) -> Micros:
    """When it is due again: a retry waits from its attempt's end, which is never before its
    start."""
    return max(now, task.started_at) + done.wait


def _error_number(task: _Running, done: Settlement) -> int | None:
    return task.error_number if done.error is None else task.number


def _close_row(now: Micros, task: _Running, done: Settlement) -> CloseRow:
    lonely = done.outcome is Outcome.LOST
    at = max(now, task.started_at)
    error_number = _error_number(task, done)
    after = AFTER[done.event]
    return CloseRow(task.place, task.task_place, after, at, lonely, error_number)


def _again_row(transaction: Transaction, task: _Running, done: Settlement) -> _AgainRow:
    due = _due_again(transaction.now, task, done)
    transaction.due(due, task.type)
    # A release costs nothing and changes nothing.
    lonely = task.alone if done.outcome is Outcome.RELEASED else done.outcome is Outcome.LOST
    uncount = int(done.outcome is Outcome.RELEASED)
    return _AgainRow(
        task.place, AFTER[done.event], max(transaction.now, task.started_at), due, lonely,
        task.spent - (uncount or done.excused), task.attempt_count - uncount,
        _error_number(task, done), (task.excused or 0) + 1 if done.excused else task.excused,
    )  # fmt: skip


def _death(now: Micros, task: _Running, done: Settlement) -> Death:
    at = max(now, task.started_at)
    return Death(task.seq, task.number, task.attempt_count, task.edit, at, done.error)
