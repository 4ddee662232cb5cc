"""A start: a line when it is ready, or one that says why it cannot be."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import children, end, launch, service, until


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


@pytest.mark.parametrize(
    ("handler", "status", "why"),
    [
        ("no_such_app:handlers", 2, "there is no module 'no_such_app'"),
        ("process_app:nothing", 2, "process_app:nothing: there is no 'nothing' in process_app"),
        ("exiting:handlers", 2, "importing 'exiting' failed: SystemExit: 0"),
        ("crashing:handlers", 1, "the worker process ended while it started, with status 9"),
    ],
)
def test_handlers_that_cannot_be_loaded_stop_the_start_with_one_line(
    tmp_path: Path, handler: str, status: int, why: str
) -> None:
    (tmp_path / "exiting.py").write_text("import sys; print('noise'); sys.exit(0)")
    (tmp_path / "crashing.py").write_text("import os; os._exit(9)")
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
