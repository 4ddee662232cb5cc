"""Burying and lifting: how a task becomes a dead letter, and how it ends to be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import Transaction, packed, text
from unlost.ledger.postgres.schema import GROUP_SLOT
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

# Groups whose letters are all gone.  A row that others have locked, or its whole group, stays for
# the next time; what is counted meanwhile goes into a row of its own or waits for this, and then
# begins anew.  By their names, not their places: a row may have been changed since they were found.
# `IS TRUE` keeps these from being joined: each row is looked up in a hash table.
FORGET_EMPTY: Final = """
WITH empty AS MATERIALIZED (
  SELECT fingerprint, count(*) AS slots FROM unlost.dead_group
  GROUP BY fingerprint HAVING sum(count) = 0 ORDER BY fingerprint LIMIT %(limit)s
), locked AS MATERIALIZED (
  SELECT it.fingerprint, it.count, empty.slots FROM empty CROSS JOIN LATERAL (
    SELECT fingerprint, count FROM unlost.dead_group
    WHERE dead_group.fingerprint BETWEEN empty.fingerprint AND empty.fingerprint
    ORDER BY fingerprint, slot FOR UPDATE SKIP LOCKED) AS it
), still AS MATERIALIZED (
  SELECT fingerprint FROM locked GROUP BY fingerprint, slots
  HAVING sum(count) = 0 AND count(*) = slots
)
DELETE FROM unlost.dead_group WHERE (fingerprint IN (SELECT fingerprint FROM still)) IS TRUE
RETURNING fingerprint
"""


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


async def forget_empty(transaction: Transaction, limit: int) -> int:
    """Forget groups of which no letter is left, at most `limit`; how many."""
    return len({name for (name,) in await transaction.rows(FORGET_EMPTY, {"limit": limit})})
