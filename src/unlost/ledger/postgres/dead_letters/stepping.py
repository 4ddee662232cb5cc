"""One step of a redrive: what has ended is counted, and what may go next is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from unlost.ledger.calls import Who
from unlost.ledger.postgres.connection.lookup import locked_row, row
from unlost.ledger.postgres.connection.transaction import (
    SEQS,
    Row,
    Transaction,
    cannot_be,
    packed,
)
from unlost.ledger.postgres.dead_letters import redrives
from unlost.ledger.postgres.steps import forgetting
from unlost.ledger.postgres.tasks.acts import EDIT, Revived, revive
from unlost.ledger.protocol import UnknownRedrive
from unlost.redrive import (
    LAST,
    UNSAID,
    Ends,
    Look,
    Named,
    Position,
    Redrive,
    Taken,
    Window,
    advanced,
    ended,
    stopped,
    wanted,
)
from unlost.task import State

# One step of a redrive at a time: who comes second leaves it to the first.
LOCK: Final = """
SELECT number, record, named FROM unlost.redrive WHERE id = %(id)s FOR UPDATE SKIP LOCKED
"""

# What was redriven or discarded since had died again.
ENDED: Final = f"""
SELECT it.seq, CASE
  WHEN task.redrive_count <> it.redrive_count THEN 'dead'
  WHEN task.state = 'cancelled' AND 'discard' = (
    SELECT event FROM unlost.act WHERE act.seq BETWEEN it.seq AND it.seq
    ORDER BY act.seq DESC, act.id DESC LIMIT 1) THEN 'dead'
  ELSE task.state END
FROM (
  SELECT * FROM unlost.redriven WHERE redrive BETWEEN %(number)s AND %(number)s
  ORDER BY redrive, seq OFFSET 0) AS it
CROSS JOIN LATERAL {row("task", "it.seq")} AS task
WHERE task.state IS NOT NULL OR task.redrive_count <> it.redrive_count
"""

COUNTED: Final = f"""
DELETE FROM unlost.redriven WHERE redrive = %(number)s AND seq = {SEQS}
"""

TAKEN: Final = """
EXISTS (SELECT FROM unlost.act
        WHERE act.seq BETWEEN dead.seq AND dead.seq AND act.redrive = %(id)s)
"""

BY_TIME: Final = f"""
SELECT dead.died_at, dead.seq, dead.fingerprint, {{type}}, {TAKEN} FROM (
  SELECT * FROM unlost.dead
  WHERE (died_at, seq) > (%(after_at)s, %(after)s) AND (died_at, seq) <= (%(until_at)s, %(until)s)
  ORDER BY died_at, seq LIMIT %(rows)s) AS dead
{{task}} ORDER BY dead.died_at, dead.seq
"""

BY_FINGERPRINT: Final = f"""
SELECT dead.died_at, dead.seq, dead.fingerprint, {{type}}, {TAKEN} FROM (
  SELECT * FROM unlost.dead
  WHERE (fingerprint, died_at, seq) > (%(fingerprint)s, %(after_at)s, %(after)s)
    AND (fingerprint, died_at, seq) <= (%(fingerprint)s, %(until_at)s, %(until)s)
  ORDER BY fingerprint, died_at, seq LIMIT %(rows)s) AS dead
{{task}} ORDER BY dead.died_at, dead.seq
"""

BY_ID: Final = f"""
SELECT dead.died_at, dead.seq, dead.fingerprint, task.type, {TAKEN}
FROM json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
CROSS JOIN LATERAL {row("dead", "task.seq")} AS dead
WHERE (died_at, dead.seq) > (%(after_at)s, %(after)s)
  AND (died_at, dead.seq) <= (%(until_at)s, %(until)s)
