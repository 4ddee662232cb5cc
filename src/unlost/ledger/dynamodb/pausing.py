"""Pauses of types: items with pk `pauses`, sk the type; `since`, `by`, `reason`."""

from __future__ import annotations

import contextlib
from typing import Final

from unlost.control import Pause
from unlost.ledger.dynamodb.announce import Telling
from unlost.ledger.dynamodb.calls import Calls, Clash, together
from unlost.ledger.dynamodb.listing import partitions
from unlost.ledger.dynamodb.schema import DUE, LOOK, PAUSES, task_id
from unlost.ledger.dynamodb.wire import Item
from unlost.ledger.dynamodb.writes import Delete, Put
from unlost.task import SECOND, Micros

KNOWN_FOR: Final[Micros] = 5 * SECOND
"""How long claims go by what was read before: a claim by id must not cost a read more."""

HINTED: Final = 1_000
"""Tasks of each shard that are hinted when their type is resumed; the sweep finds others."""


class Pauses:
    """What is paused, as one ledger object knows it.  A change made elsewhere is known in 5 s."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._names: frozenset[str] = frozenset()
        self._read_at: Micros | None = None

    async def names(self, now: Micros) -> frozenset[str]:
        """The types that are paused."""
        if self._read_at is None or not 0 <= now - self._read_at < KNOWN_FOR:
            self._names = frozenset(pause.type for pause in await self.all())
            self._read_at = now
        return self._names

    async def all(self) -> list[Pause]:
        """What is paused, by type."""
        return [
            Pause(item["sk"], item["since"], item.get("by"), item.get("reason"))
            async for items in self._calls.walk(PAUSES)
            for item in items
        ]

    async def pause(self, pause: Pause) -> None:
        """Let no claim take tasks of this type."""
        item = {"pk": PAUSES, "sk": pause.type, "since": pause.at}
        item |= {"by": pause.by, "reason": pause.reason}
        with contextlib.suppress(Clash):  # it is paused already
            await self._calls.write(Put(item, only_new=True))
        self._read_at = None

    async def resume(self, task_type: str, tell: Telling, now: Micros) -> None:
        """Let claims take them again, and hint those that are due."""
        await self._calls.write(Delete((PAUSES, task_type)))
        self._read_at = None
        shards = partitions(DUE, await self._calls.shards())
        pages = await together(
            self._calls.page(shard, index=LOOK, limit=HINTED) for shard in shards
        )
        for entry in (entry for items, _ in pages for entry in items):
            if _waits(entry, task_type, now):
                tell.due(task_id(entry["pk"]), entry["due"])


def _waits(entry: Item, task_type: str, now: Micros) -> bool:
    return entry["type"] == task_type and int(entry["due"]) <= now
