"""What a person does to one task: cancel, redrive, discard."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from unlost.effects import Forget
from unlost.ledger.calls import Who, compare
from unlost.ledger.postgres.attempts.settling import ATTEMPTS, CLOSE, CloseRow, attempt_row, send
from unlost.ledger.postgres.connection.transaction import NOW, SEQS, Transaction, packed, text
from unlost.ledger.postgres.controls.controlling import ended
from unlost.ledger.postgres.controls.parking import bring_back
from unlost.ledger.postgres.dead_letters.burying import lift
from unlost.ledger.postgres.steps import forgetting
from unlost.ledger.protocol import Refused, StepsStand, UnknownTask
from unlost.task import TRANSITIONS, Event, Micros, Outcome, State


class _Found(msgspec.Struct, frozen=True):
    """A task as it stands, locked."""

    seq: int
    type: str
    number: int
    state: State
    task_place: str
    place: str = ""  # of its open row
    started_at: Micros | None = None
    error_number: int | None = None
    alone: bool = False
    key: str | None = None


# Whoever locks both rows of a task locks the open one first.
OPEN = """
SELECT seq, type, number, state, ctid, started_at, error_number, alone, key FROM unlost.open_task
WHERE seq = (SELECT seq FROM unlost.task WHERE id = %(id)s) FOR UPDATE
"""

OVER = "SELECT seq, type, number, state, ctid FROM unlost.task WHERE id = %(id)s FOR UPDATE"

CALLS = f"SELECT call FROM unlost.act WHERE seq = {SEQS} ORDER BY seq, id"

ACT = f"""
INSERT INTO unlost.act (seq, at, event, by, reason, payload, api_key, call, redrive)
SELECT value::bigint, {NOW}, %(event)s, %(by)s, %(reason)s, %(payload)s, %(api_key)s, %(call)s,
       %(redrive)s
FROM json_array_elements_text(%(seqs)s::json)
"""

REVIVE = f"""
WITH item AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(items)s::json) AS item (
    place tid, due_at bigint, effects text)
), revived AS (
  UPDATE unlost.task
  SET state = NULL, updated_at = {NOW}, spent = 0, redrive_count = redrive_count + 1,
      effects = coalesce(item.effects, task.effects)
  FROM item WHERE task.ctid = item.place
  RETURNING task.*, item.due_at
)
INSERT INTO unlost.open_task (seq, due_at, updated_at, timeout, max_retries, number, spent,
                              attempt_count, error_number, rank, alone, state, type, key)
SELECT seq, due_at, updated_at, timeout, max_retries, number, 0, attempt_count, error_number,
       -priority, alone, 'queued', type, key
FROM revived
"""

EDIT = """
UPDATE unlost.task SET edit = (
  SELECT act.id FROM unlost.act WHERE act.seq BETWEEN task.seq AND task.seq
  ORDER BY act.seq DESC, act.id DESC LIMIT 1)
