"""Recording steps, each only while its token is the running attempt's, and reading them.

The open row of a task is locked for a record: no settlement comes between what is looked at and
what is written, and two records of one attempt are made one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from unlost.effects import MAX_NAMES, Effects, Recorded, Step, has_room, recorded
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import SEQS, Transaction, cannot_be, packed
from unlost.ledger.values import NewStep, StepAsked, StepLook
from unlost.task import Micros

OWN_BYTES: Final = "SELECT secret FROM unlost.effect_secret"


def named(seq: str, name: str) -> str:
    """A subquery for LATERAL: the record of a step, with its `place`."""
    return f"""(
  SELECT *, ctid AS place FROM unlost.step
  WHERE (step.seq, step.name) >= ({seq}, {name}) AND (step.seq, step.name) <= ({seq}, {name})
  ORDER BY step.seq, step.name LIMIT 1)"""


_TASK: Final = "(SELECT seq FROM unlost.task WHERE task.id = wanted.id OFFSET 0)"

LOOK: Final = f"""
SELECT wanted.turn, step.name, step.attempt, step.at, step.size, step.result
FROM json_to_recordset(%(wanted)s::json) AS wanted (turn integer, id text, token text, name text)
CROSS JOIN LATERAL {_TASK} AS task
CROSS JOIN LATERAL {row("open_task", "task.seq")} AS it
LEFT JOIN LATERAL {named("task.seq", "wanted.name")} AS step ON step.forgotten_at IS NULL
WHERE it.token = wanted.token
"""

RUNNING: Final = f"""
SELECT wanted.token, it.seq, it.number
FROM json_to_recordset(%(wanted)s::json) AS wanted (id text, token text)
CROSS JOIN LATERAL {_TASK} AS task
CROSS JOIN LATERAL (
  SELECT seq, number FROM unlost.open_task AS it
  WHERE it.seq = task.seq AND it.token IS NOT DISTINCT FROM wanted.token FOR UPDATE) AS it
"""

KNOWN: Final = f"""
SELECT task.seq, step.name, step.attempt, step.at, step.size, step.result
FROM json_to_recordset(%(wanted)s::json) AS wanted (id text, name text)
CROSS JOIN LATERAL {_TASK} AS task
CROSS JOIN LATERAL {named("task.seq", "wanted.name")} AS step
WHERE step.forgotten_at IS NULL
"""

# Where there are as many as may be, nothing more is recorded.
STANDING: Final = f"""
SELECT task.seq, standing.number, standing.size
FROM json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL {_TASK} AS task
CROSS JOIN LATERAL (
  SELECT count(*) AS number, coalesce(sum(size), 0) AS size FROM (
    SELECT size FROM unlost.step
    WHERE step.seq BETWEEN task.seq AND task.seq AND forgotten_at IS NULL
    ORDER BY step.seq, step.name LIMIT {MAX_NAMES}) AS step OFFSET 0) AS standing
"""

RECORD: Final = """
INSERT INTO unlost.step (seq, name, attempt, at, size, result, forgotten_at)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  seq bigint, name text, attempt integer, at bigint, size integer, result text,
  forgotten_at bigint)
ON CONFLICT (seq, name) DO UPDATE
SET attempt = excluded.attempt, at = excluded.at, forgotten_at = excluded.forgotten_at,
    size = excluded.size, result = excluded.result
"""

_STEPS: Final = """
SELECT step.name, attempt, at, size, {result}, forgotten_at
FROM unlost.task CROSS JOIN LATERAL (
  SELECT * FROM unlost.step WHERE step.seq BETWEEN task.seq AND task.seq
  ORDER BY step.seq, step.name OFFSET 0) AS step
WHERE task.id = %(id)s ORDER BY at, step.name
"""
_OF_MANY: Final = f"""
SELECT seq, name, attempt, at, size, {{result}}, forgotten_at FROM unlost.step
WHERE seq = {SEQS} ORDER BY seq, at, name
"""
OF_MANY: Final = _OF_MANY.format(result="NULL")
OF_MANY_WITH_RESULTS: Final = _OF_MANY.format(result="result")

STEPS: Final = _STEPS.format(result="NULL")
STEPS_WITH_RESULTS: Final = _STEPS.format(result="result")


_decode = msgspec.json.Decoder(Effects).decode


class StepRow(msgspec.Struct, frozen=True):
    """A step as RECORD takes it."""

    seq: int
    name: str
    attempt: int
    at: Micros
    size: int | None
    result: str | None
    forgotten_at: Micros | None = None


def step_row(seq: int, step: Step) -> StepRow:
    """What is kept of a step."""
    size = None if step.result is None else len(step.result.encode())
    return StepRow(seq, step.name, step.attempt, step.at, size, step.result, step.forgotten_at)


def step_of(found: Sequence[Any]) -> Step:
    """The step of such a row: its name, attempt, time, size, result, when it was forgotten."""
    name, attempt, at, size, *more = found
    return Step(name, attempt, at, size is not None, *more)


def read_effects(text: str | None) -> Effects | None:
    """A task's."""
    return None if text is None else _decode(text)


