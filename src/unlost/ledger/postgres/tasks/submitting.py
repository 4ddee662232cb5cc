"""Submitting: the step that stores new tasks and tells replays from conflicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from unlost import carried
from unlost.ledger.postgres.connection.arrays import (
    Array,
    Bigints,
    Blobs,
    Doubles,
    Integers,
    Texts,
)
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
from unlost.ledger.waking import Woken, named
from unlost.task import Micros, Record, State, Submission

# Positions are given in the order of the submits, rows are put in by id: so transactions that
# bring the same ids wait for each other instead of locking each other out.  `IS NOT TRUE` keeps the
# batch from being joined with what is known: that is looked up in a hash table, which is nearly
# always empty, whatever is guessed of it.
_STORE = f"""
WITH known AS MATERIALIZED (
  SELECT id FROM unlost.task WHERE id = ANY (%(ids)s)
), moment AS MATERIALIZED (
  SELECT {NOW} AS now,
         greatest({NOW}, (
           SELECT submitted_at FROM unlost.task ORDER BY submitted_at DESC, seq DESC LIMIT 1)) AS at
), input AS MATERIALIZED (
  SELECT nextval('unlost.task_seq_seq') AS seq, moment.*, item.*
  FROM moment CROSS JOIN unnest(
    %(ids)s, %(types)s, %(digests)s, %(payloads)s, %(priorities)s, %(delays)s, %(run_ats)s,
    %(retries)s, %(timeouts)s, %(keys)s, %(carried)s
  ) WITH ORDINALITY AS item (
    id, type, digest, payload, priority, delay, run_at, retries, timeout, key, carried, turn)
  WHERE (item.id IN (SELECT id FROM known)) IS NOT TRUE
){{tasks_first}}, stored AS {{materialized}} (
  SELECT seq, turn, at, type, -coalesce(priority, 0) AS rank, payload, timeout, retries, key,
         coalesce(run_at, now + coalesce(delay, 0)) AS due_at
  FROM input {{which}}
), big AS (
  INSERT INTO unlost.payload (seq, text) SELECT seq, payload FROM stored
), opened AS (
  INSERT INTO unlost.open_task (seq, due_at, updated_at, timeout, max_retries, rank, state, type,
                                key)
  SELECT seq, due_at, at, timeout, retries, rank, 'queued', type, key FROM stored
), counted AS (
  UPDATE unlost.tally SET accepted = accepted + number, queued = queued + number
  FROM (SELECT count(*) AS number FROM stored) AS counting WHERE slot = {SLOT}
){{tasks_last}}
"""

_TASKS = """, new AS (
  INSERT INTO unlost.task (seq, submitted_at, updated_at, own_timeout, timeout, own_retries,
                           max_retries, priority, id, type, digest, key, carried)
  SELECT seq, at, at, timeout, timeout, retries, retries, coalesce(priority, 0), id, type,
         digest, key, carried
  FROM input ORDER BY id COLLATE "C"
"""

# Whoever loses a race for an id finds it there.
STORE = _STORE.format(
    tasks_first=f"{_TASKS}  ON CONFLICT (id) DO NOTHING RETURNING seq\n)",
    materialized="MATERIALIZED",
    which="WHERE (seq IN (SELECT seq FROM new)) IS TRUE",
    tasks_last="",
)

# Whoever loses a race fails.  No row is put in on trial, with a record of the log for what came of
# it, and what was new is not looked up: a sixth less of the server.  What hangs on nothing is begun
# from behind: so who waits for somebody else's id does not hold the counters' row meanwhile.
STORE_UNRACED = _STORE.format(
    tasks_first="", materialized="NOT MATERIALIZED", which="", tasks_last=f"{_TASKS})"
)

# Nearly always all of them are new, and of each the same is to be said.
_ANSWER = """
SELECT at, CASE WHEN number < cardinality(%(ids)s) THEN ARRAY(SELECT turn FROM stored) END
FROM moment CROSS JOIN (SELECT count(*) AS number FROM stored) AS counting
"""

INSERT = f"{STORE}{_ANSWER}"
INSERT_UNRACED = f"{STORE_UNRACED}{_ANSWER}"
INSERT_NUMBERED = f"{STORE} SELECT turn, at, seq FROM stored"

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


def refuse_what_cannot_be(tasks: Iterable[Submission | Record]) -> None:
    """Raise ValueError where PostgreSQL could not keep an id, a type or a key."""
    words = chain.from_iterable((task.task_id, task.type, task.key or "") for task in tasks)
    if "\0" in "".join(words):
        raise ValueError("an id, a type or a key cannot have a NUL character in it")


async def submit(
    transaction: Transaction,
    submissions: Sequence[Submission],
    committing: Callable[[Transaction, Woken], None] = lambda *_: None,
    *,
    raced: bool = True,
) -> dict[int, Submitted]:
    """Store what is new, in order, and commit: what became of each that was not there before,
    by its place.  `submitted_at` never goes back.

    `committing` hears of the types that are due at once, if all is new.  Unless it may be `raced`,
    psycopg's UniqueViolation is raised where somebody else stores one of them just now.

    The counters are written even where nothing is new.  So the commit has something to wait for,
    behind whatever made the tasks that were there: once it is on a standby, they are.
    """
    at_once = {item.type for item in submissions if item.run_at is None and not item.delay}
    committing(transaction, named(at_once))
    insert = INSERT if raced else INSERT_UNRACED
    return await _insert(transaction, submissions, partial(transaction.last, insert))


async def submit_first(
    transaction: Transaction, submissions: Sequence[Submission]
) -> dict[int, Submitted]:
    """The same without the commit, for a step that goes on."""
    return await _insert(transaction, submissions, partial(transaction.rows, INSERT))


async def submit_new(transaction: Transaction, submissions: Sequence[Submission]) -> bool:
    """Store follow-ups, each of another id; False, with none of them stored, where one is there
    already."""
    await transaction.do("SAVEPOINT new")
    await transaction.do(lock_shared(COUNTING))
    found = await transaction.rows(INSERT_NUMBERED, _columns(submissions))
    if len(found) < len(submissions):
        await transaction.do("ROLLBACK TO SAVEPOINT new")
        return False
    _tell(transaction, submissions)
    rows = [(submissions[turn - 1].carried, at, seq) for turn, at, seq in sorted(found)]
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


async def _insert(
    transaction: Transaction,
    submissions: Sequence[Submission],
    send: Callable[[Mapping[str, Any]], Awaitable[list[Row]]],
) -> dict[int, Submitted]:
    """Store what is new; what became of it."""
    turns = _turns(submissions)
    items = submissions if len(turns) == len(submissions) else [submissions[turn] for turn in turns]
    await transaction.do(lock_shared(COUNTING))
    [(at, new)] = await send(_columns(items))
    if new is not None:
        turns = sorted(turns[place - 1] for place in new)
        items = [submissions[turn] for turn in turns]
    _tell(transaction, items)
    return dict(zip(turns, _accepted(items, at, transaction.now), strict=True))


def _turns(submissions: Sequence[Submission]) -> Sequence[int]:
    """The places of the first of each id."""
    if len({item.task_id for item in submissions}) == len(submissions):
        return range(len(submissions))
    first = {item.task_id: turn for turn, item in reversed(list(enumerate(submissions)))}
    return sorted(first.values())


def _tell(transaction: Transaction, items: Sequence[Submission]) -> None:
    """Let it be known that these are stored."""
    transaction.submitted += len(items)
    now = transaction.now
    for at, name in {(_due(item, now), item.type) for item in items}:
        transaction.due(at, name)
    transaction.tell_all((item.task_id, item.type, State.QUEUED, 0) for item in items)


def _accepted(items: Sequence[Submission], at: Micros, now: Micros) -> list[Submitted]:
    at_once = Submitted(Verdict.ACCEPTED, at, now)  # most are
    dues = [_due(item, now) for item in items]
    return [at_once if due == now else Submitted(Verdict.ACCEPTED, at, due) for due in dues]


def _due(item: Submission, now: Micros) -> Micros:
    return now + item.delay if item.run_at is None else item.run_at


def _columns(items: Sequence[Submission]) -> dict[str, Array]:
    """Submissions as STORE takes them."""
    columns = map(list, zip(*map(msgspec.structs.astuple, items), strict=True))
    (
        ids,
        payloads,
        digests,
        types,
        priorities,
        delays,
        run_ats,
        retries,
        timeouts,
        keys,
        carried,
    ) = columns if items else [[]] * len(Submission.__struct_fields__)
    return {
        "ids": Texts(ids),
        "types": Texts(types),
        "digests": Blobs(digests),
        "payloads": Texts(payloads),
        "priorities": Integers(_given(priorities)),
        "delays": Bigints(_given(delays)),
        "run_ats": Bigints(run_ats),
        "retries": Integers(retries),
        "timeouts": Doubles(timeouts),
        "keys": Texts(keys),
        "carried": Texts(carried),
    }


def _given(numbers: Sequence[int]) -> Sequence[int | None]:
    """None stands for 0, so that a column without a number travels empty."""
    return numbers if any(numbers) else []


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
