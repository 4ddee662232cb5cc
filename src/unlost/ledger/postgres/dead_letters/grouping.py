"""Groups of dead letters: how many have an error in common, and when they died."""

from __future__ import annotations

from collections.abc import Collection

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.postgres.connection.transaction import Transaction, cannot_be, packed
from unlost.ledger.postgres.tasks.conditions import TYPES
from unlost.ledger.values import Group
from unlost.ledger.weight import longest_sample

GROUPS = """
SELECT one.fingerprint, one.error_type, left(one.sample, %(longest)s), one.count,
       oldest.died_at, newest.died_at
FROM (
  SELECT fingerprint, max(error_type) AS error_type, max(sample) AS sample,
         sum(count)::bigint AS count
  FROM unlost.dead_group GROUP BY fingerprint HAVING sum(count) > 0) AS one
CROSS JOIN LATERAL (
  SELECT died_at FROM unlost.dead
  WHERE dead.fingerprint BETWEEN one.fingerprint AND one.fingerprint
  ORDER BY fingerprint, died_at, seq LIMIT 1) AS oldest
CROSS JOIN LATERAL (
  SELECT died_at FROM unlost.dead
  WHERE dead.fingerprint BETWEEN one.fingerprint AND one.fingerprint
  ORDER BY fingerprint DESC, died_at DESC, seq DESC LIMIT 1) AS newest
ORDER BY one.count DESC, one.fingerprint
"""


NUMBER_OF_GROUPS = "SELECT count(DISTINCT fingerprint) FROM unlost.dead_group WHERE count > 0"


# The sample is of the last letter of these types, since the group's own may be of another type.
GROUPS_OF_TYPES = f"""
SELECT one.fingerprint, alike.error_type,
       left(coalesce(last.message, '{UNKNOWN.message}'), %(longest)s), one.count, one.first_at,
       one.last_at
FROM (
  SELECT counted.fingerprint, max(newest.seq) AS newest, sum(counted.count)::bigint AS count,
         min(oldest.died_at) AS first_at, max(newest.died_at) AS last_at
  FROM (
    SELECT fingerprint, type, sum(count) AS count FROM unlost.group_of_type
    WHERE type = {TYPES} GROUP BY fingerprint, type HAVING sum(count) > 0) AS counted
  CROSS JOIN LATERAL (
    SELECT died_at FROM unlost.dead
    WHERE (dead.type, dead.fingerprint) BETWEEN (counted.type, counted.fingerprint)
      AND (counted.type, counted.fingerprint)
    ORDER BY type, fingerprint, died_at, seq LIMIT 1) AS oldest
  CROSS JOIN LATERAL (
    SELECT died_at, seq FROM unlost.dead
    WHERE (dead.type, dead.fingerprint) BETWEEN (counted.type, counted.fingerprint)
      AND (counted.type, counted.fingerprint)
    ORDER BY type DESC, fingerprint DESC, died_at DESC, seq DESC LIMIT 1) AS newest
  GROUP BY counted.fingerprint) AS one
CROSS JOIN LATERAL (
  SELECT max(error_type) AS error_type FROM unlost.dead_group
  WHERE dead_group.fingerprint = one.fingerprint) AS alike
LEFT JOIN LATERAL (
  SELECT message FROM unlost.attempt WHERE attempt.seq BETWEEN one.newest AND one.newest
  ORDER BY seq DESC, number DESC LIMIT 1) AS last ON true
ORDER BY one.count DESC, one.fingerprint
"""


async def groups(transaction: Transaction, room: int, types: Collection[str] | None) -> list[Group]:
    """Dead letters by fingerprint; with `types`, those of these."""
    [[number]] = await transaction.rows(NUMBER_OF_GROUPS)
    longest = {"longest": longest_sample(room, number)}
    if types is not None:
        named = {"types": packed([name for name in types if not cannot_be(name)])}
        return [Group(*row) for row in await transaction.rows(GROUPS_OF_TYPES, longest | named)]
    return [Group(*one) for one in await transaction.rows(GROUPS, longest)]
