"""Recording steps, each only while its token is the running attempt's, and reading them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import apsw
import msgspec

from unlost.effects import MAX_NAMES, Recorded, Step, has_room, recorded
from unlost.ledger.sqlite.connection.inserting import insert
from unlost.ledger.sqlite.connection.rows import Row, first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.values import NewStep, StepLook

Wanted = tuple[str, str, str]
"""A task's id, a token and the name of a step."""

SECRET = "SELECT secret FROM effect_secret"  # noqa: S105  a statement

LOOK = """
SELECT step.name, attempt, at, size, result
FROM task LEFT JOIN step ON step.seq = task.seq AND step.name = ? AND forgotten_at IS NULL
WHERE task.id = ? AND task.token = ?
"""

RUNNING = """
SELECT wanted.key, task.seq, number, EXISTS (SELECT 1 FROM step WHERE step.seq = task.seq)
FROM json_each(?) AS wanted
CROSS JOIN task ON task.id = wanted.value ->> 0 AND task.token = wanted.value ->> 1
"""

KNOWN = """
SELECT name, attempt, at, size, result FROM step
WHERE seq = ? AND name = ? AND forgotten_at IS NULL
"""

OTHERS = f"""
SELECT count(*), coalesce(sum(size), 0) FROM (
  SELECT size FROM step WHERE seq = ? AND name <> ? AND forgotten_at IS NULL LIMIT {MAX_NAMES})
"""

RECORD = """
INSERT INTO step (seq, name, attempt, at, size, result) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (seq, name) DO UPDATE SET attempt = excluded.attempt, at = excluded.at,
  forgotten_at = NULL, size = excluded.size, result = excluded.result
"""

OF_TASK = """
SELECT name, attempt, at, size, {result}, forgotten_at FROM step
WHERE seq = (SELECT seq FROM task WHERE id = ?) ORDER BY at, name
"""

BETWEEN = """
SELECT seq, name, attempt, at, size, NULL, forgotten_at FROM step
WHERE seq BETWEEN ? AND ? ORDER BY seq, at, name
"""

OF = """
SELECT name, attempt, at, size, result, forgotten_at FROM step WHERE seq = ? ORDER BY at, name
"""

KEEP = """
INSERT INTO step (seq, name, attempt, at, size, result, forgotten_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


def secret(db: apsw.Connection) -> bytes:
    """The ledger's own random bytes."""
    return bytes(value(db, SECRET))


def look(db: apsw.Connection, wanted: Sequence[Wanted]) -> list[StepLook]:
    """Whether the attempts run, and what stands under the names."""
    return [_look(db, *one) for one in wanted]


def _look(db: apsw.Connection, task_id: str, token: str, name: str) -> StepLook:
    row = first(db, LOOK, (name, task_id, token))
    if row is None:
        return StepLook(False)
    return StepLook(True, None if row[0] is None else _step(row))


def record(transaction: Transaction, new: Sequence[NewStep]) -> list[Recorded]:
    """Record steps whose token still runs; what a stale token brings changes nothing."""
    wanted = msgspec.json.encode([(one.task_id, one.token) for one in new]).decode()
    running = {place: row for place, *row in rows(transaction.db, RUNNING, (wanted,))}
    times = Counter(seq for seq, *_ in running.values())
    verdicts: list[Recorded] = []
    firsts: list[Row] = []  # of tasks that have no others
    for place, one in enumerate(new):
        if place not in running:
            verdicts.append(Recorded.NOT_RUNNING)
            continue
        seq, number, has_some = running[place]
        if has_some or times[seq] > 1:
            verdicts.append(_record(transaction, (seq, number), one))
        else:
            verdicts.append(recorded(None, one.result, 0, 0))
            firsts.append(_new_row(transaction, (seq, number), one, verdicts[-1]))
    insert(transaction.db, RECORD, firsts)
    return verdicts


def _new_row(
    transaction: Transaction, attempt: tuple[int, int], new: NewStep, verdict: Recorded
) -> Row:
    result = new.result if verdict is Recorded.KEPT else None
    size = None if result is None else len(result.encode())
    return attempt[0], new.name, attempt[1], transaction.now, size, result


def _record(transaction: Transaction, attempt: tuple[int, int], new: NewStep) -> Recorded:
    db, seq = transaction.db, attempt[0]
    row = first(db, KNOWN, (seq, new.name))
    known = None if row is None else _step(row)
    others = None if known else first(db, OTHERS, (seq, new.name))
    count, size = others or (0, 0)
    verdict = recorded(known, new.result, count, size)
    if known is None and has_room(count):
        db.execute(RECORD, _new_row(transaction, attempt, new, verdict))
    return verdict


def steps_of(db: apsw.Connection, task_id: str, *, results: bool) -> list[Step]:
    """What is recorded of a task's steps, by time, then by name."""
    sql = OF_TASK.format(result="result" if results else "NULL")
    return [_step(row) for row in rows(db, sql, (task_id,))]


def between(db: apsw.Connection, first: int, last: int) -> dict[int, list[Step]]:
    """The steps of tasks in this stretch, without their results, by task."""
    found: dict[int, list[Step]] = {}
    for seq, *row in rows(db, BETWEEN, (first, last)):
        found.setdefault(seq, []).append(_step(tuple(row)))
    return found


def of(db: apsw.Connection, seq: int) -> tuple[Step, ...]:
    """The steps of a task, with their results."""
    return tuple(_step(row) for row in rows(db, OF, (seq,)))


def keep(db: apsw.Connection, seq: int, steps: Sequence[Step]) -> None:
    """Keep steps as another ledger kept them."""
    db.executemany(KEEP, [_row(seq, step) for step in steps])


def _row(seq: int, step: Step) -> Row:
    size = None if step.result is None else len(step.result.encode())
    return seq, step.name, step.attempt, step.at, size, step.result, step.forgotten_at


def _step(row: Row) -> Step:
    name, attempt, at, size, result, *forgotten = row
    return Step(name, attempt, at, size is not None, result, *forgotten)
