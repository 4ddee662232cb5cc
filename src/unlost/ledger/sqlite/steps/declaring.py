"""Effects of which handlers say that they have happened, whether their attempts run or not."""

from __future__ import annotations

import re
from collections.abc import Sequence

import apsw

from unlost.effects import Effect
from unlost.ledger.protocol import BadCursor
from unlost.ledger.sqlite.connection.rows import rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.values import Declared, EffectPage, NewEffect

DECLARE = """
INSERT OR IGNORE INTO effect (seq, attempt, turn, name, at)
SELECT seq, ?, ?, ?, ? FROM task WHERE id = ? AND purged_at IS NULL
"""

PAGE = """
SELECT effect.seq, id, attempt, turn, name, at FROM effect CROSS JOIN task USING (seq)
WHERE (effect.seq, attempt, turn) > (?, ?, ?) ORDER BY effect.seq, attempt, turn LIMIT ?
"""

BETWEEN = """
SELECT seq, attempt, turn, name, at FROM effect WHERE seq BETWEEN ? AND ?
ORDER BY seq, attempt, turn
"""

KEEP = "INSERT INTO effect (seq, attempt, turn, name, at) VALUES (?, ?, ?, ?, ?)"

KEEP_BROUGHT = "INSERT INTO brought (seq, number) VALUES (?, ?)"

_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})-(\d{1,18})", re.ASCII)


def declare(transaction: Transaction, new: Sequence[NewEffect]) -> list[None]:
    """Record effects of tasks that are there, and not purged."""
    items = [(one.attempt, one.turn, one.name, transaction.now, one.task_id) for one in new]
    transaction.db.executemany(DECLARE, items)
    return [None] * len(new)


def page(db: apsw.Connection, cursor: str | None, limit: int) -> EffectPage:
    """A page of all, in order of submission, attempt and turn.  Raises BadCursor."""
    after = _CURSOR.fullmatch("0-0-0" if cursor is None else cursor)
    if after is None:
        raise BadCursor(cursor)
    found = rows(db, PAGE, (*map(int, after.groups()), limit))
    effects = [Declared(task_id, Effect(*one)) for _, task_id, *one in found]
    if len(found) < limit:
        return EffectPage(effects, None)
    seq, _, attempt, turn, *_ = found[-1]
    return EffectPage(effects, f"{seq}-{attempt}-{turn}")


def between(db: apsw.Connection, first: int, last: int) -> dict[int, list[Effect]]:
    """The effects of tasks in this stretch, by task."""
    found: dict[int, list[Effect]] = {}
    for seq, *one in rows(db, BETWEEN, (first, last)):
        found.setdefault(seq, []).append(Effect(*one))
    return found


def keep(db: apsw.Connection, seq: int, effects: Sequence[Effect], brought: int | None) -> None:
    """Keep effects, and how many tasks followed, as another ledger kept them."""
    db.executemany(KEEP, [(seq, one.attempt, one.turn, one.name, one.at) for one in effects])
    if brought is not None:
        db.execute(KEEP_BROUGHT, (seq, brought))
