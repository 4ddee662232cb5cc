"""What goes through `protocol.Steps`, beside `unlost.effects`."""

from __future__ import annotations

import msgspec

from unlost.effects import Step


class NewStep(msgspec.Struct, frozen=True):
    """What an attempt has to record: JSON text, or None for what cannot be kept."""

    task_id: str
    token: str
    name: str
    result: str | None


class StepAsked(msgspec.Struct, frozen=True):
    """A step that an attempt looks for."""

    task_id: str
    token: str
    name: str


class StepLook(msgspec.Struct, frozen=True):
    """Whether an attempt runs, and what stands under a name."""

    running: bool
    step: Step | None = None
