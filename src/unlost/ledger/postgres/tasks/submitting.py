"""Submitting: the step that stores new tasks and tells replays from conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from unlost import carried
from unlost.ledger.postgres.connection.locks import COUNTING, lock_shared
from unlost.ledger.postgres.connection.transaction import (
    NOW,
    Row,
    Transaction,
    cannot_be,
    packed,
)
from unlost.ledger.postgres.schema import SLOT
from unlost.ledger.values import Submitted, Verdict
from unlost.task import Micros, Record, State, Submission

# Positions are given in the order of the submits, rows are put in by id: so transactions that
# bring the same ids wait for each other instead of locking each other out.
INSERT = f"""
WITH input AS MATERIALIZED (
  SELECT nextval('unlost.task_seq_seq') AS seq, item.*
  FROM json_to_recordset(%(items)s::json) AS item (
    turn integer, id text, type text, priority smallint, digest text, payload text,
    delay bigint, run_at bigint, retries integer, timeout double precision, key text,
    carried text)
), moment AS MATERIALIZED (
  SELECT {NOW} AS now,
         greatest({NOW}, (
           SELECT submitted_at FROM unlost.task ORDER BY submitted_at DESC, seq DESC LIMIT 1)) AS at
), new AS (
  INSERT INTO unlost.task (seq, submitted_at, updated_at, own_timeout, timeout, own_retries,
                           max_retries, priority, id, type, digest, key, carried)
  SELECT seq, at, at, timeout, timeout, retries, retries, priority, id, type,
         decode(digest, 'base64'), key, carried
  FROM input CROSS JOIN moment ORDER BY id COLLATE "C"
  ON CONFLICT (id) DO NOTHING
  RETURNING seq, submitted_at
), stored AS MATERIALIZED (
  SELECT seq, turn, submitted_at, type, priority, payload, timeout, retries, key,
         coalesce(run_at, (SELECT now FROM moment) + delay) AS due_at
  FROM new JOIN input USING (seq)
), big AS (
  INSERT INTO unlost.payload (seq, text) SELECT seq, payload FROM stored
), opened AS (
  INSERT INTO unlost.open_task (seq, due_at, updated_at, timeout, max_retries, rank, state, type,
                                key)
  SELECT seq, due_at, submitted_at, timeout, retries, -priority, 'queued', type, key FROM stored
), counted AS (
  UPDATE unlost.tally SET accepted = accepted + number, queued = queued + number
  FROM (SELECT count(*) AS number FROM stored) AS counting WHERE slot = {SLOT}
)
SELECT turn, submitted_at, due_at, seq FROM stored
"""

STORED = """
SELECT known.id, task.digest FROM json_array_elements_text(%(ids)s::json) AS known (id)
CROSS JOIN LATERAL (SELECT digest FROM unlost.task WHERE task.id = known.id OFFSET 0) AS task
"""


FOLLOW_UPS = """
INSERT INTO unlost.follow_up (parent, submitted_at, seq)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  parent text, submitted_at bigint, seq bigint)
"""


class _FollowUp(msgspec.Struct, frozen=True, gc=False):
    parent: str
    submitted_at: Micros
    seq: int


class _Item(msgspec.Struct, frozen=True, gc=False):
    """A submission as the statement takes it."""

    turn: int
    id: str
    type: str
    priority: int
    digest: bytes
    payload: str
    delay: Micros
    run_at: Micros | None
    retries: int | None
    timeout: float | None
    key: str | None
    carried: str | None


def refuse_what_cannot_be(tasks: Iterable[Submission | Record]) -> None:
    """Raise ValueError where PostgreSQL could not keep an id, a type or a key."""
    if any("\0" in words for task in tasks for words in (task.task_id, task.type, task.key or "")):
        raise ValueError("an id, a type or a key cannot have a NUL character in it")


async def submit(
    transaction: Transaction, submissions: Sequence[Submission]
) -> dict[int, Submitted]:
    """Store what is new, in order, and commit: what became of each that was not there before,
    by its place.  `submitted_at` never goes back.

    The counters are written even where nothing is new.  So the commit has something to wait for,
    behind whatever made the tasks that were there: once it is on a standby, they are.
    """
    values = await _prepared(transaction, submissions)
    return _stored(transaction, submissions, await transaction.last(INSERT, values))


async def submit_first(
    transaction: Transaction, submissions: Sequence[Submission]
) -> dict[int, Submitted]:
    """The same without the commit, for a step that goes on."""
    values = await _prepared(transaction, submissions)
    return _stored(transaction, submissions, await transaction.rows(INSERT, values))


async def submit_new(transaction: Transaction, submissions: Sequence[Submission]) -> bool:
    """Store follow-ups, each of another id; False, with none of them stored, where one is there
    already."""
    values = await _prepared(transaction, submissions)
    await transaction.do("SAVEPOINT new")
    found = await transaction.rows(INSERT, values)
    if len(found) < len(submissions):
        await transaction.do("ROLLBACK TO SAVEPOINT new")
        return False
    _stored(transaction, submissions, found)
    rows = [(submissions[turn].carried, at, seq) for turn, at, _, seq in found]
    await keep_parents(transaction, rows)
    return True


async def keep_parents(
    transaction: Transaction, tasks: Iterable[tuple[str | None, Micros, int]]
) -> None:
    """Enter those of these tasks (what they carry, `submitted_at`, `seq`) that have a parent."""
    found = ((carried.parent(text), at, seq) for text, at, seq in tasks)
    rows = [_FollowUp(parent, at, seq) for parent, at, seq in found if parent is not None]
    if rows:
        await transaction.do(FOLLOW_UPS, {"items": packed(rows)})


async def _prepared(transaction: Transaction, submissions: Sequence[Submission]) -> dict[str, str]:
    first = {item.task_id: turn for turn, item in reversed(list(enumerate(submissions)))}
    items = [_item(turn, submissions[turn]) for turn in sorted(first.values())]
    await transaction.do(lock_shared(COUNTING))
    return {"items": packed(items)}


def _stored(
    transaction: Transaction, submissions: Sequence[Submission], found: Sequence[Row]
) -> dict[int, Submitted]:
    for turn, _, due_at, _ in found:
        transaction.due(due_at, submissions[turn].type)
    for turn in sorted(row[0] for row in found):
        item = submissions[turn]
        transaction.tell(item.task_id, item.type, State.QUEUED, 0)
    return {turn: Submitted(Verdict.ACCEPTED, at, due) for turn, at, due, _ in found}


def _item(turn: int, item: Submission) -> _Item:
    return _Item(
        turn, item.task_id, item.type, item.priority, item.digest, item.payload, item.delay,
        item.run_at, item.max_retries, item.timeout, item.key, item.carried,
    )  # fmt: skip


async def compare(
    transaction: Transaction, submissions: Sequence[Submission], answers: dict[int, Submitted]
) -> dict[int, Submitted]:
    """All answers: tell replays from conflicts, for each that was there before.

    A task's digest never changes, so this may come later.
    """
    others = [turn for turn in range(len(submissions)) if turn not in answers]
    there = await digests(transaction, {submissions[turn].task_id for turn in others})
    again = {turn: _again(there[submissions[turn].task_id], submissions[turn]) for turn in others}
    return answers | {turn: Submitted(verdict) for turn, verdict in again.items()}


async def compare_all(
    transaction: Transaction, submissions: Sequence[Submission]
) -> list[Verdict | None]:
    """What each is whose id is there already; None for one that is new."""
    ids = {new.task_id for new in submissions if not cannot_be(new.task_id)}
    there = await digests(transaction, ids)
    return [
        _again(there[new.task_id], new) if new.task_id in there else None for new in submissions
    ]


async def digests(transaction: Transaction, ids: set[str]) -> dict[str, bytes]:
    """The digests of those tasks that are there."""
    known: list[Any] = await transaction.rows(STORED, {"ids": packed(sorted(ids))})
    return dict(known)


def _again(digest: bytes, new: Submission) -> Verdict:
    return Verdict.REPLAYED if digest == new.digest else Verdict.CONFLICT
