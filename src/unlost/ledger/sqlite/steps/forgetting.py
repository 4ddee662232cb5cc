"""What a redrive makes a task forget: its steps are made again, under another key."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from unlost.effects import Effects, Forget, forgetting, may_forget
from unlost.ledger.sqlite.connection.rows import first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction

STANDS = "SELECT 1 FROM step WHERE seq = ? AND forgotten_at IS NULL LIMIT 1"

ALL = "UPDATE step SET forgotten_at = ? WHERE seq = ? AND forgotten_at IS NULL"

NAMED = ALL + " AND name IN (SELECT value FROM json_each(?))"

EFFECTS = """
SELECT seq, effects FROM json_each(?) AS one CROSS JOIN task ON task.seq = one.value
WHERE effects IS NOT NULL
"""

decode = msgspec.json.Decoder(Effects).decode


def read(text: str | None) -> Effects | None:
    """The task's."""
    return None if text is None else decode(text)


def written(effects: Effects | None) -> str | None:
    """The same as it is kept."""
    return None if effects is None else msgspec.json.encode(effects).decode()


def any_stands(db: apsw.Connection, seq: int) -> bool:
    """Whether the task has a step that is not made again."""
    return first(db, STANDS, (seq,)) is not None


def refused(db: apsw.Connection, seqs: Sequence[int], names: Sequence[str]) -> set[int]:
    """Those of the tasks that may not forget these."""
    wanted = msgspec.json.encode(seqs).decode()
    found = rows(db, EFFECTS, (wanted,)) if names else []
    return {seq for seq, text in found if not may_forget(read(text), names)}


def forget(transaction: Transaction, seqs: Sequence[int], names: Forget) -> None:
    """Let these tasks forget steps; none of them runs.  Raises TooManyForgotten."""
    for seq in seqs if names else ():
        _forget(transaction, seq, names)


def _forget(transaction: Transaction, seq: int, names: Forget) -> None:
    db = transaction.db
    text = value(db, "SELECT effects FROM task WHERE seq = ?", (seq,))
    known: list[str] = []
    if names is True:
        known = [row[0] for row in rows(db, "SELECT name FROM step WHERE seq = ?", (seq,))]
    after = forgetting(read(text), known, names)  # may refuse, before anything is written
    if names is True:
        db.execute(ALL, (transaction.now, seq))
    else:
        db.execute(NAMED, (transaction.now, seq, msgspec.json.encode(names).decode()))
    if after is not None:
        db.execute("UPDATE task SET effects = ? WHERE seq = ?", (written(after), seq))
