"""One step of a redrive: what has ended is counted, and what may go next is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Final

import apsw
import msgspec

from unlost.ledger.calls import Who
from unlost.ledger.sqlite.connection.rows import each, rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.dead_letters import redrives
from unlost.ledger.sqlite.steps import forgetting
from unlost.ledger.sqlite.tasks.acts import revive, revive_many
from unlost.redrive import (
    LAST,
    UNSAID,
    Ends,
    Look,
    Named,
    Redrive,
    Taken,
    Window,
    advanced,
    ended,
    stopped,
    wanted,
)
from unlost.task import State

LOOKS: Final = 10
"""Looks at dead letters, at most, by which one step counts: each commit more would be synced."""

# What was redriven or discarded since had died again.
ENDED: Final = """
SELECT it.seq, CASE
  WHEN task.redrive_count <> it.redrive_count THEN 'dead'
  WHEN task.state = 'cancelled' AND 'discard' = (
    SELECT event FROM act WHERE act.seq = it.seq ORDER BY id DESC LIMIT 1) THEN 'dead'
  ELSE task.state END
FROM redriven AS it JOIN task USING (seq)
WHERE it.redrive = ? AND (task.open IS NULL OR task.redrive_count <> it.redrive_count)
"""

TAKE: Final = """
INSERT INTO redriven (redrive, seq, redrive_count)
SELECT ?, task.seq, redrive_count FROM json_each(?) AS one CROSS JOIN task ON task.seq = one.value
"""

COUNTED: Final = """
DELETE FROM redriven WHERE redrive = ? AND seq IN (SELECT value FROM json_each(?))
"""


def step(
    transaction: Transaction,
    redrive_id: str,
    most: int,
    waited_for: Callable[[], bool] = lambda: False,
) -> Redrive:
    """Make a step, which takes at most `most` letters, or counts as many as some looks find, one
    look where it is `waited_for`.  Raises UnknownRedrive."""
    db, now = transaction.db, transaction.now
    number, before, named = redrives.whole(db, redrive_id)
    redrive = ended(before, _ends(db, number), now)
    for _ in range(LOOKS):
        look = wanted(redrive, now, most)
        if look is None:
            break
        counts = redrive.counting is not None
        redrive = _looked(transaction, number, redrive, named, look)
        if not counts or redrive.counting is None or waited_for():
            break
    return redrives.keep(transaction, before, redrive)


def _looked(
    transaction: Transaction, number: int, redrive: Redrive, named: Named, look: Look
) -> Redrive:
    """The redrive after a look; what it takes is redriven."""
    db, now = transaction.db, transaction.now
    window = _window(db, redrive, named, look)
    if redrive.counting is None:
        window = _forgetful(db, window, named)
        if _barred(db, window, named):
            return stopped(redrive, UNSAID, now)
    redrive, taken = advanced(redrive, window, now)
    _take(transaction, number, redrive, named, taken)
    return redrive


def _take(
    transaction: Transaction, number: int, redrive: Redrive, named: Named, taken: list[Taken]
) -> None:
    """Redrive these letters, which are under way then."""
    who = Who(redrive.by, redrive.reason, redrive.api_key, redrive=redrive.id)
    dues = [(int(one.position[1]), one.due_at) for one in taken]
    forgetting.forget(transaction, [seq for seq, _ in dues], named.forget)
    if named.payload is None:
        revive_many(transaction, dues, who)
    for seq, due_at in () if named.payload is None else dues:
        revive(transaction, seq, due_at, who, named.payload)
    transaction.db.execute(TAKE, (number, _packed([seq for seq, _ in dues])))


def _ends(db: apsw.Connection, number: int) -> Ends:
    """How letters under way have ended; they are no longer under way."""
    found = rows(db, ENDED, (number,))
    if found:
        db.execute(COUNTED, (number, _packed([seq for seq, _ in found])))
    counts = Counter(end for _, end in found)
    return Ends(counts[State.SUCCEEDED], counts[State.DEAD], counts[State.CANCELLED])


def _packed(seqs: list[int]) -> str:
    return msgspec.json.encode(seqs).decode()


def _window(db: apsw.Connection, redrive: Redrive, named: Named, look: Look) -> Window:
    """What is there; of what is not named, `look.rows` dead letters are looked at."""
    found, last, seen = [], look.after, 0
    bounded = named.task_ids is None
    with _dead(db, redrive, named, look) as dead:
        for died_at, seq, fingerprint, task_type, taken in dead:
            last, seen = (died_at, seq), seen + 1
            if not taken and redrive.means(task_type, fingerprint):
                found.append(last)
            if len(found) == look.most:
                return Window(tuple(found), last, more=True)
    more = bounded and seen == look.rows
    return Window(tuple(found), last if more or look.until is None else look.until, more)


def _barred(db: apsw.Connection, window: Window, named: Named) -> bool:
    """Whether steps stand of which it is not said what becomes of them."""
    return named.forget_unsaid and any(
        forgetting.any_stands(db, int(seq)) for _, seq in window.found
    )


def _forgetful(db: apsw.Connection, window: Window, named: Named) -> Window:
    """Without those that may not forget what they are to."""
    refused = forgetting.refused(db, [int(seq) for _, seq in window.found], named.forget)
    found = tuple(place for place in window.found if place[1] not in refused)
    return msgspec.structs.replace(window, found=found)


TAKEN: Final = "EXISTS (SELECT 1 FROM act WHERE act.seq = dead.seq AND act.redrive = ?)"

BETWEEN: Final = "(dead.died_at, dead.seq) > (?, ?) AND (dead.died_at, dead.seq) <= (?, ?)"

BY_TIME: Final = f"""
SELECT dead.died_at, dead.seq, dead.fingerprint, {{type}}, {TAKEN}
FROM dead INDEXED BY dead_by_time {{task}}
WHERE {BETWEEN} ORDER BY dead.died_at, dead.seq LIMIT ?
"""

BY_FINGERPRINT: Final = f"""
SELECT dead.died_at, dead.seq, dead.fingerprint, {{type}}, {TAKEN}
FROM dead INDEXED BY dead_by_fingerprint {{task}}
WHERE dead.fingerprint = ? AND {BETWEEN} ORDER BY dead.died_at, dead.seq LIMIT ?
"""

BY_ID: Final = f"""
SELECT dead.died_at, dead.seq, dead.fingerprint, task.type, {TAKEN}
FROM (SELECT DISTINCT value FROM json_each(?)) AS named
CROSS JOIN task ON task.id = named.value CROSS JOIN dead USING (seq)
WHERE {BETWEEN} ORDER BY dead.died_at, dead.seq
"""


def _dead(db: apsw.Connection, redrive: Redrive, named: Named, look: Look) -> closing[apsw.Cursor]:
    """Dead letters with their places and what they are known by, in order."""
    between = (*look.after, *(look.until or (redrive.started_at, LAST)))
    if named.task_ids is not None:
        ids = msgspec.json.encode(named.task_ids).decode()
        return each(db, BY_ID, (redrive.id, ids, *between))
    typed = redrive.type is not None or redrive.types is not None
    joined = ("task.type", "CROSS JOIN task USING (seq)") if typed else ("''", "")
    sql, alike = (
        (BY_TIME, ()) if redrive.fingerprint is None else (BY_FINGERPRINT, (redrive.fingerprint,))
    )
    values = (redrive.id, *alike, *between, look.rows)
    return each(db, sql.format(type=joined[0], task=joined[1]), values)
