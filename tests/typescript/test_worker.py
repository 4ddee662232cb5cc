"""The worker for Node, as users get it, on a real service that runs no handlers itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.process.service import Service, children, service, until
from tests.typescript.node import PACKAGE, environment, named, run
from unlost.task import State


def url_of(running: Service) -> str:
    return running.ready.split()[-1]


@contextlib.contextmanager
def worker(folder: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own; what it says is in the file `worker`."""
    with (folder / "worker").open("ab") as said:
        process = subprocess.Popen(
            ["node", "test/work.js", "killed"],
            cwd=PACKAGE,
            env=environment(UNLOST_URL=url),
            stdout=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # `node` may be a script that has started Node
        process.wait()


async def test_it_does_what_it_says(tmp_path: Path) -> None:
    words = named("worker", "waiting")
    async with service(tmp_path, "serve", handler="none", backoff_base=0.01) as running:
        status, said = await asyncio.to_thread(run, *words, UNLOST_URL=url_of(running))
    assert status == 0, said


async def test_nothing_is_left_or_made_twice_where_worker_and_service_are_killed(
    tmp_path: Path,
) -> None:
    ids = [f"task-{number}" for number in range(300)]
    async with service(tmp_path, "serve", handler="none", backoff_base=0.01) as running:

        def kill_api() -> None:
            [api] = [pid for pid, line in children(running.process.pid) if line.endswith(" api")]
            psutil.Process(api).kill()

        def said() -> list[dict[str, str]]:
            text = (tmp_path / "worker").read_text()
            return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

        await running.submit(*ids, type="killed", payload="{}")
        with worker(tmp_path, url_of(running)):
            await until(lambda: len(said()) > 50)
            kill_api()
            await until(lambda: len(said()) > 200)
        with worker(tmp_path, url_of(running)):
            await until(lambda: len(said()) > 300)
            kill_api()
            ended = [await running.ended(task_id) for task_id in ids]
    assert {record.state for record in ended} == {State.SUCCEEDED}
    made = Counter(one["id"] for one in said() if one["what"] == "made")
    assert made.keys() == {*ids}
    again = {record.task_id for record in ended if len(record.attempts) > 1}
    assert {task_id for task_id, count in made.items() if count > 1} <= again
    assert len(again) <= 50  # what the killed worker ran, or had not settled
