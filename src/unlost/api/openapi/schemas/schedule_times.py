"""When a schedule would be due."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from unlost.api.openapi.schemas.fields import Time

MOST_TIMES: Final = 100
FEW_TIMES: Final = 5

Kind = Annotated[str, Meta(extra_json_schema={"enum": ["either-day", "repeated", "skipped"]})]


class TimeBody(msgspec.Struct, frozen=True):
    """A time, in UTC and as the schedule's clock shows it, with its offset."""

    at: Time
    local: Time


class WarningBody(msgspec.Struct, frozen=True):
    """What is seldom meant: `either-day` (one of two days is enough), `skipped` and `repeated` (a
    change of the clock within a year meets a time)."""

    kind: Kind
    detail: str


class ScheduleTimesBody(msgspec.Struct, frozen=True):
    """The next times, by this version of the tz database, and what to know of them."""

    timezone: str
    tzdata: str
    next: list[TimeBody]
    warnings: list[WarningBody]
