"""What is set for types (`Control`): claims look at it each time, so that it holds for all workers
at once, and whatever ends an attempt tells it to the type's breaker."""

from __future__ import annotations

from collections.abc import Iterable

import apsw
import msgspec
from msgspec.structs import replace

from unlost.ledger.sqlite.connection.rows import rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls import pacing
from unlost.limits.breaker import Ending, after, excuses
from unlost.limits.control import (
    NAMED_FOR,
    Change,
    Claimant,
    Control,
    Pause,
    Rooms,
    Run,
    changed,
    left_to_others,
)
from unlost.limits.rate import LIFTED
from unlost.task import Micros

KEEP = """
INSERT INTO control (type, settings) VALUES (?, ?)
ON CONFLICT (type) DO UPDATE SET settings = excluded.settings
"""

RUNNING = """
SELECT type, key, started_at FROM task INDEXED BY task_running WHERE worker IS NOT NULL
"""

_decode = msgspec.json.Decoder(Control).decode


def controls(db: apsw.Connection) -> list[Control]:
    """What is set, by type."""
    return [_decode(row[0]) for row in rows(db, "SELECT settings FROM control ORDER BY type")]


NAMED = "SELECT value FROM worker, json_each(types) WHERE pull AND lease_until > ?"


def holding(db: apsw.Connection, claimant: Claimant, now: Micros) -> list[Control]:
    """What is set as it holds for this claimant, by type."""
    known = controls(db)
    if claimant is not Claimant.STAND_IN:
        return known
    return left_to_others(known, named_by_pulls(db, now))


def named_by_pulls(db: apsw.Connection, now: Micros) -> frozenset[str]:
    """The types that workers which claim by the API have named lately."""
    return frozenset(row[0] for row in rows(db, NAMED, (now - NAMED_FOR,)))


def paused(db: apsw.Connection) -> frozenset[str]:
    """The types that are paused."""
    return frozenset(control.type for control in controls(db) if control.pause is not None)


def pulled(db: apsw.Connection) -> frozenset[str]:
    """The types that are marked `pull`."""
    return frozenset(control.type for control in controls(db) if control.pull)


def rooms(db: apsw.Connection, known: Iterable[Control], now: Micros, claimant: Claimant) -> Rooms:
    """How many attempts may start.  What runs is counted anew each time, so that no count can be
    wrong; no more runs than all workers have slots."""
    known = list(known)
    running = [Run(*row) for row in rows(db, RUNNING)] if known else []
    found = Rooms(known, running, now, claimant=claimant)
    for control in known:
        pacing.know(db, found, control.type, None)
    return found


def _of(transaction: Transaction, task_type: str) -> Control:
    text = value(transaction.db, "SELECT settings FROM control WHERE type = ?", (task_type,))
    return Control(task_type) if text is None else _decode(text)


def _keep(transaction: Transaction, control: Control) -> None:
    if control.empty:
        transaction.db.execute("DELETE FROM control WHERE type = ?", (control.type,))
    else:
        text = msgspec.json.encode(control).decode()
        transaction.db.execute(KEEP, (control.type, text))


def pause(transaction: Transaction, task_type: str, by: str | None, reason: str | None) -> None:
    """Let no claim take tasks of this type."""
    known = _of(transaction, task_type)
    new = known.pause or Pause(task_type, transaction.now, by, reason)
    _keep(transaction, replace(known, pause=new))


def resume(transaction: Transaction, task_type: str) -> None:
    """Let claims take them again."""
    _keep(transaction, replace(_of(transaction, task_type), pause=None))
    transaction.wake = True


def change(transaction: Transaction, task_type: str, change: Change) -> bool:
    """Set limits, rates or a breaker; whether a rate of its keys was taken away that is still
    known to claims: they go on to bring back what waits for it, whatever becomes of who does so.
    """
    old = _of(transaction, task_type)
    new = changed(old, change)
    removed = old.key_rate is not None and new.key_rate is None
    _keep(transaction, replace(new, key_rate=LIFTED) if removed else new)
    transaction.wake = True
    return removed


def forget_key_rate(transaction: Transaction, task_type: str) -> None:
    """Let claims forget the rate of a type's keys, now that nothing waits for it; not one that was
    set meanwhile."""
    known = _of(transaction, task_type)
    if known.key_rate == LIFTED:
        _keep(transaction, replace(known, key_rate=None))


def ended(transaction: Transaction, attempts: Iterable[tuple[str, Ending | None]]) -> list[int]:
    """Attempts of these types have ended: they leave room, and breakers learn of them.  The places
    of those that their breakers excuse."""
    known = {control.type: control for control in controls(transaction.db)}
    if not known:
        return []
    learned: dict[str, Control] = {}
    excused = []
    for place, (task_type, ending) in enumerate(attempts):
        control = learned.get(task_type, known.get(task_type))
        if control is None:
            continue
        transaction.wake = True
        if control.breaker is not None and ending is not None:
            if excuses(control.breaker, control.circuit, ending, transaction.now):
                excused.append(place)
            circuit = after(control.breaker, control.circuit, ending, transaction.now)
            learned[task_type] = replace(control, circuit=circuit)
    for control in learned.values():
        if control != known[control.type]:
            _keep(transaction, control)
    return excused
