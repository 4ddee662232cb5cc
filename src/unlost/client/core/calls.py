"""The calls of the API: what each sends, and what its answer is.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from unlost.client import options
from unlost.client.core.answers import read
from unlost.client.core.wire import Answer, Request
from unlost.client.values import RedriveInfo, ScheduleInfo, Stats, TaskInfo, TypeInfo
from unlost.task import State

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE: Final = 1_000
"""Items on a page of a list; with big members a page ends by its bytes."""

SILENCE: Final = 15.0
"""Seconds between two comments of a stream in which nothing happens."""

EVENTS: Final = Request("GET", "/events", waits=SILENCE)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call: its request, which may be sent again, and how its answer is read.

    `task_id` is the task's that it is about.  `done` says, of a task as it is, whether what the
    call is to do holds: that decides where the call was sent again and refused with 409.
    """

    request: Request
    reads: Callable[[Answer], T]
    expected: tuple[int, ...] = (200,)
    task_id: str | None = None
    done: Callable[[TaskInfo], bool] | None = None


class Page(Protocol[T_co]):
    """Items of a list, and where it goes on."""

    @property
    def items(self) -> Sequence[T_co]: ...

    @property
    def next_cursor(self) -> str | None: ...


class TaskPage(msgspec.Struct, frozen=True, rename={"items": "tasks", "next_cursor": "nextCursor"}):
    """Tasks."""

    items: tuple[TaskInfo, ...]
    next_cursor: str | None = None


class RedrivePage(
    msgspec.Struct, frozen=True, rename={"items": "redrives", "next_cursor": "nextCursor"}
):
    """Redrives."""

    items: tuple[RedriveInfo, ...]
    next_cursor: str | None = None


class SchedulePage(
    msgspec.Struct, frozen=True, rename={"items": "schedules", "next_cursor": "nextCursor"}
):
    """Schedules."""

    items: tuple[ScheduleInfo, ...]
    next_cursor: str | None = None


class Types(msgspec.Struct):
    """All types."""

    types: tuple[TypeInfo, ...]


def _as(kind: type[T]) -> Callable[[Answer], T]:
    return partial(read, kind=kind)


def _path(*names: str) -> str:
    """A path with names in it, whatever their characters.  Raises ValueError for an empty one."""
    if not all(names):
        raise ValueError("an id or a name cannot be empty")
    return "".join(
        f"/{name.replace('.', '%2E') if name in ('.', '..') else quote(name, safe='')}"
        for name in names
    )


def submit(task_id: str, payload: Mapping[str, object], given: Mapping[str, Any]) -> Call[TaskInfo]:
    """Submit a task.  Raises ValueError for what is no JSON."""
    said = {"taskId": task_id, **options.members(given), "payload": payload}
    request = Request("POST", "/tasks", body=options.body(said))
    return Call(request, _as(TaskInfo), (200, 202), task_id)


def get(
    task_id: str, wait: float = 0.0, include: str | Iterable[str] | None = None
) -> Call[TaskInfo]:
    """Look at a task, for `wait` seconds if it has not ended."""
    query = options.query({"wait": f"{wait:.3f}" if wait else None, "include": include})
    request = Request("GET", _path("tasks", task_id), query, waits=wait)
    return Call(request, _as(TaskInfo), task_id=task_id)


def cancel(task_id: str, said: Mapping[str, Any]) -> Call[TaskInfo]:
    """Cancel a task."""
    request = _post(_path("tasks", task_id, "cancel"), options.members(said))
    return Call(request, _as(TaskInfo), task_id=task_id, done=_is_cancelled)


def redrive(
    task_id: str, call_id: str, payload: Mapping[str, object] | None, said: Mapping[str, Any]
) -> Call[TaskInfo]:
    """Redrive one dead letter, once for each `call_id`."""
    given = options.members({"id": call_id, "payload": payload, **said})
    request = _post(_path("dead-letters", task_id, "redrive"), given)
    return Call(request, _as(TaskInfo), (200, 202), task_id, _is_redriven)


def discard(task_id: str, call_id: str, said: Mapping[str, Any]) -> Call[None]:
    """Discard one dead letter."""
    given = options.body(options.members({"id": call_id, **said}))
    request = Request("DELETE", _path("dead-letters", task_id), body=given)
    return Call(request, _nothing, (200, 204), task_id, _is_cancelled)


