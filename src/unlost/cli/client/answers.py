"""The service's answers as values.  JSON texts that belong to the user stay as they came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from unlost.cli.client.connection import Service, read


class ErrorSeen(msgspec.Struct):
    type: str
    message: str
    traceback: str | None = None

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class AttemptSeen(msgspec.Struct, rename="camel"):
    number: int
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    error: ErrorSeen | None = None
    next_attempt_at: datetime | None = None
    excused: bool = False


class ActSeen(msgspec.Struct):
    at: datetime
    event: str
    by: str | None = None
    reason: str | None = None
    redrive: str | None = None


class StepSeen(msgspec.Struct, rename="camel"):
    """A step that an attempt has recorded."""

    name: str
    attempt: int
    at: datetime
    forgotten_at: datetime | None = None
    kept: bool = True
    result: msgspec.Raw = msgspec.Raw(b"")


class TaskSeen(msgspec.Struct, rename="camel"):
    """A task, or an item of a list; what an item leaves out is empty."""

    task_id: str
    type: str
    state: str
    attempt_count: int
    max_retries: int
    submitted_at: datetime
    updated_at: datetime
    redrive_count: int
    next_attempt_at: datetime | None = None
    purged_at: datetime | None = None
    key: str = ""
    error: ErrorSeen | None = None
    payload: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    attempts: list[AttemptSeen] = []
    history: list[ActSeen] = []
    steps: list[StepSeen] = []
    parent: str = ""


class WhySeen(msgspec.Struct, rename="camel"):
    """Why a task is not running now."""

    task_id: str
    state: str
    reason: str
    detail: str
    would_change: str
    until: datetime | None = None


class StatsSeen(msgspec.Struct, rename="camel"):
    accepted: int
    outstanding: int
    lost: int
    states: dict[str, int]
    rates: dict[str, float] = {}
    unhandled_types: list[str] = []


class GroupSeen(msgspec.Struct, rename="camel"):
    fingerprint: str
    error_type: str
    sample: str
    count: int
    first_at: datetime
    last_at: datetime


class Groups(msgspec.Struct):
    groups: list[GroupSeen]


class Page(msgspec.Struct, rename="camel"):
    """A page of a list, each task as the text that the service sent."""

    tasks: list[msgspec.Raw]
    next_cursor: str | None = None


LARGEST_PAGE = 1000


def pages(
    service: Service,
    path: str,
    query: Mapping[str, str | int | None],
    limit: int | None,
    largest: int = LARGEST_PAGE,
) -> Iterator[Page]:
    """Pages of a list, until `limit` tasks were given (None: all).  What is None in `query` is
    left out."""
    asked: dict[str, str | int] = {key: value for key, value in query.items() if value is not None}
    left = limit
    while left is None or left > 0:
        asked["limit"] = largest if left is None else min(left, largest)
        page = read(service.get(path, asked), Page)
        yield page
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor
        left = None if left is None else left - len(page.tasks)


def seen(tasks: list[msgspec.Raw]) -> list[TaskSeen]:
    """The tasks of a page as values."""
    return [read(bytes(task), TaskSeen) for task in tasks]
