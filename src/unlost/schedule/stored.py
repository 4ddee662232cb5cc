"""A schedule as text, for who keeps it.

The payload lies apart: it may be large, and a step of the schedule leaves it as it is.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from unlost.schedule.schedule import Schedule

_decode = msgspec.json.Decoder(Schedule).decode


def bare(schedule: Schedule) -> Schedule:
    """The schedule with an empty payload."""
    return replace(schedule, plan=replace(schedule.plan, payload=""))


def written(schedule: Schedule) -> str:
    """The schedule without its payload."""
    return msgspec.json.encode(bare(schedule)).decode()


def read(text: str, payload: str) -> Schedule:
    """The schedule again."""
    found = _decode(text)
    return replace(found, plan=replace(found.plan, payload=payload))
