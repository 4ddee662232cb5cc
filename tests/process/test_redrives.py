"""A redrive whose whole process tree is killed, again and again: it goes on, each letter once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.process.service import Service, service
from unlost.audit import audit
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import SECOND, Event, State

LETTERS = 2_000
KILLS = (150, 400)
"""So many letters have ended when the tree is killed."""

SETTINGS: dict[str, Any] = {
    "handler": "process_app:handlers", "lease": 2, "concurrency": 200, "max_retries": 0,
}  # fmt: skip


async def bury(running: Service, task_ids: list[str]) -> None:
    """Have so many tasks die of what is down, which is up again then; the later half of them runs
    on until there is a file `go`."""
    down, half = running.folder / "down", len(task_ids) // 2
    down.touch()
    await running.submit(*task_ids[:half], type="depends")
    await running.submit(*task_ids[half:], type="depends", payload='{"until":"go"}')
    for task_id in task_ids:
        await running.ended(task_id)
    down.unlink()


async def until_ended(running: Service, count: int) -> Redrive:
    """The redrive once so many of its letters have ended."""
    end = time.monotonic() + 60
    while True:
        redrive = await running.ledger.get_redrive("all")
        assert redrive is not None
        if redrive.redriven - redrive.under_way >= count:
            return redrive
        assert time.monotonic() < end, redrive
        await asyncio.sleep(0.01)


def kill_all(running: Service) -> None:
    for pid in running.everyone():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_it_goes_on_when_its_tree_was_killed_and_takes_each_letter_once(
    tmp_path: Path,
) -> None:
    task_ids = [f"t{number}" for number in range(LETTERS)]
    async with service(tmp_path, "serve", **SETTINGS) as running:
        await bury(running, task_ids)
        spread = Redrive("all", canary=0, tolerate=None, interval=SECOND // 500)
        await running.ledger.add_redrive(spread, Named())
        await until_ended(running, KILLS[0])
        kill_all(running)
        await running.exit_status()
    async with service(tmp_path, "serve", **SETTINGS) as running:
        seen = await until_ended(running, KILLS[1])
        assert (seen.left or 0) + seen.under_way > 0  # else there is nothing to go on with
        kill_all(running)
        await running.exit_status()
    (tmp_path / "go").touch()
    async with service(tmp_path, "serve", **SETTINGS) as running:
        done = await until_ended(running, LETTERS)
        assert (done.state, done.selected, done.left, done.gone) == (
            RedriveState.DONE, LETTERS, 0, 0,
        )  # fmt: skip
        became = Counter[State]()
        for task_id in task_ids:
            record = await running.ledger.get(task_id)
            assert record is not None
            assert [(act.event, act.redrive) for act in record.history] == [(Event.REDRIVE, "all")]
            became[record.state] += 1
        assert (became[State.SUCCEEDED], became[State.DEAD]) == (done.succeeded, done.died_again)
        assert (await audit(running.ledger)).ok
        assert await running.stop() == 0
