"""Tasks as copies: read in one snapshot, and kept as another ledger kept them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from unlost.effects import Effect, Step, taken_along
from unlost.ledger.deaths import dead_letter
from unlost.ledger.postgres.attempts.settling import ATTEMPTS, AttemptRow, attempt_row, send
from unlost.ledger.postgres.connection.locks import COUNTING, lock, lock_shared
from unlost.ledger.postgres.connection.lookup import LAST_SEQ, row
from unlost.ledger.postgres.connection.transaction import Transaction, packed, text
from unlost.ledger.postgres.dead_letters.burying import count_up
from unlost.ledger.postgres.schema import SLOT
from unlost.ledger.postgres.steps import declaring, recording
from unlost.ledger.postgres.steps.recording import read_effects
from unlost.ledger.postgres.tasks.reading import COLUMNS, NUMBER_OF_COLUMNS, OPEN_ROW, records
from unlost.ledger.postgres.tasks.sizes import fitting
from unlost.ledger.postgres.tasks.submitting import STORED, keep_parents
from unlost.ledger.values import EVERYTHING, Copy, Death, Verdict
from unlost.policy import Limits
from unlost.task import FINAL, Micros, Record, State

LAST = f"SELECT coalesce({LAST_SEQ}, 0)"

COPIES = f"""
SELECT {COLUMNS}, task.own_retries, task.own_timeout, coalesce(it.spent, task.spent),
       coalesce(it.alone, task.alone), it.token, it.worker, it.deadline, dead.died_at,
       task.effects, brought.number
FROM unlost.task {OPEN_ROW}
LEFT JOIN LATERAL {row("dead", "task.seq")} AS dead ON true
LEFT JOIN LATERAL {row("brought", "task.seq")} AS brought ON true
WHERE task.seq > %(after)s AND task.seq <= %(last)s ORDER BY task.seq LIMIT %(limit)s
"""

UNREPORTED = """
SELECT found.seq, died_at, number, attempt_count
FROM json_array_elements_text(%(seqs)s::json) AS one (seq)
CROSS JOIN LATERAL (
  SELECT * FROM unlost.report WHERE report.seq = one.seq::bigint OFFSET 0) AS found
ORDER BY found.id
"""


async def last_position(transaction: Transaction) -> int:
    """A position up to which no task can come any more (see `counting.counts`)."""
    await transaction.do(lock(COUNTING))
    return int((await transaction.last(LAST))[0][0])


async def copies(
    transaction: Transaction, after: int, last: int, limit: int, room: int
) -> list[tuple[int, Copy]]:
    """Tasks up to position `last` with all that is kept of them, in the order of positions."""
    rows = await transaction.rows(COPIES, {"after": after, "last": last, "limit": limit})
    rows = await fitting(transaction, rows, EVERYTHING, room, steps=True)
    secret = await recording.secret(transaction)
    seqs = [row[0] for row in rows]
    steps = await recording.of_many(transaction, seqs, results=True)
    declared = await declaring.of_many(transaction, seqs)
    asked = await transaction.ask(UNREPORTED, {"seqs": packed(seqs)})
    found = await records(transaction, rows, EVERYTHING)
    deaths: dict[int, list[Death]] = defaultdict(list)
    for seq, *death in await transaction.read(asked):
        deaths[seq].append(Death(*death))
    made = {seq: (tuple(deaths[seq]), steps[seq], declared[seq]) for seq in seqs}
    return [
        (row[0], _copy(record, row[NUMBER_OF_COLUMNS:], secret, made[row[0]]))
        for row, record in zip(rows, found, strict=True)
    ]


_Beside = tuple[tuple[Death, ...], tuple[Step, ...], tuple[Effect, ...]]


def _copy(record: Record, marks: Sequence[Any], secret: bytes, beside: _Beside) -> Copy:
    retries, timeout, spent, alone, token, worker, deadline, died_at, text, brought = marks
    deaths, steps, declared = beside
    effects = taken_along(
        read_effects(text),
        secret,
        record.task_id,
        record.submitted_at,
        over=record.state in FINAL,
    )
    own = Limits(retries, timeout)
    return Copy(
        record, own, spent, alone, token, worker, deadline, died_at, deaths, effects, steps,
        declared, brought,
    )  # fmt: skip


# In the order of their ids, as by submits (see `submitting.INSERT`).
INSERT = """
WITH input AS MATERIALIZED (
  SELECT nextval('unlost.task_seq_seq') AS seq, item.*
  FROM json_to_recordset(%(items)s::json) AS item (
    turn integer, id text, type text, state text, open boolean, priority smallint, digest text,
    submitted_at bigint, updated_at bigint, due_at bigint, own_retries integer,
    own_timeout double precision, max_retries integer, timeout double precision, number integer,
    spent integer, attempt_count integer, redrive_count integer, error_number integer,
    alone boolean, purged_at bigint, worker text, token text, started_at bigint, deadline bigint,
    payload text, result text, key text, carried text, effects text, excused integer)
), new AS (
  INSERT INTO unlost.task (seq, id, type, state, priority, digest, submitted_at, updated_at,
                           own_retries, own_timeout, max_retries, timeout, number, spent,
                           attempt_count, redrive_count, error_number, alone, purged_at,
                           key, carried, effects, excused)
  SELECT seq, id, type, CASE WHEN NOT open THEN state END, priority, decode(digest, 'base64'),
         submitted_at, updated_at, own_retries, own_timeout, max_retries, timeout, number, spent,
         attempt_count, redrive_count, error_number, alone, purged_at, key, carried, effects,
         excused
  FROM input ORDER BY id COLLATE "C"
  ON CONFLICT (id) DO NOTHING
  RETURNING seq
), stored AS MATERIALIZED (
  SELECT input.* FROM new JOIN input USING (seq)
), big AS (
  INSERT INTO unlost.payload (seq, text) SELECT seq, payload FROM stored WHERE payload IS NOT NULL
), outcome AS (
  INSERT INTO unlost.result (seq, text) SELECT seq, result FROM stored WHERE result IS NOT NULL
), opened AS (
  INSERT INTO unlost.open_task (seq, due_at, updated_at, started_at, deadline, timeout,
                                max_retries, number, spent, attempt_count, error_number, rank,
                                alone, state, type, worker, token, key, excused)
  SELECT seq, due_at, updated_at, started_at, deadline, timeout, max_retries, number, spent,
         attempt_count, error_number, -priority, alone, state, type, worker, token, key,
         excused
  FROM stored WHERE open
)
SELECT turn, seq FROM stored
"""

ACTS = """
INSERT INTO unlost.act (seq, at, event, by, reason, api_key, call, redrive)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  seq bigint, at bigint, event text, by text, reason text, api_key text, call text,
  redrive text)
