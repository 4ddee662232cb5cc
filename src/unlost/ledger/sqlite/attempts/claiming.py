"""Claiming due tasks, and when there will be some."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from itertools import islice

import apsw
import msgspec

from unlost.ledger.protocol import LeaseOver
from unlost.ledger.sqlite.attempts.settling import settle
from unlost.ledger.sqlite.connection.rows import Row, each, first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls import pacing
from unlost.ledger.sqlite.controls.controlling import holding, rooms
from unlost.ledger.sqlite.controls.parking import park
from unlost.ledger.sqlite.steps import forgetting
from unlost.ledger.values import PULLED, Claim, Claimed, Settlement
from unlost.limits.control import Claimant, Paced, Rooms
from unlost.policy import Limits
from unlost.task import SECOND, Event, Micros, Outcome, State

PROMOTE_AT_ONCE = 1_000

LOOKED_AT = 1_000
"""Tasks of a limited type that one claim looks at, where most of them have no room."""

DUE = "SELECT 1 FROM task WHERE waiting = ? AND due_at <= ? LIMIT 1"

PROMOTE = """
UPDATE task SET ready = waiting, waiting = NULL WHERE seq IN (
  SELECT seq FROM task WHERE waiting = ? AND due_at <= ? ORDER BY due_at LIMIT ?)
"""

NEXT_TYPE = "SELECT type FROM task WHERE ready = ? AND type > ? ORDER BY type LIMIT 1"

TURNS = """
SELECT -priority, due_at, seq FROM task WHERE ready = ? AND type = ? AND due_at <= ?
ORDER BY priority DESC, due_at, seq LIMIT ?
"""

CANDIDATES = """
SELECT -priority, due_at, seq, key FROM task WHERE ready = ? AND type = ? AND due_at <= ?
ORDER BY priority DESC, due_at, seq LIMIT ?
"""

CHOSEN = """
SELECT task.seq, task.id, task.type, state, own_retries, own_timeout, number, spent, redrive_count,
       submitted_at, edit, due_at, payload.text, carried, effects, excused, task.key
FROM json_each(?) AS wanted CROSS JOIN task ON task.seq = wanted.value JOIN payload USING (seq)
"""

# Only lengths are read, and no further than there is room.
SIZES = """
SELECT coalesce((SELECT octet_length(act.payload) FROM act WHERE act.id = task.edit),
                octet_length(payload.text))
FROM json_each(?) AS wanted CROSS JOIN task ON task.seq = wanted.value
CROSS JOIN payload ON payload.seq = task.seq ORDER BY wanted.key
"""

# All that have the same limits: an object of their tokens.
START = """
UPDATE task SET state = 'running', ready = NULL, worker = ?1, token = started.value,
  number = number + 1, spent = spent + 1, attempt_count = attempt_count + 1, started_at = ?2,
  updated_at = ?2, deadline = ?3, max_retries = ?4, timeout = ?5
