"""Pauses of types: claims look at them each time, so that they hold for all workers at once."""

from __future__ import annotations

from typing import Final

from unlost.control import Pause
from unlost.ledger.postgres.transaction import NOW, Transaction, cannot_be, text

PAUSE: Final = f"""
INSERT INTO unlost.pause (type, at, by, reason) VALUES (%(type)s, {NOW}, %(by)s, %(reason)s)
ON CONFLICT (type) DO NOTHING
"""

PAUSES: Final = "SELECT type, at, by, reason FROM unlost.pause ORDER BY type"


async def pause(
    transaction: Transaction, task_type: str, by: str | None, reason: str | None
) -> None:
    """Let no claim take tasks of this type."""
    if not cannot_be(task_type):
        await transaction.do(PAUSE, {"type": task_type, "by": text(by), "reason": text(reason)})


async def resume(transaction: Transaction, task_type: str) -> None:
    """Let claims take them again."""
    if not cannot_be(task_type):
        await transaction.do("DELETE FROM unlost.pause WHERE type = %(type)s", {"type": task_type})
    transaction.wake = True


async def pauses(transaction: Transaction) -> list[Pause]:
    """What is paused, by type."""
    return [Pause(*row) for row in await transaction.last(PAUSES)]
