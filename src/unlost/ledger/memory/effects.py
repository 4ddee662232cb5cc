"""Effects of which handlers say that they have happened."""

from __future__ import annotations

from collections.abc import Sequence

from unlost.effects import Effect
from unlost.ledger.memory.store import Store
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import Declared, EffectPage, NewEffect


class Effects(Store):
    """Keeps the promises of `protocol.Effects`."""

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        now = self._now()
        for one in new:
            kept = self._tasks.get(one.task_id)
            if kept is not None and kept.record.purged_at is None:
                effect = Effect(one.attempt, one.turn, one.name, now)
                kept.declared.setdefault((one.attempt, one.turn), effect)

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        if cursor is not None and not cursor.isdecimal():
            raise BadCursor(cursor)
        after = int(cursor or 0)
        found = [
            Declared(kept.record.task_id, effect)
            for kept in self._tasks.values()
            for effect in kept.listed_effects
        ]
        page = found[after : after + limit]
        more = len(found) > after + limit
        return EffectPage(page, str(after + limit) if more else None)
