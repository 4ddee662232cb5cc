"""Clients that try again until they have an answer, and write down what they were told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.soak.load import Task

AT_ONCE = 12
"""Clients."""

PATIENCE = 5.0
"""Seconds that a client waits for an answer before it asks again."""

PAUSE = 0.05
"""Seconds before it asks again."""


class Clients:
    """They submit what is put into `portions`; each is sent again until it is answered for.

    What they were told goes to a file, a line for each task: its id, what was asked, the status.
    """

    def __init__(self, url: str, seed: int, told: Path) -> None:
        self.portions: asyncio.Queue[list[Task]] = asyncio.Queue()
        self.trouble: Counter[str] = Counter()
        self._url = url
        self._random = Random(f"{seed}/clients")
        self._told = told

    async def run(self) -> None:
        """Work until cancelled.  Raises AssertionError for an answer that no client may get."""
        with self._told.open("a") as told:
            self._lines = told
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._client())

    async def _client(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=PATIENCE) as http:
            while True:
                portion = await self.portions.get()
                if len(portion) == 1:
                    await self._submit(http, portion[0])
                else:
                    await self._submit_batch(http, portion)
                await self._look_after(http, self._random.choice(portion))
                self.portions.task_done()

    async def _submit(self, http: httpx.AsyncClient, task: Task) -> None:
        answer = await self.ask(http, "POST", "/tasks", json=task)
        assert answer.status_code in (200, 202), answer.text
        assert answer.json()["taskId"] == task["taskId"]
        self._tell(task["taskId"], "submit", answer.status_code)

    async def _submit_batch(self, http: httpx.AsyncClient, tasks: list[Task]) -> None:
        """Submit until none is left that could not be stored in time."""
        while tasks:
            if self._random.random() < 0.5:
                answer = await self.ask(http, "POST", "/tasks/batch", json={"tasks": tasks})
            else:
                lines = "".join(json.dumps(task) + "\n" for task in tasks)
                headers = {"Content-Type": "application/x-ndjson"}
                answer = await self.ask(
                    http, "POST", "/tasks/batch", content=lines, headers=headers
                )
            assert answer.status_code == 200, answer.text
            results = answer.json()["results"]
            assert [one["taskId"] for one in results] == [task["taskId"] for task in tasks]
            assert {one["status"] for one in results} <= {200, 202, 503}, answer.text
            for one in results:
                self._tell(one["taskId"], "submit", one["status"])
            left = {one["taskId"] for one in results if one["status"] == 503}
            tasks = [task for task in tasks if task["taskId"] in left]

    async def _look_after(self, http: httpx.AsyncClient, task: Task) -> None:
        """Now and then do with a task that was accepted what people do."""
        task_id, dice = task["taskId"], self._random.random()
        if dice < 0.06:
            answer = await self.ask(http, "GET", f"/tasks/{task_id}")
            assert answer.status_code == 200, f"an accepted task is not there: {answer.text}"
        elif dice < 0.10:
            answer = await self.ask(http, "POST", "/tasks", json=task)
            assert answer.status_code == 200, f"accepted twice: {answer.text}"
            assert answer.headers["idempotent-replayed"] == "true"
        elif dice < 0.12:
            answer = await self.ask(http, "POST", "/tasks", json=task | {"payload": {}})
            assert answer.status_code == 409, f"not taken for another task: {answer.text}"
        elif dice < 0.15:
            answer = await self.ask(http, "POST", f"/tasks/{task_id}/cancel")
            assert answer.status_code in (200, 409), answer.text
            self._tell(task_id, "cancel", answer.status_code)
        elif dice < 0.155:
            some = {"all": True, "limit": 5}
            answer = await self.ask(http, "POST", "/dead-letters/redrive", json=some)
            assert answer.status_code == 202, answer.text

    async def ask(
        self, http: httpx.AsyncClient, method: str, path: str, **content: Any
    ) -> httpx.Response:
        """The answer, asked for until there is one that is not "try again"."""
        while True:
            try:
                answer = await http.request(method, path, **content)
            except httpx.TransportError as error:
                self.trouble[type(error).__name__] += 1
            else:
                if answer.status_code != 503:
                    assert answer.status_code < 500, answer.text
                    return answer
                assert answer.headers["retry-after"]
                self.trouble["503"] += 1
            await asyncio.sleep(PAUSE)

    def _tell(self, task_id: str, what: str, status: int) -> None:
        self._lines.write(f"{task_id} {what} {status}\n")
