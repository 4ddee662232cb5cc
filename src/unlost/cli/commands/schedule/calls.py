"""The calls about schedules, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from unlost.cli.client.answers import LARGEST_PAGE
from unlost.cli.client.connection import Service, read
from unlost.cli.failures import WrongUsage
from unlost.cli.show.schedules import ScheduleSeen
from unlost.schedule.schedule import ID


class _Page(msgspec.Struct, rename="camel"):
    schedules: list[msgspec.Raw]
    next_cursor: str | None = None


def path(schedule_id: str, suffix: str = "") -> str:
    """The path of a schedule.  Raises WrongUsage for an id that none can have."""
    if not ID.fullmatch(schedule_id):
        raise WrongUsage(f"an id is 1 to 200 of A-Z a-z 0-9 . _ - :, not {schedule_id[:200]!r}")
    name = schedule_id.replace(".", "%2E") if schedule_id in (".", "..") else schedule_id
    return f"/schedules/{name}{suffix}"


def listed(service: Service) -> Iterator[msgspec.Raw]:
    """All schedules by id, each as the text that the service sent."""
    asked: dict[str, str | int] = {"limit": LARGEST_PAGE}
    while True:
        page = read(service.get("/schedules", asked), _Page)
        yield from page.schedules
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor


def every(service: Service) -> list[ScheduleSeen]:
    """All schedules as values."""
    return [read(bytes(one), ScheduleSeen) for one in listed(service)]