ORDER BY dead.died_at, dead.seq
"""

TASK: Final = f"CROSS JOIN LATERAL {row('task', 'dead.seq')} AS task"

# What somebody else has just taken is not there.
LETTERS: Final = f"""
SELECT task.seq, task.place, task.id, task.type, task.number, task.redrive_count
FROM json_array_elements_text(%(seqs)s::json) AS one (seq)
CROSS JOIN LATERAL {locked_row("task", "one.seq::bigint")} AS task
WHERE task.state = 'dead'
"""

TAKE: Final = """
INSERT INTO unlost.redriven (redrive, seq, redrive_count)
SELECT %(number)s, seq, redrive_count + 1
FROM json_to_recordset(%(items)s::json) AS item (seq bigint, redrive_count integer)
"""


async def step(transaction: Transaction, redrive_id: str, most: int) -> Redrive:
    """Make a step, which takes at most `most` letters.  Raises UnknownRedrive.

    Where somebody else makes one, the redrive as it is.
    """
    locked = await transaction.rows(LOCK, {"id": redrive_id})
    if not locked:
        known = await redrives.find(transaction, redrive_id)
        if known is None:
            raise UnknownRedrive(redrive_id)
        return known
    number, record, text = locked[0]
    before, named = redrives.decode(record), redrives.decode_named(text)
    redrive = ended(before, await _ends(transaction, number), transaction.now)
    look = wanted(redrive, transaction.now, most)
    if look is not None:
        window = await _window(transaction, redrive, named, look)
        letters: dict[Position, Row] = {}
        if redrive.counting is None:
            letters = await _locked(transaction, window.found)
            seqs = [int(seq) for _, seq in letters]
            refused = await forgetting.refused(transaction, seqs, named.forget)
            letters = {at: one for at, one in letters.items() if at[1] not in refused}
            window = msgspec.structs.replace(window, found=tuple(letters))
        if await _barred(transaction, named, letters):
            redrive = stopped(redrive, UNSAID, transaction.now)
        else:
            redrive, taken = advanced(redrive, window, transaction.now)
            going = [(letters[one.position], one) for one in taken]
            await _take(transaction, number, redrive, named, going)
    return await redrives.keep(transaction, before, redrive)


async def _ends(transaction: Transaction, number: int) -> Ends:
    """How letters under way have ended; they are no longer under way."""
    found = await transaction.rows(ENDED, {"number": number})
    if found:
        seqs = packed([seq for seq, _ in found])
        await transaction.do(COUNTED, {"number": number, "seqs": seqs})
    counts = Counter(end for _, end in found)
    return Ends(counts[State.SUCCEEDED], counts[State.DEAD], counts[State.CANCELLED])


async def _window(transaction: Transaction, redrive: Redrive, named: Named, look: Look) -> Window:
    """What is there; of what is not named, `look.rows` dead letters are looked at."""
    found: list[Position] = []
    last, seen = look.after, 0
    rows = await _dead(transaction, redrive, named, look)
    for died_at, seq, fingerprint, task_type, taken in rows:
        last, seen = (died_at, seq), seen + 1
        if not taken and redrive.means(task_type, fingerprint):
            found.append(last)
        if len(found) == look.most:
            return Window(tuple(found), last, more=True)
    more = named.task_ids is None and seen == look.rows
    return Window(tuple(found), last if more or look.until is None else look.until, more)


async def _dead(transaction: Transaction, redrive: Redrive, named: Named, look: Look) -> list[Row]:
    """Dead letters with their places and what they are known by, in order."""
    if cannot_be(redrive.fingerprint):
        return []
    until = look.until or (redrive.started_at, LAST)
    values: dict[str, Any] = {
        "id": redrive.id, "rows": look.rows, "fingerprint": redrive.fingerprint,
        "after_at": look.after[0], "after": look.after[1],
        "until_at": until[0], "until": until[1],
    }  # fmt: skip
    if named.task_ids is not None:
        ids = sorted({name for name in named.task_ids if not cannot_be(name)})
        return await transaction.rows(BY_ID, values | {"ids": packed(ids)})
    sql = BY_TIME if redrive.fingerprint is None else BY_FINGERPRINT
    typed = redrive.type is not None or redrive.types is not None
    sql = sql.format(type="task.type" if typed else "''", task=TASK if typed else "")
    return await transaction.rows(sql, values)


async def _locked(transaction: Transaction, found: tuple[Position, ...]) -> dict[Position, Row]:
    """Of these letters those that are still there, in their order, each with its locked task."""
    seqs = packed([seq for _, seq in found])
    there = {one[0]: one for one in await transaction.rows(LETTERS, {"seqs": seqs})}
    return {position: there[position[1]] for position in found if position[1] in there}


async def _barred(transaction: Transaction, named: Named, letters: Iterable[Position]) -> bool:
    """Whether steps stand of which it is not said what becomes of them."""
    seqs = [int(seq) for _, seq in letters] if named.forget_unsaid else []
    return any([await forgetting.stand(transaction, seq) for seq in seqs])


async def _take(
    transaction: Transaction,
    number: int,
    redrive: Redrive,
    named: Named,
    taken: list[tuple[Row, Taken]],
) -> None:
    if not taken:
        return
    who = Who(redrive.by, redrive.reason, redrive.api_key, redrive=redrive.id)
    revived = [Revived(letter[0], letter[1], one.due_at) for letter, one in taken]
    await revive(transaction, revived, who, named.payload, named.forget)
    items = [{"seq": letter[0], "redrive_count": letter[5]} for letter, _ in taken]
    await transaction.do(TAKE, {"number": number, "items": packed(items)})
    for (_, _, task_id, task_type, attempt, _), one in taken:
        if named.payload is not None:
            await transaction.do(EDIT, {"id": task_id})
        transaction.moved(State.DEAD, State.QUEUED)
        transaction.due(one.due_at, task_type)
        transaction.tell(task_id, task_type, State.QUEUED, attempt)
