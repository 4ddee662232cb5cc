"""A start: a line when it is ready, or one that says why it cannot be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import children, end, launch, service, until
from unlost.ledger.sqlite.files.lock import LockFile


def refusal(folder: Path, role: str, **settings: Any) -> tuple[int, str]:
    """The exit status and stderr of a service that cannot start."""
    process = launch(folder, role, **settings)
    try:
        _, said = process.communicate(timeout=20)
        return process.returncode, said
    finally:
        end(process)


async def test_a_service_answers_once_it_says_so(tmp_path: Path) -> None:
    async with service(tmp_path, "serve", failure_rate=0) as running:
        url = running.ready.removeprefix("unlost is listening on ").strip()
        status = await asyncio.to_thread(lambda: urllib.request.urlopen(f"{url}/livez").status)
        assert status == 200
        assert await running.stop() == 0
        events = [line["event"] for line in running.log()]
    assert events == ["service.ready", "service.stopping"]


async def test_a_worker_needs_no_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with service(tmp_path, "worker", port=taken.getsockname()[1]) as running:
            assert running.ready.startswith("unlost worker is ready")


async def test_an_api_runs_no_worker(tmp_path: Path) -> None:
    async with service(tmp_path, "api") as running:
        assert running.workers() == []
        assert len(children(running.process.pid)) == 1


def test_a_taken_port_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, said = refusal(tmp_path, "serve", port=port)
    why = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert (status, said) == (1, f"unlost: {why} (--port 0 takes a free one)\n")


LINGERING = """
import threading, time
threading.Thread(target=time.sleep, args=(3600,)).start()
raise ValueError("mine")
"""


@pytest.mark.parametrize(
    ("handler", "status", "why"),
    [
        ("no_such_app:handlers", 2, "there is no module 'no_such_app'"),
        ("process_app:nothing", 2, "process_app:nothing: there is no 'nothing' in process_app"),
        ("exiting:handlers", 2, "importing 'exiting' failed: SystemExit: 0"),
        ("crashing:handlers", 1, "the worker process ended while it started, with status 9"),
        ("lingering:handlers", 2, "importing 'lingering' failed: ValueError: mine"),
    ],
)
def test_handlers_that_cannot_be_loaded_stop_the_start_with_one_line(
    tmp_path: Path, handler: str, status: int, why: str
) -> None:
    (tmp_path / "exiting.py").write_text("import sys; print('noise'); sys.exit(0)")
    (tmp_path / "crashing.py").write_text("import os; os._exit(9)")
    (tmp_path / "lingering.py").write_text(LINGERING)
    assert refusal(tmp_path, "serve", handler=handler) == (status, f"unlost: {why}\n")


def test_a_ledger_that_is_none_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is a text, and no ledger at all" * 100)
    status, said = refusal(tmp_path, "worker")
    assert status == 1
    assert said.startswith("unlost: ")
    assert said.count("\n") == 1


def test_a_ledger_that_processes_cannot_share_stops_the_start(tmp_path: Path) -> None:
    status, said = refusal(tmp_path, "worker", ledger="memory://")
    assert status == 2
    assert said.startswith("unlost: memory:// lives in one process only")


HANGS = """
import os, time
from pathlib import Path

with Path("imports").open("a") as imports:
    imports.write(f"{os.getpid()}\\n")
begun = len(Path("imports").read_text().split())

def wait_for_ever():
    time.sleep(3600)

if begun == HANGING:
    wait_for_ever()
async def handler(task): ...
"""
"""A module whose import hangs in one process."""


def test_handlers_that_hang_end_the_first_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS.replace("HANGING", "1"))
    settings = {"handler": "hangs:handler", "start_timeout": 4}
    status, said = refusal(tmp_path, "worker", **settings)
    why = "the worker process was not ready after 4 s (--start-timeout)"
    assert (status, said) == (1, f"unlost: {why}; it was importing hangs:handler\n")
    assert "in wait_for_ever" in (tmp_path / "stdout").read_text()


async def test_a_replacement_that_hangs_in_its_start_is_told_of_shown_and_ended(
    tmp_path: Path,
) -> None:
    (tmp_path / "hangs.py").write_text(HANGS.replace("HANGING", "2"))
    settings: dict[str, Any] = {"handler": "hangs:handler", "start_timeout": 8, "lease": 2}
    async with service(tmp_path, **settings) as running:
        [first] = running.workers()
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(running.events("process.starting")) == 1)
        [told] = running.events("process.starting")
        assert (told["role"], [told["pid"]]) == ("worker", running.workers())
        assert (told["seconds"], told["doing"]) == (5, "importing hangs:handler")
        await asyncio.sleep(1)  # more than a beat
        [shown] = await running.ledger.workers()
        assert (shown.worker.id, shown.worker.starting) == (told["worker"], True)
        await running.submit("t", type="a")
        record = await running.ended("t")
        assert record.attempt_count == 1
        hung = running.events("process.ended")[1]
        assert hung["pid"] == told["pid"]
        assert hung["why"].startswith("the worker process was not ready after 8 s")
        [shown] = await running.ledger.workers()
        assert not shown.worker.starting
        assert await running.stop() == 0


async def test_a_start_that_waits_for_anothers_lock_is_told_of_and_ends_with_ctrl_c(
    tmp_path: Path,
) -> None:
    held = LockFile.open(tmp_path / "ledger.db-lock", tmp_path / "ledger.db")
    with held.held():
        process = launch(tmp_path)
        try:
            await until(lambda: "process.starting" in (tmp_path / "stdout").read_text())
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 10) == -signal.SIGINT
        finally:
            end(process)
    held.release()
    [told] = map(json.loads, (tmp_path / "stdout").read_text().splitlines())
    assert (told["role"], told["doing"]) == ("supervisor", "opening the ledger")


async def test_handlers_that_no_longer_load_after_a_restart_are_tried_again(tmp_path: Path) -> None:
    app = tmp_path / "changing.py"
    good = "async def handler(task): ..."
    app.write_text(good)
    async with service(tmp_path, handler="changing:handler") as running:
        app.write_text("raise ValueError('half an edit')")
        [(worker, _)] = children(running.process.pid)
        os.kill(worker, signal.SIGKILL)
        await until(lambda: any("why" in line for line in running.events("process.ended")))
        app.write_text(good)
        await running.submit("t", type="a")
        await running.ended("t")
        why = [line["why"] for line in running.events("process.ended") if "why" in line]
    assert why[0] == "importing 'changing' failed: ValueError: half an edit"
