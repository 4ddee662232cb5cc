"""Pacing: how far ahead the starts of a type or key are of its rate, moved by the claims that start
them.

As long as tasks of a key are parked that wait for its rate, its pace says so (`waits`) and when it
lets one start: claims find it by that time and bring it back.  Where none waits it is dropped once
it says nothing any more: by claims, and where no rate is set any more by upkeep.  Only types that
have a rate cost a claim these statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import apsw

from unlost.ledger.sqlite.connection.rows import first, rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls import parking
from unlost.limits import rate
from unlost.limits.control import Paced, Rooms
from unlost.limits.rate import Pace
from unlost.task import Micros

PACE = "SELECT rate, at FROM pace WHERE type = ? AND key = ?"

# What is further ahead than any start can have brought it: the clock was set back.
LATE = """
SELECT key FROM (
  SELECT key FROM pace WHERE type = ?1 AND waits = 1 AND look_at <= ?2 ORDER BY look_at LIMIT ?4)
UNION ALL SELECT key FROM (
  SELECT key FROM pace WHERE type = ?1 AND waits = 1 AND look_at > ?3 ORDER BY look_at LIMIT ?4)
"""

WAITS_NO_MORE = """
UPDATE pace SET waits = 0, look_at = (at + 999) / 1000 WHERE type = ? AND key = ?
"""

NONE_WAITS = """
UPDATE pace SET waits = 0, look_at = (at + 999) / 1000 WHERE (type, key) IN (
  SELECT type, key FROM pace WHERE type = ? AND waits = 1 LIMIT ?)
"""

DROP = """
DELETE FROM pace WHERE (type, key) IN (
  SELECT type, key FROM pace WHERE type = ? AND waits = 0 AND look_at <= ? LIMIT ?)
"""

NEXT_TYPE = "SELECT type FROM pace WHERE type > ? ORDER BY type LIMIT 1"

KEEP = """
INSERT INTO pace (type, key, rate, at, waits, look_at) VALUES (?, ?, ?, ?, 0, ?)
ON CONFLICT (type, key) DO UPDATE
SET rate = excluded.rate, at = excluded.at, waits = 0, look_at = excluded.look_at
"""

PARKED = "EXISTS (SELECT 1 FROM task WHERE parked IN ({}) AND type = pace.type AND key = pace.key)"

WAITS = f"""
UPDATE pace SET waits = 1, look_at = ? WHERE type = ? AND key = ? AND {PARKED.format("1, 2")}
"""

NEXT = f"""
SELECT key, look_at, {PARKED.format("?")} FROM pace WHERE type = ? AND waits = 1
ORDER BY look_at LIMIT ?
"""

LOOKED_AT = 100
"""Keys of a type that one step looks at."""


def know(db: apsw.Connection, room: Rooms, name: str, key: str | None) -> None:
    """Have the rooms know the pace of a type, or of a key, if it has a rate."""
    if room.asks(name, key):
        row = first(db, PACE, (name, key or ""))
        room.know((name, key), None if row is None else Pace(*row))


def let_start(db: apsw.Connection, room: Rooms, name: str, now: Micros, most: int) -> None:
    """Bring back what waits for its key's rate and may start now, where its type leaves room: of
    each key as many as may, at most so many."""
    most = int(min(most, room.of_type(name)))
    if most < 1 or (limit := room.key_rate(name)) is None:
        return
    db.execute(DROP, (name, now, LOOKED_AT))
    beyond = now + rate.longest_wait(limit)
    for (key,) in rows(db, LATE, (name, now, beyond, LOOKED_AT + most)):
        db.execute(WAITS_NO_MORE, (name, key))
        know(db, room, name, key)
        parking.bring_back(db, [(name, key)] * max(1, int(min(most, room.of_key(name, key)))))


def keep(db: apsw.Connection, room: Rooms, started: Iterable[Paced], now: Micros) -> None:
    """Keep the paces once attempts of these types and keys have started."""
    _keep(db, room.paced(started), now)


def parked(db: apsw.Connection, room: Rooms, keys: Iterable[Paced], now: Micros) -> None:
    """Tasks of these keys were parked: keep when they start, where it is a rate they wait for."""
    _keep(db, room.paced((), keys), now)


def _keep(db: apsw.Connection, paces: Mapping[Paced, Pace], now: Micros) -> None:
    for (name, key), pace in paces.items():
        db.execute(KEEP, (name, key or "", pace.rate, pace.at, rate.full(pace.at)))
        following = rate.next_start(pace.rate, pace.at, now)
        if key is not None and following > now:
            db.execute(WAITS, (following, name, key))
        else:
            parking.bring_back(db, [(name, key)])


def dues(db: apsw.Connection, room: Rooms, name: str, kind: int) -> list[Micros]:
    """When keys of a type may start of which tasks of this kind wait for their rate."""
    if room.key_rate(name) is None or room.when(name, None) is None:
        return []
    found: list[Micros] = []
    waiting = rows(db, NEXT, (kind, name, LOOKED_AT))
    for key, _, suits in waiting:
        if suits:
            know(db, room, name, key)
            when = room.when(name, key)
            found += [] if when is None else [when]
    if not found and len(waiting) == LOOKED_AT:  # what follows them may suit
        return [max(look_at for _, look_at, _ in waiting)]
    return found


def bring_all_back(transaction: Transaction, task_type: str, limit: int) -> int:
    """Bring back parked tasks of this type, whatever they wait for, at most `limit`; how much of
    this there was to do."""
    count = parking.bring_all_back(transaction, task_type, limit)
    before = transaction.db.total_changes()
    transaction.db.execute(NONE_WAITS, (task_type, limit))
    return count + transaction.db.total_changes() - before


def forget_idle(transaction: Transaction, limit: int) -> int:
    """Drop paces that say nothing any more, whatever is set for their types, at most `limit`; how
    many."""
    db, dropped, name = transaction.db, 0, ""
    while dropped < limit and (found := first(db, NEXT_TYPE, (name,))):
        (name,) = found
        db.execute(DROP, (name, transaction.now, limit - dropped))
        dropped += db.changes()
    return dropped
