"""The calls about redrives, schedules and types, from code that runs in an event loop.

`groups.py` is made of this file by `python -m tests.client.one_source`: change this one.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar, Unpack

from unlost.client.core import calls
from unlost.client.core.calls import Call, Page
from unlost.client.core.retrying import Retries
from unlost.client.edges import AsyncEdge
from unlost.client.options import RedriveOptions, Said, ScheduleOptions, TypeOptions
from unlost.client.values import RedriveInfo, ScheduleInfo, TaskInfo, TypeInfo

T = TypeVar("T")


class AsyncCalls:
    """Calls over one edge, each made again as long as `retries` says."""

    def __init__(self, edge: AsyncEdge, retries: Retries) -> None:
        self._edge = edge
        self._retries = retries

    async def _do(self, call: Call[T]) -> T:
        return await self._edge.run(self._retries.perform(call))

    async def _items(
        self, path: str, kind: type[Page[T]], filters: Mapping[str, Any], limit: int | None
    ) -> AsyncIterator[T]:
        """The items of a list, page by page, at most so many."""
        cursor, left = None, limit
        while left is None or left > 0:
            most = calls.PAGE if left is None else min(left, calls.PAGE)
            page = await self._do(calls.page(path, kind, filters, cursor, most))
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return
            left = None if left is None else left - len(page.items)


class AsyncRedrives(AsyncCalls):
    """Redrives of dead letters, which the service goes on with by itself."""

    async def begin(
        self, redrive_id: str | None = None, **options: Unpack[RedriveOptions]
    ) -> RedriveInfo:
        """Begin a redrive, such as `begin(type="invoice.send", canary=1)`.

        Raises Conflict where another redrive has this id.
        """
        named = f"redrive-{secrets.token_hex(8)}" if redrive_id is None else redrive_id
        return await self._do(calls.begin_redrive(named, options))

    async def get(self, redrive_id: str) -> RedriveInfo:
        """How a redrive stands.  Raises NotFound."""
        return await self._do(calls.get_redrive(redrive_id))

    async def stop(self, redrive_id: str, **said: Unpack[Said]) -> RedriveInfo:
        """Let it take nothing more; what is under way goes on.  Raises NotFound."""
        return await self._do(calls.stop_redrive(redrive_id, said))

    def list(
        self, state: str | None = None, limit: int | None = None
    ) -> AsyncIterator[RedriveInfo]:
        """Redrives, newest first, at most `limit`."""
        return self._items("/redrives", calls.RedrivePage, {"state": state}, limit)


class AsyncSchedules(AsyncCalls):
    """Schedules, which submit a task at their times."""

    async def set(self, schedule_id: str, **options: Unpack[ScheduleOptions]) -> ScheduleInfo:
        """Make a schedule, or make it another: what `options` leave out is as by default, not as it
        was (but for `paused`).  Raises Refused, Conflict."""
        return await self._do(calls.set_schedule(schedule_id, options))

    async def get(self, schedule_id: str, *, ticks: bool = False) -> ScheduleInfo:
        """A schedule, with its newest ticks where asked for.  Raises NotFound."""
        return await self._do(calls.get_schedule(schedule_id, ticks=ticks))

    def list(
        self, *, payload: bool = False, limit: int | None = None
    ) -> AsyncIterator[ScheduleInfo]:
        """Schedules by id, at most `limit`; with their payloads where asked for."""
        include = {"include": "payload"} if payload else {}
        return self._items("/schedules", calls.SchedulePage, include, limit)

    async def delete(self, schedule_id: str, **said: Unpack[Said]) -> None:
        """Delete a schedule; one that is not there stays so.  Its tasks stay."""
        await self._do(calls.delete_schedule(schedule_id, said))

    async def run(
        self, schedule_id: str, task_id: str | None = None, **said: Unpack[Said]
    ) -> TaskInfo:
        """Submit its task now, whatever its times say.  Raises NotFound, Conflict."""
        named = f"{schedule_id}:run:{secrets.token_hex(6)}" if task_id is None else task_id
        return await self._do(calls.run_schedule(schedule_id, named, said))

    async def pause(self, schedule_id: str, **said: Unpack[Said]) -> ScheduleInfo:
        """Let no time of it come to a task until it is resumed.  Raises NotFound."""
        return await self._do(calls.pause_schedule(schedule_id, "pause", said))

    async def resume(self, schedule_id: str, **said: Unpack[Said]) -> ScheduleInfo:
        """Let its times come to tasks again.  Raises NotFound, Conflict."""
        return await self._do(calls.pause_schedule(schedule_id, "resume", said))


class AsyncTypes(AsyncCalls):
    """What is set for types of tasks."""

    async def list(self) -> tuple[TypeInfo, ...]:
        """The types for which something is set, by name."""
        return await self._do(calls.types())

    async def change(self, type: str, **options: Unpack[TypeOptions]) -> TypeInfo:
        """Set a type's limits, rates and breaker: None removes one, what is left out stays."""
        return await self._do(calls.change_type(type, options))

    async def pause(self, type: str, **said: Unpack[Said]) -> TypeInfo:
        """Let no task of this type start until it is resumed.  An earlier pause stays."""
        return await self._do(calls.pause_type(type, said))

    async def resume(self, type: str, **said: Unpack[Said]) -> TypeInfo:
        """Let tasks of this type start again."""
        return await self._do(calls.resume_type(type, said))
