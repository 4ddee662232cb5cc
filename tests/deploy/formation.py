"""The Procfile of deploy/heroku, run by honcho as Heroku runs it: a shell for each line."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[2]
HEROKU = ROOT / "deploy" / "heroku"

CONFIGURED = "0123456789abcdef" * 4
"""What Heroku's generator of secrets makes."""

KEY = f"unlost_{CONFIGURED[:43]}"

PATIENCE = 30.0
"""Seconds that a start, a task or an end may take; Heroku gives an end as many."""


class Formation:
    """Running processes of the Procfile."""

    def __init__(self, honcho: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self.honcho = honcho
        self.port = port
        self._output = output
        key = {"Authorization": f"Bearer {KEY}"}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=key)

    def output(self) -> str:
        return self._output.read_text()

    def until(self, holds: Callable[[], bool]) -> None:
        """Return once this holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, self.output()[-3000:]
            time.sleep(0.02)

    def submit(self, task_id: str, **simulate: Any) -> None:
        task = {"taskId": task_id, "payload": {"simulate": simulate}}
        assert self.http.post("/tasks", json=task).status_code == 202

    def task(self, task_id: str, wait: int = 0) -> dict[str, Any]:
        answer = self.http.get(f"/tasks/{task_id}", params={"wait": wait}, timeout=PATIENCE)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def dyno(self, role: str) -> list[psutil.Process]:
        """All processes of a line of the Procfile, the one that it names first."""
        for process in psutil.Process(self.honcho.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                if len(words) > 1 and words[-1] == role and words[-2].endswith("/unlost"):
                    return [process, *process.children(recursive=True)]
        raise AssertionError(f"no {role}: {self.output()[-3000:]}")

    def ended(self) -> float:
        """Wait until honcho has ended; after how many seconds that was."""
        began = time.monotonic()
        self.honcho.wait(PATIENCE)
        return time.monotonic() - began


@contextmanager
def formation(folder: Path, *roles: str, **variables: str) -> Iterator[Formation]:
    """Run these lines of the Procfile, all that go on if none is named, until the end of `with`.

    The environment is what Heroku gives, `PORT` and `variables`, and no variable of the tests'.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    programs = Path(sys.executable).parent
    given = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PORT": str(port)} | variables
    roles = roles or ("web", "worker")
    command = [
        str(programs / "honcho"),
        "-f",
        str(HEROKU / "Procfile"),
        "-d",
        str(folder),
        "start",
        *roles,
    ]
    output = folder / "output"
    with output.open("wb") as sink:
        honcho = subprocess.Popen(command, cwd=folder, env=given, stdout=sink, stderr=sink)
    running = Formation(honcho, port, output)
    try:
        if "web" in roles:
            running.until(lambda: "unlost is listening on" in running.output())
        if "worker" in roles:
            running.until(lambda: "unlost worker is ready" in running.output())
        yield running
    finally:
        running.http.close()
        _end(honcho)


def release(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the line of the Procfile that Heroku runs once for each release."""
    lines = dict(line.split(": ", 1) for line in (HEROKU / "Procfile").read_text().splitlines())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", lines["release"]],
        env={"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def _end(honcho: subprocess.Popen[bytes]) -> None:
    """End what a failed test left behind: honcho is the parent of all, and kills nobody itself."""
    if honcho.poll() is not None:
        return
    left = psutil.Process(honcho.pid).children(recursive=True)
    for process in (*left, psutil.Process(honcho.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    honcho.wait()
