"""What is done to a service all day: tasks at a steady rate, and what people do beside them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Final

import httpx

from unlost import AsyncClient, Conflict
from unlost.client import NewTask

TICK: Final = 0.5
"""Seconds between two batches."""

PAYLOAD: Final = {"invoice": 123456, "customer": "c-0123456789", "note": "x" * 140}

MIX: Final = {
    "ordinary": 6_000, "in thread": 1_500, "steps": 800, "limited": 800, "pulled": 600, "held": 270,
    "hangs": 28, "lethal": 2,
}  # fmt: skip
"""Types of tasks, and how often each comes."""

OLDEST: Final = re.compile(r"^unlost_oldest_waiting_seconds ([0-9.eE+-]+)", re.MULTILINE)

PATIENCE: Final = 600.0
"""Seconds for which a call is made again: longer than a tree is paused."""


class Load:
    """Submits `rate` tasks a second to the two services of a home, and keeps which were accepted.

    `run` ends once `over` is set.  Raises whatever answer no client may get.
    """

    def __init__(self, name: str, urls: list[str], rate: float, random: Random) -> None:
        self.over = asyncio.Event()
        self.accepted = bytearray()
        """By the number in its id, whether a task was accepted."""
        self.done: Counter[str] = Counter()
        self.lag = 0.0
        self._name = name
        self._urls = urls
        self._rate = rate
        self._random = random
        self._passing = 0

    def id(self, number: int) -> str:
        """The id of a task that this submits."""
        return f"{self._name}-{number}"

    async def run(self) -> None:
        """Do all of it until it is over."""
        async with contextlib.AsyncExitStack() as stack:
            self._clients = [
                await stack.enter_async_context(AsyncClient(url, retry_for=PATIENCE))
                for url in self._urls
            ]
            self._http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self._urls[0], trust_env=False, timeout=30)
            )
            await self._set_up()
            async with asyncio.TaskGroup() as group:
                streams = group.create_task(self._follow())
                group.create_task(self._submit_all(group))
                for seconds, act in self._acts().items():
                    group.create_task(self._each(seconds, act))
                await self.over.wait()
                streams.cancel()
            await self._end()

    async def _end(self) -> None:
        """Let nothing new be made by the service itself."""
        client = self._clients[0]
        async for schedule in client.schedules.list():
            await client.schedules.delete(schedule.id)
        for state in ("canary", "running"):
            async for redrive in client.redrives.list(state=state):
                await client.redrives.stop(redrive.id)

    def _acts(self) -> dict[float, Callable[[], Awaitable[None]]]:
        """What is done beside the tasks, by the seconds between two times."""
        return {
            1.0: self._submit_and_wait, 2.0: self._cancel, 10.0: self._look, 30.0: self._reschedule,
            60.0: self._redrive, 61.0: self._discard, 120.0: self._pause,
        }  # fmt: skip

    async def _each(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while not await self._is_over_in(seconds):
            await act()

    async def _is_over_in(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), max(seconds, 0))
        return self.over.is_set()

    @property
    def _client(self) -> AsyncClient:
        """Mostly of the service that is left alone."""
        return self._random.choices(self._clients, (3, 1))[0]

    async def _set_up(self) -> None:
        await self._clients[0].types.change("pulled", pull=True)
        await self._clients[0].types.change("limited", key_limit=2, rate_per_second=self._rate)
        for number in range(5):
            await self._clients[0].schedules.set(
                f"{self._name}-every-{number}", every=number + 1, type="tick", payload={}
            )

    async def _submit_all(self, group: asyncio.TaskGroup) -> None:
        """Begin a batch each tick, whatever became of the one before."""
        began, ticks = time.monotonic(), 0
        while not await self._is_over_in(began + ticks * TICK - time.monotonic()):
            ticks += 1
            more = int(self._rate * TICK * ticks) - int(self._rate * TICK * (ticks - 1))
            group.create_task(self._submit(more))

    async def _submit(self, many: int) -> None:
        first = len(self.accepted)
        self.accepted.extend(bytes(many))
        number = first
        async for result in self._client.submit_many(self._tasks(first, many)):
            if result.status not in (200, 202):
                raise RuntimeError(f"task {number} was answered {result}")
            self.accepted[number] = 1
            number += 1

    def _tasks(self, first: int, many: int) -> Iterator[NewTask]:
        kinds = self._random.choices(list(MIX), list(MIX.values()), k=many)
        for number, kind in enumerate(kinds, first):
            task: NewTask = {"task_id": self.id(number), "type": kind, "payload": PAYLOAD}
            if kind == "limited":
                task["key"] = f"customer-{number // 100}"  # new ones all day
            if number % 50 == 0:
                task["delay_seconds"] = 5.0
            yield task

    async def _submit_and_wait(self) -> None:
        task = await self._client.submit(PAYLOAD, type="ordinary")
        await self._client.wait(task.task_id, 5)
        self.done["waits"] += 1

    async def _cancel(self) -> None:
        task = await self._client.submit(PAYLOAD, type="ordinary", delay_seconds=3600)
        await self._client.cancel(task.task_id, by="the day")
        self.done["cancels"] += 1

    async def _look(self) -> None:
        """What a console and a monitoring system read."""
        client = self._client
        _ = [task async for task in client.tasks(limit=50)]
        _ = [letter async for letter in client.dead_letters(limit=50)]
        _ = [one async for one in client.redrives.list(limit=10)]
        await client.stats()
        await client.types.list()
        text = (await self._http.get("/metrics")).raise_for_status().text
        if (found := OLDEST.search(text)) is not None:
            self.lag = float(found[1])
        self.done["looks"] += 1

    async def _reschedule(self) -> None:
        """Make a schedule, and delete the one before."""
        name = f"{self._name}-passing-"
        await self._client.schedules.delete(f"{name}{self._passing}")
        self._passing += 1
        await self._client.schedules.set(
            f"{name}{self._passing}", every=5, type="tick", payload={"passing": self._passing}
        )
        self.done["schedules"] += 1

    async def _redrive(self) -> None:
        await self._client.redrives.begin(all=True, tolerate=None, by="the day")
        self.done["redrives"] += 1

    async def _discard(self) -> None:
        client = self._client
        async for letter in client.dead_letters(limit=2):
            with contextlib.suppress(Conflict):  # it was redriven
                await client.discard(letter.task_id)
                self.done["discards"] += 1

    async def _pause(self) -> None:
        await self._client.types.pause("held", by="the day")
        await self._is_over_in(10)
        await self._client.types.resume("held")
        self.done["pauses"] += 1

    async def _follow(self) -> None:
        """Hear of every transition."""
        async for _ in self._clients[0].events():
            self.done["events"] += 1
