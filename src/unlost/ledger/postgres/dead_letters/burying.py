"""Burying and lifting: how a task becomes a dead letter, and how it ends to be one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import Transaction, packed, text
from unlost.ledger.postgres.schema import GROUP_SLOT, GROUP_SLOTS
from unlost.task import Micros, TaskError

DEAD = """
WITH item AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(items)s::json) AS item (
    seq bigint, number integer, attempt_count integer, edit bigint, died_at bigint,
    fingerprint text, error_type text)
), buried AS (
  INSERT INTO unlost.dead (seq, died_at, fingerprint, error_type)
  SELECT seq, died_at, fingerprint, error_type FROM item
)
INSERT INTO unlost.report (seq, died_at, number, attempt_count, edit)
SELECT seq, died_at, number, attempt_count, edit FROM item
"""

# In the order of their names, as by everybody who locks several.
GROUPS = f"""
INSERT INTO unlost.dead_group AS known (fingerprint, slot, error_type, sample, count)
SELECT fingerprint, {GROUP_SLOT}, error_type, sample, count
FROM json_to_recordset(%(items)s::json) AS item (
  fingerprint text, error_type text, sample text, count bigint)
ORDER BY fingerprint
ON CONFLICT (fingerprint, slot)
DO UPDATE SET count = known.count + excluded.count, sample = excluded.sample
"""

# Only who has locked the task takes its row here, which nobody changes.
LIFT = f"""
WITH lifted AS (
  DELETE FROM unlost.dead AS it
  USING json_array_elements_text(%(seqs)s::json) AS one (seq)
  CROSS JOIN LATERAL {row("dead", "one.seq::bigint")} AS found
  WHERE it.ctid = found.place
  RETURNING it.fingerprint, it.error_type
)
INSERT INTO unlost.dead_group AS known (fingerprint, slot, error_type, sample, count)
SELECT fingerprint, {GROUP_SLOT}, min(error_type), '', -count(*) FROM lifted
GROUP BY fingerprint ORDER BY fingerprint
ON CONFLICT (fingerprint, slot) DO UPDATE SET count = known.count + excluded.count
"""

# A stretch of the primary key: as many rows, of which those of the last group may not be all.
STRETCH: Final = """
SELECT fingerprint, count FROM unlost.dead_group WHERE fingerprint > %(after)s
ORDER BY fingerprint, slot LIMIT %(limit)s
"""

# A row that others have locked, and so its whole group, stays for the next time.
LOCK_GROUPS: Final = """
SELECT it.fingerprint FROM json_array_elements_text(%(names)s::json) AS one (name)
CROSS JOIN LATERAL (
  SELECT fingerprint FROM unlost.dead_group
  WHERE dead_group.fingerprint BETWEEN one.name AND one.name
  ORDER BY fingerprint, slot FOR UPDATE SKIP LOCKED) AS it
"""

# Groups of which as many rows are there as were locked, so that nobody changes one meanwhile, and
# no letter is left.  What others count waits for this, or goes into a row of its own.
FORGET_EMPTY: Final = """
DELETE FROM unlost.dead_group WHERE ctid = ANY (ARRAY(
  SELECT unnest(empty.places) FROM json_to_recordset(%(items)s::json) AS item (
    name text, slots bigint)
  CROSS JOIN LATERAL (
    SELECT array_agg(place) AS places, count(*) AS slots, sum(count) AS count FROM (
      SELECT ctid AS place, count FROM unlost.dead_group
      WHERE dead_group.fingerprint BETWEEN item.name AND item.name
      ORDER BY fingerprint, slot OFFSET 0) AS it) AS empty
  WHERE empty.slots = item.slots AND empty.count = 0))
RETURNING fingerprint
"""

# Counts by type that several processes of the server made, or that are none: among groups that
# follow one another.
SPREAD: Final = """
SELECT DISTINCT fingerprint FROM (
  SELECT fingerprint FROM unlost.group_of_type
  WHERE fingerprint > %(after)s AND fingerprint <= %(last)s
  GROUP BY fingerprint, type HAVING count(*) > 1 OR sum(count) = 0) AS it
"""

LOCK_COUNTS: Final = """
SELECT it.* FROM json_array_elements_text(%(names)s::json) AS one (name)
CROSS JOIN LATERAL (
  SELECT fingerprint, type, ctid, count FROM unlost.group_of_type
  WHERE group_of_type.fingerprint BETWEEN one.name AND one.name
  ORDER BY fingerprint, type, process FOR UPDATE SKIP LOCKED) AS it
