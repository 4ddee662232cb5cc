"""A real service of our own, for as long as it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO

from unlost.cli.client.connection import Connection, Service
from unlost.cli.failures import Failed
from unlost.settings import PLATFORM, flag

READY = "unlost is listening on "
START, STOP = 30, 15
"""Seconds that the start and the end may take."""


@dataclass(frozen=True)
class Running:
    """A running service and the file that its log goes to."""

    service: Service
    log: Path


@contextmanager
def temporary_service(folder: Path, settings: Mapping[str, object]) -> Iterator[Running]:
    """Run `unlost serve` with its ledger in `folder`, and end it whatever happens.

    Raises Failed if it does not start.
    """
    given = {**settings, "ledger": f"sqlite:///{folder / 'unlost.db'}", "min_free": 0}
    flags = [f"{flag(name)}={value}" for name, value in given.items()]
    log = folder / "log.ndjson"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and our own words
            [sys.executable, "-m", "unlost", "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            env=_environment(),
            text=True,
        )
    try:
        with Service(Connection(url=_url(process))) as service:
            yield Running(service, log)
    finally:
        _end(process)


def _environment() -> dict[str, str]:
    """The environment without what would set the service otherwise."""
    platform = set(PLATFORM.values())
    return {
        name: value
        for name, value in os.environ.items()
        if name not in platform and not name.startswith("UNLOST_")
    }


def _url(process: subprocess.Popen[str]) -> str:
    """Where the service listens, as soon as it says so.  Raises Failed."""
    assert process.stderr is not None  # noqa: S101  it was asked for
    lines: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=_pass_on, args=(process.stderr, lines), daemon=True).start()
    said = ""
    try:
        while (line := lines.get(timeout=START)) is not None:
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
            said = line.strip() or said
    except Empty:
        raise Failed(f"the service was not ready within {START} s {said}") from None
    raise Failed(f"the service did not start: {said.removeprefix('unlost: ') or 'it says nothing'}")


def _pass_on(source: IO[str], lines: SimpleQueue[str | None]) -> None:
    """Read to the end, so that the service never waits for a reader; None marks the end."""
    for line in source:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
