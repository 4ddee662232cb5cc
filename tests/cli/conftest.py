"""The command as a user runs it, and a service for it to talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from tests.cli.running import Place, running
from unlost import Handlers, Reject, Task
from unlost.cli import main


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr that says why it stopped."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("unlost: "), self.err
        return lines[0]


@dataclass(frozen=True)
class Command:
    """`unlost`, run in `folder`."""

    folder: Path
    variables: Mapping[str, str]

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of this process's own settings."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("UNLOST_") and name not in ("PORT", "DATABASE_URL")
        }
        return inherited | dict(self.variables) | more

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command as a process; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "unlost", *words],
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *words: str, **variables: str) -> Result:
        """Run a command to its end, within this process for speed."""
        out, err = TextIOWrapper(BytesIO(), "utf-8"), TextIOWrapper(BytesIO(), "utf-8")
        with (
            chdir(self.folder),
            patch.dict(os.environ, self.environment(**variables), clear=True),
            patch.object(sys, "argv", ["unlost", *words]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            status = main()
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.detach().getvalue().decode())
        return Result(status, *texts)

    def fed(self, stdin: bytes, *words: str, **variables: str) -> Result:
        """Run a command to its end as a process, with this on its standard input."""
        with self.start(*words, **variables) as process:
            out, err = process.communicate(stdin, timeout=60)
        return Result(process.returncode, out.decode(), err.decode())


@pytest.fixture
def unlost(tmp_path: Path) -> Command:
    """The command in an empty folder, with nothing to talk to."""
    return Command(tmp_path, {"UNLOST_URL": "http://127.0.0.1:9"})


class Http:
    """The service without the command: quicker where the command is not what is tested."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def process(self, tasks: bytes) -> dict[str, int]:
        """Submit these and wait until nothing is outstanding; the states by then."""
        self.submit(tasks)
        return self.settle()

    def submit(self, tasks: bytes) -> None:
        """Submit these."""
        answer = self._client.post(
            "/tasks/batch", content=tasks, headers={"content-type": "application/x-ndjson"}
        )
        assert answer.json()["rejected"] == 0

    def until(self, path: str, condition: Callable[[Any], bool]) -> None:
        """Wait until what is there fulfils the condition."""
        while not condition(self._client.get(path).json()):
            time.sleep(0.01)

    def settle(self) -> dict[str, int]:
        """Wait until nothing is outstanding; the states by then."""
        while (stats := self._client.get("/stats").json())["outstanding"]:
            time.sleep(0.01)
        states: dict[str, int] = stats["states"]
        return states

    def task(self, task_id: str) -> dict[str, object]:
        """The task."""
        found: dict[str, object] = self._client.get(f"/tasks/{task_id}").json()
        return found

    def texts(self) -> str:
        """All tasks with their payloads, as text."""
        return self._client.get("/tasks?include=payload").text


@contextmanager
def http_to(url: str) -> Iterator[Http]:
    """Calls to the service at `url`."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        yield Http(client)


@pytest.fixture
def service() -> Iterator[Place]:
    """A service with an empty ledger."""
    with running() as place:
        yield place


@pytest.fixture
def http(service: Place) -> Iterator[Http]:
    """The same service as `client` talks to."""
    with http_to(service.url) as http:
        yield http


def ndjson(*tasks: object) -> bytes:
    """Lines of JSON."""
    return b"".join(json.dumps(task).encode() + b"\n" for task in tasks)


def doomed(*task_ids: str, outcome: str = "reject") -> bytes:
    """Tasks that die at once (or, with `fail`, after their retries)."""
    payload = {"simulate": {"outcome": outcome}}
    return ndjson(*({"taskId": task_id, "payload": payload} for task_id in task_ids))


@pytest.fixture
def client(unlost: Command, service: Place) -> Command:
    """The command with a service to talk to."""
    return Command(unlost.folder, {"UNLOST_URL": service.url})


@dataclass
class Code:
    """What a handler runs: it fails until it is mended, but for what is `spoilt`."""

    mended: bool = False
    spoilt: frozenset[str] = frozenset()

    async def __call__(self, task: Task) -> None:
        if not self.mended or task.id in self.spoilt:
            raise Reject("no such customer")


@pytest.fixture
def broken(unlost: Command) -> Iterator[tuple[Command, Http, Code]]:
    """The command, with a service whose handler can be mended."""
    code = Code()
    with (
        running(handlers=Handlers.for_every_type(code)) as place,
        http_to(place.url) as http,
    ):
        yield Command(unlost.folder, {"UNLOST_URL": place.url}), http, code