WHERE id = %(id)s
"""

DISCARD = f"UPDATE unlost.task SET state = 'cancelled', updated_at = {NOW} WHERE id = %(id)s"


class Revived(msgspec.Struct, frozen=True):
    """A dead letter that gets a fresh set of attempts, as REVIVE takes it; its row is locked."""

    seq: int
    place: str
    due_at: Micros
    effects: str | None = None


async def _find(
    transaction: Transaction, task_id: str, event: Event, call: str | None = None
) -> tuple[_Found, State]:
    """The task, locked, and the state it will be in.

    Raises UnknownTask, Repeated, AnotherCall, Refused.
    """
    if "\0" in task_id:
        raise UnknownTask(task_id)
    found = None
    while found is None:
        found = await _look(transaction, task_id)
    if call is not None:
        made = await transaction.rows(CALLS, {"seqs": packed([found.seq])})
        compare(call, (before for (before,) in made))
    after = TRANSITIONS.get((found.state, event))
    if after is None:
        raise Refused(found.state)
    return found, after


async def _look(transaction: Transaction, task_id: str) -> _Found | None:
    """None where it was opened again between the two looks: what was locked so is given back."""
    await transaction.do("SAVEPOINT look")
    asked = await transaction.ask(OPEN, {"id": task_id})
    over = await transaction.rows(OVER, {"id": task_id})
    if not over:
        raise UnknownTask(task_id)
    opened = await transaction.read(asked)
    row, rest = (opened[0], opened[0][4:]) if opened else (over[0], ())
    seq, task_type, number, state = row[:4]
    if state is None:
        await transaction.do("ROLLBACK TO SAVEPOINT look")
        return None
    return _Found(seq, task_type, number, State(state), over[0][4], *rest)


async def cancel(transaction: Transaction, task_id: str, who: Who) -> None:
    """Make a task cancelled; a running attempt ends with it."""
    found, after = await _find(transaction, task_id, Event.CANCEL)
    alone, now = found.alone, transaction.now
    if found.started_at is not None:
        times = (found.started_at, now)
        ended_so = attempt_row(found.seq, found.number, times, Outcome.CANCELLED)
        await send(transaction, ATTEMPTS, [ended_so])
        alone = False
    row = CloseRow(found.place, found.task_place, after, now, alone, found.error_number)
    await send(transaction, CLOSE, [row])
    known = await ended(transaction, [(found.type, None)])
    if known.by_key:
        await bring_back(transaction, [(found.type, found.key)])
    await remember(transaction, [found.seq], Event.CANCEL, who)
    transaction.moved(found.state, after)
    transaction.tell(task_id, found.type, after, found.number)


async def redrive(
    transaction: Transaction, task_id: str, who: Who, payload: str | None, forget: Forget | None
) -> None:
    """Give a dead letter a fresh set of attempts, due now.  Raises StepsStand, TooManyForgotten."""
    found, after = await _find(transaction, task_id, Event.REDRIVE, who.call)
    if payload is not None and forget is None and await forgetting.stand(transaction, found.seq):
        raise StepsStand(task_id)
    now = transaction.now
    letters = [Revived(found.seq, found.task_place, now)]
    await revive(transaction, letters, who, payload, forget or ())
    if payload is not None:
        await transaction.do(EDIT, {"id": task_id})
    transaction.moved(found.state, after)
    transaction.due(now, found.type)
    transaction.tell(task_id, found.type, after, found.number)


async def revive(
    transaction: Transaction,
    revived: list[Revived],
    who: Who,
    payload: str | None,
    forget: Forget,
) -> None:
    """Open dead letters again; `payload` is what their attempts are to get from now on, `forget`
    which of their steps are made again."""
    seqs = [one.seq for one in revived]
    if forget:
        effects = await forgetting.forget(transaction, seqs, forget)
        revived = [replace(one, effects=effects.get(one.seq)) for one in revived]
    await remember(transaction, seqs, Event.REDRIVE, who, payload)
    await send(transaction, REVIVE, revived)
    await lift(transaction, seqs)


async def discard(transaction: Transaction, task_id: str, who: Who) -> None:
    """Make a dead letter cancelled; its history stays."""
    found, after = await _find(transaction, task_id, Event.DISCARD, who.call)
    await transaction.do(DISCARD, {"id": task_id})
    await remember(transaction, [found.seq], Event.DISCARD, who)
    await lift(transaction, [found.seq])
    transaction.moved(found.state, after)
    transaction.tell(task_id, found.type, after, found.number)


async def remember(
    transaction: Transaction, seqs: list[int], event: Event, who: Who, payload: str | None = None
) -> None:
    """Enter in the tasks' histories what somebody did."""
    values = {
        "seqs": packed(seqs), "event": event.value, "by": text(who.by),
        "reason": text(who.reason), "payload": payload, "api_key": who.api_key, "call": who.call,
        "redrive": who.redrive,
    }  # fmt: skip
    await transaction.do(ACT, values)