"""

CANCELLED = """
INSERT INTO unlost.cancelled
SELECT submitted_at, seq
FROM json_to_recordset(%(items)s::json) AS item (submitted_at bigint, seq bigint)
ON CONFLICT DO NOTHING
"""

MILESTONES = "DELETE FROM unlost.milestone WHERE submitted_at > %(at)s"

PURGED = "UPDATE unlost.purged SET up_to = %(seq)s WHERE up_to < %(seq)s"

DEAD = """
INSERT INTO unlost.dead (seq, died_at, fingerprint, error_type)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  seq bigint, died_at bigint, fingerprint text, error_type text)
"""

REPORT = """
INSERT INTO unlost.report (seq, died_at, number, attempt_count)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  seq bigint, died_at bigint, number integer, attempt_count integer)
"""

ACCEPTED = f"""
UPDATE unlost.tally SET accepted = accepted + %(number)s, queued = queued + %(number)s
WHERE slot = {SLOT}
"""


class _TaskRow(msgspec.Struct, frozen=True):
    """A task as INSERT takes it."""

    turn: int
    id: str
    type: str
    state: State
    open: bool
    priority: int
    digest: bytes
    submitted_at: Micros
    updated_at: Micros
    due_at: Micros
    own_retries: int | None
    own_timeout: float | None
    max_retries: int | None
    timeout: float | None
    number: int
    spent: int
    attempt_count: int
    redrive_count: int
    error_number: int | None
    alone: bool
    purged_at: Micros | None
    worker: str | None
    token: str | None
    started_at: Micros | None
    deadline: Micros | None
    payload: str | None
    result: str | None
    key: str | None
    carried: str | None
    effects: str | None
    excused: int | None


class _ActRow(msgspec.Struct, frozen=True):
    seq: int
    at: Micros
    event: str
    by: str | None
    reason: str | None
    api_key: str | None
    call: str | None
    redrive: str | None


class _CancelledRow(msgspec.Struct, frozen=True):
    submitted_at: Micros
    seq: int


class _DeadRow(msgspec.Struct, frozen=True):
    seq: int
    died_at: Micros | None
    fingerprint: str | None
    error_type: str | None


class _ReportRow(msgspec.Struct, frozen=True):
    seq: int
    died_at: Micros
    number: int
    attempt_count: int


_Kept = list[tuple[int, Copy]]
"""What is new, with its position, in order."""


async def restore(transaction: Transaction, copies: Sequence[Copy]) -> list[Verdict]:
    """Keep those that are new, in order."""
    first = {copy.record.task_id: turn for turn, copy in reversed(list(enumerate(copies)))}
    items = [_task_row(turn, copies[turn]) for turn in sorted(first.values())]
    await transaction.do(lock_shared(COUNTING))
    found = sorted(await transaction.rows(INSERT, {"items": packed(items)}))
    verdicts = {turn: Verdict.ACCEPTED for turn, _ in found}
    if len(verdicts) < len(copies):
        await _compare(transaction, copies, verdicts)
    kept = [(seq, copies[turn]) for turn, seq in found]
    if kept:
        await transaction.do(MILESTONES, {"at": min(one.record.submitted_at for _, one in kept)})
    await _keep_the_past(transaction, kept)
    await _keep_deaths(transaction, kept)
    tasks = [(seq, copy.record) for seq, copy in kept]
    await keep_parents(transaction, [(one.carried, one.submitted_at, seq) for seq, one in tasks])
    await _count(transaction, kept)
    return [verdicts[turn] for turn in range(len(copies))]


def _task_row(turn: int, copy: Copy) -> _TaskRow:
    task, own = copy.record, copy.own
    failed = [attempt.number for attempt in task.attempts if attempt.error is not None]
    last = task.attempts[-1] if task.attempts else None
    running = task.state is State.RUNNING
    return _TaskRow(
        turn, task.task_id, task.type, task.state, running or task.due_at is not None,
        task.priority, task.digest, task.submitted_at, task.updated_at, task.due_at or 0,
        own.max_retries, own.timeout, task.max_retries, task.timeout,
        last.number if last else 0, copy.spent, task.attempt_count, task.redrive_count,
        failed[-1] if failed else None, copy.alone, task.purged_at, copy.worker, copy.token,
        last.started_at if last and running else None, copy.deadline, task.payload, task.result,
        task.key, task.carried, None if copy.effects is None else packed(copy.effects),
        task.excused_count or None,
    )  # fmt: skip


async def _compare(
    transaction: Transaction, copies: Sequence[Copy], verdicts: dict[int, Verdict]
) -> None:
    """Tell replays from conflicts, for each that was there before."""
    others = {turn: copy.record for turn, copy in enumerate(copies) if turn not in verdicts}
    ids = sorted({task.task_id for task in others.values()})
    known: list[Any] = await transaction.rows(STORED, {"ids": packed(ids)})
    digests: dict[str, bytes] = dict(known)
    for turn, task in others.items():
        same = digests[task.task_id] == task.digest
        verdicts[turn] = Verdict.REPLAYED if same else Verdict.CONFLICT


async def _keep_the_past(transaction: Transaction, kept: _Kept) -> None:
    """Attempts that have ended, and what people did."""
    await send(transaction, ATTEMPTS, [row for one in kept for row in _attempt_rows(*one)])
    acts = [
        _ActRow(
            seq,
            act.at,
            act.event,
            text(act.by),
            text(act.reason),
            act.api_key,
            act.call,
            act.redrive,
        )
        for seq, copy in kept
        for act in copy.record.history
    ]
    await send(transaction, ACTS, acts)
    cancelled = [
        _CancelledRow(copy.record.submitted_at, seq)
        for seq, copy in kept
        if copy.record.state is State.CANCELLED
    ]
    await send(transaction, CANCELLED, cancelled)  # of some no act tells
    purged = [seq for seq, copy in kept if copy.record.purged_at is not None]
    if purged:
        await transaction.do(PURGED, {"seq": max(purged)})
    rows = [recording.step_row(seq, step) for seq, copy in kept for step in copy.steps]
    await recording.keep(transaction, rows)
    effects = [
        declaring.EffectRow(seq, one.attempt, one.turn, one.name, one.at)
        for seq, copy in kept
        for one in copy.declared
    ]
    await send(transaction, declaring.KEEP, effects)
    await declaring.keep_brought(transaction, [(seq, copy.brought) for seq, copy in kept])


def _attempt_rows(seq: int, copy: Copy) -> Iterator[AttemptRow]:
    for one in copy.record.attempts:
        if one.finished_at is not None and one.outcome is not None:
            times = (one.started_at, one.finished_at)
            yield attempt_row(
                seq, one.number, times, one.outcome, one.error, one.next_attempt_at,
                excused=one.excused,
            )  # fmt: skip


async def _keep_deaths(transaction: Transaction, kept: _Kept) -> None:
    """The dead letters with their groups' counts, and the deaths still to be reported."""
    died = [(seq, copy.died_at, dead_letter(copy.record)) for seq, copy in kept]
    dead = [(seq, at, error) for seq, at, error in died if error is not None]
    rows = [_DeadRow(seq, at, text(why.fingerprint), text(why.type)) for seq, at, why in dead]
    await send(transaction, DEAD, rows)
    if dead:
        await count_up(transaction, [why for _, _, why in dead])
    reports = [
        _ReportRow(seq, death.died_at, death.number, death.attempt_count)
        for seq, copy in kept
        for death in copy.unreported
    ]
    await send(transaction, REPORT, reports)


async def _count(transaction: Transaction, kept: _Kept) -> None:
    """Each as if submitted and moved at once; written last, as by all who lock a counter."""
    for _, copy in kept:
        task = copy.record
        transaction.moved(State.QUEUED, task.state)
        if task.due_at is not None:
            transaction.due(task.due_at, task.type)
        transaction.tell(task.task_id, task.type, task.state, len(task.attempts))
    if kept:
        await transaction.do(ACCEPTED, {"number": len(kept)})
