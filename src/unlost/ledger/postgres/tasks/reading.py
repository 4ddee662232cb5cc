"""Reading tasks: one, and the entries for audit and export."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final

from unlost.effects import Effects
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import SEQS, Row, Transaction, packed
from unlost.ledger.postgres.steps import declaring, recording
from unlost.ledger.postgres.steps.recording import read_effects
from unlost.ledger.postgres.tasks.sizes import fitting
from unlost.ledger.values import Entry, Part
from unlost.task import Act, Attempt, Event, Outcome, Record, State, TaskError

OPEN: Final = frozenset({State.QUEUED, State.RUNNING, State.RETRYING})
WAITING: Final = frozenset({State.QUEUED, State.RETRYING})


def _newest(name: str) -> str:
    return f"CASE WHEN it.seq IS NULL THEN task.{name} ELSE it.{name} END"


# A task is as its open row says, while there is one.
COLUMNS: Final = ", ".join((
    "task.seq", "task.id", "task.type", _newest("state"), "task.priority", "task.digest",
    "task.submitted_at", _newest("updated_at"), "coalesce(it.parked, it.due_at)",
    _newest("max_retries"), _newest("timeout"), _newest("attempt_count"), "task.redrive_count",
    "task.purged_at",
    _newest("error_number"), "task.edit", _newest("number"), "it.started_at",
    "task.key", "task.carried", _newest("excused"),
))  # fmt: skip

NUMBER_OF_COLUMNS: Final = 21

OPEN_ROW: Final = """
LEFT JOIN LATERAL (SELECT * FROM unlost.open_task WHERE open_task.seq = task.seq OFFSET 0) AS it
  ON true
"""

ONE = f"SELECT {COLUMNS} FROM unlost.task {OPEN_ROW} WHERE task.id = %(id)s"

PARTS: Final = {
    Part.PAYLOAD: f"SELECT seq, text FROM unlost.payload WHERE seq = {SEQS}",
    Part.RESULT: f"SELECT seq, text FROM unlost.result WHERE seq = {SEQS}",
    Part.HISTORY: (
        "SELECT seq, at, event, by, reason, api_key, call, redrive FROM unlost.act "
        f"WHERE seq = {SEQS} ORDER BY seq, id"
    ),
    Part.ATTEMPTS: (
        "SELECT seq, number, started_at, finished_at, outcome, next_attempt_at, error_type,"
        " message, traceback, fingerprint, excused"
        f" FROM unlost.attempt WHERE seq = {SEQS} ORDER BY seq, number"
    ),
}

EDITS = """
SELECT wanted.seq, act.payload
FROM json_to_recordset(%(edits)s::json) AS wanted (seq bigint, edit bigint)
CROSS JOIN LATERAL (
  SELECT payload FROM unlost.act
  WHERE act.seq = wanted.seq AND act.id = wanted.edit OFFSET 0) AS act
"""

ERRORS = """
SELECT wanted.seq, error_type, message, NULL, fingerprint
FROM json_to_recordset(%(errors)s::json) AS wanted (seq bigint, number integer)
CROSS JOIN LATERAL (
  SELECT * FROM unlost.attempt
  WHERE attempt.seq = wanted.seq AND attempt.number = wanted.number OFFSET 0) AS attempt
