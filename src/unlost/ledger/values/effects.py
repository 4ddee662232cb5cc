"""What goes through `protocol.Effects`, beside `unlost.effects`."""

from __future__ import annotations

import msgspec

from unlost.effects import Effect


class NewEffect(msgspec.Struct, frozen=True):
    """What an attempt (by its number) declares, as its `turn`-th effect."""

    task_id: str
    attempt: int
    turn: int
    name: str


class Declared(msgspec.Struct, frozen=True):
    """An effect that a handler of this task declared."""

    task_id: str
    effect: Effect


class EffectPage(msgspec.Struct, frozen=True):
    """Effects, those of each task together, and where the list goes on (None at its end)."""

    effects: list[Declared]
    next_cursor: str | None