FROM json_each(?6) AS started WHERE task.seq = CAST(started.key AS INTEGER)
"""

PULL = "INSERT INTO pulled (token, seq, deadline) VALUES (?, ?, ?)"

_Turn = tuple[int, Micros, int]
"""A task by its turn: priority (negated), when it was due, its seq."""


def claim(transaction: Transaction, wanted: Claim) -> list[Claimed]:
    """Start up to len(tokens) attempts of the tasks that are due."""
    db, now = transaction.db, transaction.now
    alive = "SELECT 1 FROM worker WHERE id = ? AND lease_until > ?"
    if first(db, alive, (wanted.worker, now)) is None:
        raise LeaseOver(wanted.worker)
    kind = 2 if wanted.alone else 1
    _promote(db, kind, now)
    chosen = _choose(db, kind, wanted, now)
    if not chosen:
        return []
    found = {row[0]: row for row in rows(db, CHOSEN, (msgspec.json.encode(chosen).decode(),))}
    taken = [found[seq] for seq in chosen if seq in found]
    claimed = _started(db, wanted, taken, now)
    alike: dict[tuple[int, float], dict[int, str]] = {}
    pulled = []
    for one, row in zip(claimed, taken, strict=True):
        alike.setdefault((one.max_retries, one.timeout), {})[row[0]] = one.token
        if one.token.startswith(PULLED):
            pulled.append((one.token, row[0], one.deadline))
    for (retries, timeout), tokens in alike.items():
        deadline, started = _deadline(now, timeout), msgspec.json.encode(tokens).decode()
        db.execute(START, (wanted.worker, now, deadline, retries, timeout, started))
    db.executemany(PULL, pulled)
    for before, count in Counter(row[3] for row in taken).items():
        transaction.moved(State(before), State.RUNNING, count)
    if transaction.watched:
        for one in claimed:
            transaction.tell(one.task_id, one.type, State.RUNNING, one.number)
    transaction.take_back.append(partial(_release, claimed=claimed))
    return claimed


def _release(transaction: Transaction, claimed: list[Claimed]) -> None:
    """End attempts that nobody was told to begin, so that they cost nothing."""
    settle(
        transaction,
        [Settlement(one.task_id, one.token, Outcome.RELEASED, Event.RELEASE, 0) for one in claimed],
    )


def _promote(db: apsw.Connection, kind: int, now: Micros) -> None:
    if first(db, DUE, (kind, now)):
        db.execute(PROMOTE, (kind, now, PROMOTE_AT_ONCE))


def ready_types(db: apsw.Connection, kind: int) -> Iterator[str]:
    """The types that have ready tasks; one index probe each, however many tasks there are."""
    name = ""
    while row := first(db, NEXT_TYPE, (kind, name)):
        name = row[0]
        yield name


def _choose(db: apsw.Connection, kind: int, wanted: Claim, now: Micros) -> list[int]:
    limited = {control.type: control for control in holding(db, wanted.claimant, now)}
    room = rooms(db, limited.values(), now, wanted.claimant)
    limit = len(wanted.tokens)
    for name in limited:
        if wanted.types is None or name in wanted.types:
            pacing.let_start(db, room, name, now, limit)
    names = list(ready_types(db, kind)) if wanted.types is None else wanted.types
    found: list[Iterable[_Turn]] = []
    paced: dict[int, Paced] = {}
    for name in names:
        if name in limited:
            some = _with_room(db, kind, name, room, now, limit)
            found.append([turn for turn, _ in some])
            paced |= {turn[2]: (name, key) for turn, key in some}
    with ExitStack() as reading:  # of each type no more is read than is taken, and one
        for name in names:
            if name not in limited:
                turns = each(db, TURNS, (kind, name, now, limit))
                found.append(reading.enter_context(turns))
        chosen = [seq for _, _, seq in islice(heapq.merge(*found), limit)]
    if wanted.room is not None:
        sizes = (size for (size,) in rows(db, SIZES, (msgspec.json.encode(chosen).decode(),)))
        chosen = chosen[: wanted.fitting(sizes)]
    pacing.keep(db, room, [paced[seq] for seq in chosen if seq in paced], now)
    return chosen


def _with_room(
    db: apsw.Connection, kind: int, name: str, room: Rooms, now: Micros, limit: int
) -> list[tuple[_Turn, str | None]]:
    """Of a limited type, the first for which there is room, with their keys.  Those before them
    whose key has none are parked."""
    found: list[tuple[_Turn, str | None]] = []
    full: dict[int, Paced] = {}
    limit = int(min(limit, room.of_type(name)))
    with each(db, CANDIDATES, (kind, name, now, LOOKED_AT)) as candidates:
        while len(found) < limit and (row := next(candidates, None)):
            *turn, key = row
            pacing.know(db, room, name, key)
            if room.take(name, key):
                found.append(((turn[0], turn[1], turn[2]), key))
            else:
                full[turn[2]] = (name, key)
    park(db, full)
    pacing.parked(db, room, full.values(), now)
    return found


def _deadline(now: Micros, timeout: float) -> Micros:
    return now + round(timeout * SECOND)


def _started(
    db: apsw.Connection, wanted: Claim, taken: Iterable[Row], now: Micros
) -> list[Claimed]:
    """The attempts of these rows of CHOSEN."""

    @cache
    def limits(name: str, retries: int | None, timeout: float | None) -> tuple[int, float]:
        found = wanted.limits(name, Limits(retries, timeout))
        assert found.max_retries is not None and found.timeout is not None  # noqa: S101, PT018
        return found.max_retries, found.timeout

    claimed = []
    for token, row in zip(wanted.tokens, taken, strict=False):
        task_id, name, _, own_retries, own_timeout, number, spent, redrives = row[1:9]
        submitted, edit, due, text, carried, effects, excused, key = row[9:]
        retries, timeout = limits(name, own_retries, own_timeout)
        if edit is not None:
            text = value(db, "SELECT payload FROM act WHERE id = ?", (edit,))
        claimed.append(Claimed(
            task_id, token, name, text, number + 1, spent + 1, retries, timeout,
            _deadline(now, timeout), redrives, submitted, now, due,
            carried, forgetting.read(effects), excused or 0, key,
        ))  # fmt: skip
    return claimed


NEXT_READY = "SELECT key FROM task WHERE ready = ? AND type = ? ORDER BY priority DESC LIMIT ?"

WAITING = "SELECT due_at, type, key FROM task WHERE waiting = ? ORDER BY due_at LIMIT ?"

LOOK_AHEAD = 100


def due_in(
    db: apsw.Connection,
    now: Micros,
    types: Collection[str] | None,
    *,
    alone: bool,
    claimant: Claimant,
) -> Micros | None:
    """How long until a claim could find a task; short where many that it cannot take wait."""
    kind = 2 if alone else 1
    known = holding(db, claimant, now)
    room = rooms(db, known, now, claimant)
    dues = []
    for name in ready_types(db, kind) if types is None else types:
        if (due := _when_ready(db, kind, name, room)) is not None:
            if due <= now:
                return 0
            dues.append(due)
    for control in known:
        if types is None or control.type in types:
            dues += pacing.dues(db, room, control.type, kind)
    dues += _when_waiting(db, kind, types, room)
    return max(0, min(dues) - now) if dues else None


def _when_ready(db: apsw.Connection, kind: int, name: str, room: Rooms) -> Micros | None:
    """When a claim finds one of this type that is ready, or has at least to park many."""
    soonest = room.when(name, None)
    if soonest is None:
        return None
    looked, found = 0, None
    with each(db, NEXT_READY, (kind, name, LOOKED_AT)) as keys:
        for (key,) in keys:
            looked += 1
            pacing.know(db, room, name, key)
            when = room.when(name, key)
            if when == soonest:
                return when
            if when is not None:
                found = when if found is None else min(found, when)
    return soonest if looked == LOOKED_AT else found


def _when_waiting(
    db: apsw.Connection, kind: int, types: Collection[str] | None, room: Rooms
) -> list[Micros]:
    """When those become due, and may start, that are not due yet; or when the last one does that
    was looked at, where none of so many may."""
    found: list[Micros] = []
    looked, due = 0, 0
    with each(db, WAITING, (kind, LOOK_AHEAD)) as waiting:
        for due, name, key in waiting:
            looked += 1
            if found and due >= min(found):
                return found
            if types is None or name in types:
                pacing.know(db, room, name, key)
                if (when := room.when(name, key)) is not None:
                    found.append(max(due, when))
    return [*found, due] if looked == LOOK_AHEAD else found