"""

_Found = dict[int, list[list[Any]]]
"""Rows by task."""


async def get(transaction: Transaction, task_id: str, parts: Collection[Part]) -> Record | None:
    """One task as it is now."""
    rows = await transaction.rows(ONE, {"id": task_id})
    found = await records(transaction, rows, parts)
    return found[0] if found else None


async def records(
    transaction: Transaction, rows: Sequence[Row], parts: Collection[Part]
) -> list[Record]:
    """The records of rows of COLUMNS, with the parts asked for: two round trips for all."""
    if not rows:
        return []
    seqs = {"seqs": packed([row[0] for row in rows])}
    asked = {part: await transaction.ask(sql, seqs) for part, sql in PARTS.items() if part in parts}
    edits = [{"seq": row[0], "edit": row[15]} for row in rows if row[15] is not None]
    if Part.PAYLOAD in parts and edits:
        edited = await transaction.ask(EDITS, {"edits": packed(edits)})
    else:
        edited = None
    errors = [{"seq": row[0], "number": row[14]} for row in rows if row[14] is not None]
    failed = await transaction.ask(ERRORS, {"errors": packed(errors)}) if errors else None
    found = {part: _by_task(await transaction.read(cursor)) for part, cursor in asked.items()}
    if edited is not None:
        found[Part.PAYLOAD] |= _by_task(await transaction.read(edited))
    why = {} if failed is None else _by_task(await transaction.read(failed))
    return [_record(row, parts, found, why) for row in rows]


def _by_task(rows: Sequence[Row]) -> _Found:
    found: _Found = defaultdict(list)
    for seq, *rest in rows:
        found[seq].append(rest)
    return found


def _record(row: Row, parts: Collection[Part], found: dict[Part, _Found], why: _Found) -> Record:
    seq, state = row[0], State(row[3])
    running = (row[16], row[17]) if state is State.RUNNING else None
    attempts = _attempts(_of(found, Part.ATTEMPTS, seq), running) if Part.ATTEMPTS in parts else ()
    error = TaskError(*why[seq][0]) if seq in why else None
    if attempts:
        errors = [attempt.error for attempt in attempts if attempt.error is not None]
        error = errors[-1] if errors else None
    results = _of(found, Part.RESULT, seq) if state is State.SUCCEEDED else []
    return Record(
        row[1], row[2], state, row[4], row[5], row[6], row[7],
        row[8] if state in WAITING else None, row[9], row[10], row[11], row[12],
        error, row[13],
        _text(_of(found, Part.PAYLOAD, seq)), _text(results), attempts,
        tuple(Act(at, Event(event), *who) for at, event, *who in _of(found, Part.HISTORY, seq)),
        row[18], row[19], row[20] or 0,
    )  # fmt: skip


def _of(found: dict[Part, _Found], part: Part, seq: int) -> list[list[Any]]:
    return found.get(part, {}).get(seq, [])


def _text(rows: Sequence[list[Any]]) -> str | None:
    return rows[0][0] if rows else None


def _attempts(rows: Sequence[list[Any]], running: tuple[int, int] | None) -> tuple[Attempt, ...]:
    past = [
        Attempt(
            number, started, finished, Outcome(outcome),
            TaskError(*why) if why[0] is not None else None, again, bool(excused),
        )
        for number, started, finished, outcome, again, *why, excused in rows
    ]  # fmt: skip
    return tuple(past) if running is None else (*past, Attempt(*running))


ENTRIES = f"""
SELECT {COLUMNS}, it.token, it.worker, {_newest("spent")}, dead.fingerprint,
       it.seq IS NOT NULL AND it.token IS NULL, task.effects, brought.number
FROM unlost.task {OPEN_ROW}
LEFT JOIN LATERAL {row("dead", "task.seq")} AS dead ON true
LEFT JOIN LATERAL {row("brought", "task.seq")} AS brought ON true
WHERE task.seq > %(after)s ORDER BY task.seq LIMIT %(limit)s
"""

TOLD = frozenset({Part.ATTEMPTS, Part.HISTORY})


async def entries(transaction: Transaction, after: int, limit: int, room: int) -> list[Entry]:
    """Records with the ledger's own marks, in the order of their positions.

    A submit that is under way may still take a lower one (see `counting.counts`).
    """
    rows = await transaction.rows(ENTRIES, {"after": after, "limit": limit})
    rows = await fitting(transaction, rows, TOLD, room, steps=True)
    seqs = [row[0] for row in rows]
    steps = await recording.of_many(transaction, seqs, results=False)
    declared = await declaring.of_many(transaction, seqs)
    found = await records(transaction, rows, TOLD)
    return [
        Entry(row[0], record, *[*_marks(row), steps[row[0]], declared[row[0]], row[-1]])
        for row, record in zip(rows, found, strict=True)
    ]


def _marks(row: Row) -> tuple[Any, ...]:
    """The ledger's own, as an entry has them."""
    *marks, effects, _ = row[NUMBER_OF_COLUMNS:]
    return (*marks, (read_effects(effects) or Effects()).forgotten)