"""

# Any of a group's rows may become one with their sum, whoever counts in others meanwhile.
FOLD: Final = """
WITH item AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(items)s::json) AS item (place tid, count bigint, more json)
), gone AS (
  DELETE FROM unlost.group_of_type WHERE ctid = ANY (ARRAY(
    SELECT json_array_elements_text(more)::tid FROM item
    UNION ALL SELECT place FROM item WHERE count = 0))
)
UPDATE unlost.group_of_type AS it SET count = item.count FROM item
WHERE it.ctid = item.place AND item.count <> 0
"""


ALL_BEHIND: Final = "\U0010ffff"


class Death(msgspec.Struct, frozen=True):
    """An attempt after which its task is a dead letter."""

    seq: int
    number: int
    attempt_count: int
    edit: int | None
    died_at: Micros
    error: TaskError | None

    @property
    def why(self) -> TaskError:
        return self.error or UNKNOWN


class _DeadRow(msgspec.Struct, frozen=True):
    seq: int
    number: int
    attempt_count: int
    edit: int | None
    died_at: Micros
    fingerprint: str | None
    error_type: str | None


class _GroupRow(msgspec.Struct, frozen=True):
    fingerprint: str | None
    error_type: str | None
    sample: str | None
    count: int


class _Locked(msgspec.Struct, frozen=True):
    name: str
    slots: int


class _Folded(msgspec.Struct, frozen=True):
    place: str
    count: int
    more: list[str]


async def bury(transaction: Transaction, deaths: Sequence[Death]) -> None:
    """Make tasks dead letters, counted in their groups, with a report to be made of each."""
    if not deaths:
        return
    rows = [
        _DeadRow(death.seq, death.number, death.attempt_count, death.edit, death.died_at,
                 text(death.why.fingerprint), text(death.why.type))
        for death in deaths
    ]  # fmt: skip
    await transaction.do(DEAD, {"items": packed(rows)})
    await count_up(transaction, [death.why for death in deaths])


async def count_up(transaction: Transaction, errors: Sequence[TaskError]) -> None:
    """Count dead letters in the groups of their errors."""
    counts = Counter(why.fingerprint for why in errors)
    samples = {why.fingerprint: why for why in errors}
    groups = [
        _GroupRow(text(name), text(samples[name].type), text(samples[name].message), count)
        for name, count in counts.items()
    ]
    await transaction.do(GROUPS, {"items": packed(groups)})


async def lift(transaction: Transaction, seqs: Sequence[int]) -> None:
    """Take tasks out of the dead letters and out of their groups' counts."""
    await transaction.do(LIFT, {"seqs": packed(seqs)})


async def forget_empty(transaction: Transaction, after: str, limit: int) -> tuple[int, str]:
    """Forget the groups of which no letter is left, among so many rows that follow this fingerprint
    (a group has up to GROUP_SLOTS), and join their counts by type; how many went, and where to go
    on: "" after the last row."""
    limit = max(limit, GROUP_SLOTS + 1)
    found = await transaction.rows(STRETCH, {"after": after, "limit": limit})
    last = found[-1][0] if len(found) == limit else ""
    counts: Counter[str] = Counter()
    for name, count in found:
        if name != last:
            counts[name] += count
    before, after = after, next(reversed(counts), after) if last else ""
    await _fold(transaction, before, after or ALL_BEHIND)
    empty = [name for name, count in counts.items() if count == 0]
    return await _forget(transaction, empty), after


async def _fold(transaction: Transaction, after: str, last: str) -> None:
    """Join the rows in which one group's letters of a type are counted."""
    found = await transaction.rows(SPREAD, {"after": after, "last": last})
    if not found:
        return
    names = packed([name for (name,) in found])
    places: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for name, of_type, place, count in await transaction.rows(LOCK_COUNTS, {"names": names}):
        places[name, of_type].append((place, count))
    items = [
        _Folded(one[0][0], sum(count for _, count in one), [place for place, _ in one[1:]])
        for one in places.values()
    ]
    await transaction.do(FOLD, {"items": packed(items)})


async def _forget(transaction: Transaction, names: Sequence[str]) -> int:
    """Forget those of these groups that are still empty; how many."""
    if not names:
        return 0
    locked = await transaction.rows(LOCK_GROUPS, {"names": packed(names)})
    slots = Counter(name for (name,) in locked)
    items = [_Locked(name, number) for name, number in slots.items()]
    return len({name for (name,) in await transaction.rows(FORGET_EMPTY, {"items": packed(items)})})
