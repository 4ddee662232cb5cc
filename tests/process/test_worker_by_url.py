"""Workers that claim by the API of a service: what their deaths, hangs and stops cost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.service import UNLOST, alive, end, launch, service, until, worker_by_url
from tests.process.test_hostile_handlers import CALM
from tests.process.test_starting import refusal
from unlost.task import Outcome, State

HANDLER: dict[str, Any] = {"handler": "process_app:handlers"}

SHORTEST_LEASE = 5.0
"""Seconds that it takes at most until what a dead worker held is lost, beside the sweep."""

SLOW = 8.0
"""Seconds that a machine which runs other tests as well may take for what is done at once."""


async def test_an_attempt_whose_worker_is_killed_is_lost_and_the_next_runs_alone(
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {"lease": 600, "backoff_base": 0.2, **HANDLER}
    async with worker_by_url(tmp_path, **settings) as running:
        await running.submit("t", type="waits once")
        await running.running("t")
        [worker] = running.workers()
        began = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        await running.when("t", lambda record: record.state is not State.RUNNING)
        took = time.monotonic() - began
        record = await running.ended("t")
        status = await running.stop()
    assert took < SHORTEST_LEASE + SLOW  # and not the lease
    assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert record.error is not None
    assert record.error.type == "WorkerLost"
    result = json.loads(record.result or "")
    assert result["beside"] == 0
    assert result["pid"] != worker
    assert status == 0
    assert len(running.events("attempts.lost")) == 1


async def test_a_handler_that_hangs_with_its_process_is_timed_out_and_the_process_replaced(
    tmp_path: Path,
) -> None:
    async with worker_by_url(tmp_path, max_retries=0, **HANDLER) as running:
        [worker] = running.workers()
        await running.submit("stuck", type="holds the lock", timeout=0.5)
        record = await running.ended("stuck")
        await until(lambda: not alive(worker))
        await running.submit("next", type="works")
        following = await running.ended("next")
        status = await running.stop()
    assert [one.outcome for one in record.attempts] == [Outcome.TIMED_OUT]
    assert following.state is State.SUCCEEDED
    assert len(running.events("worker.hung")) == 1
    assert status == 0


async def test_a_stop_finishes_what_ends_in_time_and_releases_the_rest(tmp_path: Path) -> None:
    kinds = ("tells its cancel sync", "hangs sync", "runs a program sync")
    settings: dict[str, Any] = {"grace": 4, "max_retries": 0, **HANDLER}
    async with worker_by_url(tmp_path, **settings) as running:
        await running.submit("ends", type="works", payload='{"until":"told"}')
        await running.running("ends")
        for kind in kinds:
            await running.submit(kind, type=kind)
        await running.running(*kinds)
        pids = running.everyone()
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        await until(lambda: bool(running.events("service.stopping")))
        (tmp_path / "told").touch()
        status = await running.exit_status()
        took = time.monotonic() - began
        ends = await running.ended("ends")
        released = [await running.ledger.get(kind) for kind in kinds]
    assert status == 0
    assert took < 4 + SLOW
    assert not any(alive(pid) for pid in pids)
    assert (ends.state, ends.attempt_count) == (State.SUCCEEDED, 1)
    for record in released:
        assert record is not None
        assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]
        assert (record.state, record.attempt_count) == (State.QUEUED, 0)


async def test_hostile_handlers_fail_with_a_reason_and_leave_the_worker_alive(
    tmp_path: Path,
) -> None:
    async with worker_by_url(tmp_path, max_retries=0, **HANDLER) as running:
        [worker] = running.workers()
        for kind in CALM:
            await running.submit(kind, type=kind, timeout=3.0)
        records = {kind: await running.ended(kind) for kind in CALM}
        survived = running.workers()
        log = running.log()
        status = await running.stop()
    why = {kind: record.error.type for kind, record in records.items() if record.error}
    assert why == {
        "exits": "SystemExit",
        "exits sync": "SystemExit",
        "interrupts": "KeyboardInterrupt",
        "raises base": "BaseException",
        "raises cancelled": "asyncio.exceptions.CancelledError",
        "returns object": "ResultNotJson",
        "hangs": "AttemptTimedOut",
    }
    done = {kind for kind, record in records.items() if record.state is State.SUCCEEDED}
    assert done == set(CALM) - set(why)
    assert survived == [worker]
    assert [line for line in log if line["event"] == "process.ended"] == []
    assert status == 0


async def test_a_cancelled_attempt_is_told_within_five_seconds(tmp_path: Path) -> None:
    async with worker_by_url(tmp_path, **HANDLER) as running:
        await running.submit("t", type="tells its cancel")
        await running.running("t")
        began = time.monotonic()
        await running.ledger.cancel("t", None, None)
        await until((tmp_path / "t.told").exists)
        took = time.monotonic() - began
        await asyncio.sleep(0)
        assert await running.stop() == 0
    assert took < 5 + SLOW / 4


async def test_a_key_of_the_scope_work_is_enough_for_its_types_and_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    mine = key_of(there, "mine", "--scope", "work", "--type", "works")
    other = key_of(there, "other", "--scope", "read,submit")
    async with service(there, "serve", handler="none", auth="keys") as server:
        of_mine: dict[str, Any] = {"url": server.ready.split()[-1], "types": "works"} | HANDLER
        for task_id, given in {"by-file": {"api_key": f"@{mine}"}, "by-environment": {}}.items():
            monkeypatch.setenv("UNLOST_API_KEY", "" if given else mine.read_text())
            process = launch(tmp_path, "worker", **of_mine, **given)
            try:
                await server.submit(task_id, type="works")
                assert (await server.ended(task_id)).state is State.SUCCEEDED
                tree = psutil.Process(process.pid)
                shown = [one.cmdline() for one in (tree, *tree.children(recursive=True))]
                process.terminate()
                _, said = process.communicate(timeout=20)
            finally:
                end(process)
            assert process.returncode == 0
            log = (tmp_path / "stdout").read_text()
            assert mine.read_text() not in f"{shown}{said}{log}"
        monkeypatch.delenv("UNLOST_API_KEY")
        for key, types, why in (
            (other, "works", "this key has not the scope work (403)"),
            (mine, "works,waits once", "this key is for tasks of other types (403); this worker"),
        ):
            refused = of_mine | {"types": types, "api_key": f"@{key}"}
            status, said = refusal(tmp_path, "worker", **refused)
            assert (status, said.count("\n")) == (1, 1)
            assert said.startswith(f"unlost: {of_mine['url']} refused this: {why}")


def key_of(folder: Path, name: str, *bounds: str) -> Path:
    """The file of a new key of the ledger in `folder`."""
    file = folder / name
    file.write_text("unlost_" + name[0] * 43)
    where = ("--ledger", f"sqlite:///{folder}/ledger.db", "--secret-file", str(file))
    subprocess.run([UNLOST, "key", "create", "--name", name, *where, *bounds], check=True)
    return file
