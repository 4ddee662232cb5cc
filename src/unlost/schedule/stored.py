"""A schedule as text, for who keeps it.

The payload lies apart: it may be large, and a step of the schedule leaves it as it is.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from unlost.schedule.schedule import Schedule

_decode = msgspec.json.Decoder(Schedule).decode


def written(schedule: Schedule) -> str:
    """The schedule without its payload."""
    bare = replace(schedule, plan=replace(schedule.plan, payload=""))
    return msgspec.json.encode(bare).decode()


def read(text: str, payload: str) -> Schedule:
    """The schedule again."""
    bare = _decode(text)
    return replace(bare, plan=replace(bare.plan, payload=payload))