def _is_cancelled(task: TaskInfo) -> bool:
    return task.state is State.CANCELLED


def _is_redriven(task: TaskInfo) -> bool:
    return task.redrive_count > 0 and task.state not in (State.DEAD, State.CANCELLED)


def page(
    path: str, kind: type[Page[T]], filters: Mapping[str, Any], cursor: str | None, most: int
) -> Call[Page[T]]:
    """A page of a list, of at most so many items."""
    query = options.query({**filters, "limit": most, "cursor": cursor})
    return Call(Request("GET", path, query), _as(kind))


def stats() -> Call[Stats]:
    """The counters."""
    return Call(Request("GET", "/stats"), _as(Stats))


def begin_redrive(redrive_id: str, given: Mapping[str, Any]) -> Call[RedriveInfo]:
    """Begin a redrive, which the service goes on with by itself."""
    said = options.members(given)
    if given.get("tolerate", 0) is None:
        said["tolerate"] = None
    request = _post("/redrives", {"id": redrive_id, **said})
    return Call(request, _as(RedriveInfo), (200, 201))


def get_redrive(redrive_id: str) -> Call[RedriveInfo]:
    """Look at a redrive."""
    return Call(Request("GET", _path("redrives", redrive_id)), _as(RedriveInfo))


def stop_redrive(redrive_id: str, said: Mapping[str, Any]) -> Call[RedriveInfo]:
    """Let a redrive take nothing more."""
    request = _post(_path("redrives", redrive_id, "stop"), options.members(said))
    return Call(request, _as(RedriveInfo))


def set_schedule(schedule_id: str, given: Mapping[str, Any]) -> Call[ScheduleInfo]:
    """Make a schedule, or make it another."""
    said = options.body(options.members(given))
    request = Request("PUT", _path("schedules", schedule_id), body=said)
    return Call(request, _as(ScheduleInfo), (200, 201))


def get_schedule(schedule_id: str, *, ticks: bool) -> Call[ScheduleInfo]:
    """Look at a schedule, with its newest ticks."""
    query = (("include", "ticks"),) if ticks else ()
    return Call(Request("GET", _path("schedules", schedule_id), query), _as(ScheduleInfo))


def delete_schedule(schedule_id: str, said: Mapping[str, Any]) -> Call[None]:
    """Delete a schedule; its tasks stay."""
    query = options.query(said)
    return Call(Request("DELETE", _path("schedules", schedule_id), query), _nothing, (204,))


def run_schedule(schedule_id: str, task_id: str, said: Mapping[str, Any]) -> Call[TaskInfo]:
    """Submit a schedule's task now."""
    given = options.members({"task_id": task_id, **said})
    request = _post(_path("schedules", schedule_id, "run"), given)
    return Call(request, _as(TaskInfo), (200, 202), task_id)


def pause_schedule(schedule_id: str, act: str, said: Mapping[str, Any]) -> Call[ScheduleInfo]:
    """Pause a schedule, or resume it."""
    request = _post(_path("schedules", schedule_id, act), options.members(said))
    return Call(request, _as(ScheduleInfo))


def types() -> Call[tuple[TypeInfo, ...]]:
    """The types for which something is set."""
    return Call(Request("GET", "/types"), lambda answer: read(answer, Types).types)


def change_type(type_: str, given: Mapping[str, Any]) -> Call[TypeInfo]:
    """Set or remove a type's limits, rates and breaker."""
    said = options.members(given, nulls=True)
    if isinstance(breaker := given.get("breaker"), Mapping):
        said["breaker"] = options.members(breaker)
    request = Request("PATCH", _path("types", type_), body=options.body(said))
    return Call(request, _as(TypeInfo))


def pause_type(type_: str, said: Mapping[str, Any]) -> Call[TypeInfo]:
    """Let no task of a type start."""
    return Call(_post(_path("types", type_, "pause"), options.members(said)), _as(TypeInfo))


def resume_type(type_: str, said: Mapping[str, Any]) -> Call[TypeInfo]:
    """Let tasks of a type start again."""
    return Call(_post(_path("types", type_, "resume"), options.members(said)), _as(TypeInfo))


def _post(path: str, given: Mapping[str, object]) -> Request:
    return Request("POST", path, body=options.body(given))


def _nothing(_: Answer) -> None:
    return None