async def secret(transaction: Transaction) -> bytes:
    """What this ledger's effect keys come from."""
    return bytes((await transaction.rows(OWN_BYTES))[0][0])


async def look(transaction: Transaction, asked: Sequence[StepAsked]) -> list[StepLook]:
    """Which of the attempts run, and what stands under the names."""
    wanted = [
        {"turn": turn, "id": one.task_id, "token": one.token, "name": one.name}
        for turn, one in enumerate(asked)
        if not _cannot_run(one)
    ]
    found = {turn: row for turn, *row in await transaction.rows(LOOK, {"wanted": packed(wanted)})}
    return [_look(found.get(turn)) for turn in range(len(asked))]


def _cannot_run(one: StepAsked | NewStep) -> bool:
    return any(map(cannot_be, (one.task_id, one.token, one.name)))


def _look(found: list[Any] | None) -> StepLook:
    if found is None:
        return StepLook(False)
    return StepLook(True, None if found[0] is None else step_of(found))


class _Standing:
    """What a running attempt's task has recorded, and how much that is."""

    def __init__(self, seq: int, number: int) -> None:
        self.seq = seq
        self.number = number
        self.steps: dict[str, Step] = {}
        self.count = 0
        self.size = 0

    def record(self, new: NewStep, now: Micros) -> tuple[Recorded, StepRow | None]:
        """What becomes of it, and what is to be written."""
        known = self.steps.get(new.name)
        verdict = recorded(known, new.result, self.count, self.size)
        if known is not None or not has_room(self.count):
            return verdict, None
        good = verdict is Recorded.KEPT
        step = Step(new.name, self.number, now, good, new.result if good else None)
        made = step_row(self.seq, step)
        self.steps[new.name] = step
        self.count += 1
        self.size += made.size or 0
        return verdict, made


async def record(transaction: Transaction, steps: Sequence[NewStep]) -> list[Recorded]:
    """Record steps of running attempts, in order."""
    running = await _running(transaction, [one for one in steps if not _cannot_run(one)])
    verdicts, rows = [], []
    for new in steps:
        standing = running.get(new.token)
        if standing is None:
            verdicts.append(Recorded.NOT_RUNNING)
            continue
        verdict, made = standing.record(new, transaction.now)
        verdicts.append(verdict)
        if made is not None:
            rows.append(made)
    await keep(transaction, rows)
    return verdicts


async def _running(transaction: Transaction, steps: Sequence[NewStep]) -> dict[str, _Standing]:
    """What of it runs, by token; locked, in one order for all who lock several."""
    tokens = sorted({(one.task_id, one.token) for one in steps})
    names = sorted({(one.task_id, one.name) for one in steps})
    locked = await transaction.ask(
        RUNNING, {"wanted": packed([{"id": task_id, "token": token} for task_id, token in tokens])}
    )
    known = await transaction.ask(
        KNOWN, {"wanted": packed([{"id": task_id, "name": name} for task_id, name in names])}
    )
    sums = await transaction.ask(
        STANDING, {"ids": packed(sorted({task_id for task_id, _ in tokens}))}
    )
    found = {token: _Standing(seq, number) for token, seq, number in await transaction.read(locked)}
    by_seq = {standing.seq: standing for standing in found.values()}
    for seq, *step in await transaction.read(known):
        if seq in by_seq:
            by_seq[seq].steps[step[0]] = step_of(step)
    for seq, count, size in await transaction.read(sums):
        if seq in by_seq:
            by_seq[seq].count, by_seq[seq].size = int(count), int(size)
    return found


async def of_many(
    transaction: Transaction, seqs: Sequence[int], *, results: bool
) -> dict[int, tuple[Step, ...]]:
    """The steps of these tasks, by time."""
    sql = OF_MANY_WITH_RESULTS if results else OF_MANY
    found: dict[int, list[Step]] = {seq: [] for seq in seqs}
    for seq, *step in await transaction.rows(sql, {"seqs": packed(seqs)}):
        found[seq].append(step_of(step))
    return {seq: tuple(steps) for seq, steps in found.items()}


async def keep(transaction: Transaction, rows: Sequence[StepRow]) -> None:
    """Write steps."""
    if rows:
        await transaction.do(RECORD, {"items": packed(rows)})


async def steps_of(transaction: Transaction, task_id: str, *, results: bool) -> list[Step]:
    """What is recorded of a task's steps, by time."""
    if cannot_be(task_id):
        return []
    sql = STEPS_WITH_RESULTS if results else STEPS
    return [step_of(one) for one in await transaction.rows(sql, {"id": task_id})]
