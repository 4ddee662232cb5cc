"""Candidates of types for which something is set: those for which there is room.

Their types are locked meanwhile, so that claims take them one after the other; what has no room for
its key is parked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from unlost.ledger.postgres.connection.transaction import Transaction, packed
from unlost.ledger.postgres.controls import pacing
from unlost.ledger.postgres.controls.controlling import locked_rooms, rooms
from unlost.ledger.postgres.controls.parking import NEVER, bring_back, park, stray
from unlost.ledger.values import Claim
from unlost.limits.control import Claimant, Paced, Rooms
from unlost.task import Micros

LOOKED_AT: Final = 100
"""Candidates of a type and rank that are looked at in one go."""

ROUNDS: Final = 10
"""How often a claim looks on where it had to park some of them."""

SOME_PAIRS = """pair (type, rank) AS (
  SELECT beginning.* FROM json_array_elements_text(%(names)s::json) AS wanted (name)
  CROSS JOIN LATERAL (
    SELECT type, rank FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
      AND open_task.type = wanted.name ORDER BY rank LIMIT 1) AS beginning
  UNION ALL
  SELECT following.* FROM pair CROSS JOIN LATERAL (
    SELECT type, rank FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
      AND open_task.type = pair.type AND open_task.rank > pair.rank
    ORDER BY rank LIMIT 1) AS following
)"""

CANDIDATES: Final = f"""
WITH RECURSIVE {SOME_PAIRS}
SELECT pair.rank, it.due_at, it.seq, pair.type, it.key FROM pair CROSS JOIN LATERAL (
  SELECT due_at, seq, key FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
    AND open_task.type = pair.type AND open_task.rank = pair.rank AND due_at < {NEVER}
  ORDER BY due_at, seq LIMIT %(limit)s) AS it
ORDER BY pair.rank, it.due_at, it.seq
"""

_Candidate = tuple[int, Micros, int, str, str | None]
"""Rank, when it is due, seq, type, key."""


class Admitted(msgspec.Struct, frozen=True):
    """The tasks that a claim may start, best first, out of these rooms; and keys of which it parked
    some."""

    seqs: Collection[int]
    room: Rooms
    parked: Collection[Paced]


class Limited:
    """Admits tasks as far as there is room; remembers where it looked for strays."""

    def __init__(self) -> None:
        self._after: dict[str, str] = {}

    async def admit(
        self, transaction: Transaction, wanted: Claim, named: Collection[str] = ()
    ) -> Admitted:
        """As many as the claim has tokens."""
        types, room = await locked_rooms(transaction, wanted.types, wanted.claimant, named)
        open_types = {name for name in types if room.of_type(name) >= 1}
        admitted: dict[int, None] = {}
        most = len(wanted.tokens)
        parked: dict[int, Paced] = {}
        await pacing.let_start(transaction, room, open_types, most)
        for _ in range(ROUNDS):
            found = await _candidates(transaction, open_types, LOOKED_AT + most, wanted.alone)
            await pacing.know(transaction, room, ((name, key) for *_, name, key in found))
            full = _look(found, room, admitted, most, transaction.now)
            await park(transaction, full)
            parked |= full
            if not full or len(admitted) == most:
                break
        if len(admitted) < most:
            for name in sorted(open_types):
                await self._look_for_strays(transaction, name, room)
        return Admitted(list(admitted), room, set(parked.values()))

    async def _look_for_strays(self, transaction: Transaction, name: str, room: Rooms) -> None:
        keys = await stray(transaction, name, self._after.get(name, ""))
        if keys:
            self._after[name] = keys[-1]
        else:
            self._after.pop(name, None)
        await pacing.know(transaction, room, ((name, key) for key in keys))
        lost = [(name, key) for key in keys if room.any(name, key)]
        await bring_back(transaction, lost)
        transaction.wake = transaction.wake or bool(lost)


def _look(
    found: list[_Candidate], room: Rooms, admitted: dict[int, None], most: int, now: Micros
) -> dict[int, Paced]:
    """Admit those for which there is room; those whose key has none."""
    full: dict[int, Paced] = {}
    for _, due_at, seq, name, key in found:
        if len(admitted) == most:
            break
        if seq in admitted or due_at > now or room.of_type(name) < 1:
            continue
        if room.take(name, key):
            admitted[seq] = None
        else:
            full[seq] = (name, key)
    return full


async def _candidates(
    transaction: Transaction, types: Collection[str], limit: int, alone: bool
) -> list[_Candidate]:
    if not types:
        return []
    values = {"names": packed(sorted(types)), "alone": alone, "limit": limit}
    return [(row[0], row[1], row[2], row[3], row[4]) for row in await transaction.rows(
        CANDIDATES, values
    )]  # fmt: skip


async def startable(
    transaction: Transaction, claimant: Claimant, *, alone: bool
) -> list[tuple[str, Micros]]:
    """Tasks of limited types that may start as far as their limits are concerned, once they are
    due: type, when that is."""
    known, room = await rooms(transaction, claimant, ())
    names = [name for name in known if room.when(name, None) is not None]
    found = await _candidates(transaction, names, LOOKED_AT, alone)
    await pacing.know(transaction, room, ((name, key) for *_, name, key in found))
    return [
        (name, due_at)
        for _, due_at, _, name, key in found
        if (when := room.when(name, key)) is not None and when <= transaction.now
    ]


async def dues(
    transaction: Transaction,
    types: Collection[str] | None,
    named: Collection[str],
    *,
    alone: bool,
    claimant: Claimant,
) -> list[Micros]:
    """When tasks of limited types are due, and may start."""
    known, room = await rooms(transaction, claimant, named)
    wanted = [name for name in known if types is None or name in types]
    names = [name for name in wanted if room.when(name, None) is not None]
    found = await _candidates(transaction, names, LOOKED_AT, alone)
    await pacing.know(transaction, room, ((name, key) for *_, name, key in found))
    some = [
        max(due_at, when)
        for _, due_at, _, name, key in found
        if (when := room.when(name, key)) is not None
    ]
    if not some and len(found) >= LOOKED_AT:  # a claim has them parked, and sees what follows
        some = [min(due_at for _, due_at, *_ in found)]
    return some + await pacing.dues(transaction, room, names, alone=alone)
