"""The process tree of a proof: `unlost serve` with the injected handlers, started repeatedly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import IO
from urllib.parse import urlsplit

import msgspec

from unlost.prove import spec as specs
from unlost.prove.journal import Journal, Kind
from unlost.prove.spec import Spec
from unlost.settings import Settings, flag, variable

READY = "unlost is listening on "
START = Settings.start_timeout + 10
"""Seconds that a start may take, in which the service says itself what took too long."""

Place = tuple[str, int]
"""Where the API listens."""


class CannotProve(Exception):
    """The proof cannot go on.  The message says why."""


class Tree:
    """The processes on one ledger; `place` is None while they are being started."""

    def __init__(self, folder: Path, spec: Spec, settings: Mapping[str, object]) -> None:
        self._folder = folder
        self._spec = spec
        self._flags = [f"{flag(name)}={value}" for name, value in settings.items()]
        self._stop_patience = 5 + float(str(settings["grace"]))
        self._process: subprocess.Popen[str] | None = None
        self._starting = Lock()
        self._closed = False
        self.place: Place | None = None

    @property
    def generation(self) -> int:
        """How often it was started."""
        return self._spec.generation

    def start(self, *, calm: bool = False) -> None:
        """Start it and wait until it is ready; `calm` without injections.  Raises CannotProve.

        While it injects, it may be over again before it is ready.
        """
        self._spec = msgspec.structs.replace(
            self._spec, generation=self._spec.generation + 1, calm=calm
        )
        with self._starting:
            if self._closed:
                raise CannotProve("it was stopped")
            self._process = self._launched()
        self.place = _place(self._process)

    def _launched(self) -> subprocess.Popen[str]:
        with (self._folder / "log.ndjson").open("ab") as out:
            return subprocess.Popen(  # noqa: S603  our own interpreter and our own words
                [sys.executable, "-P", "-m", "unlost", "serve", *self._flags],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                env=_environment(self._spec),
                text=True,
                process_group=0,  # Ctrl-C is the proof's to act on
            )

    def exit_status(self) -> int | None:
        """How it ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """End it as a crash of everything would."""
        self.place = None
        if self._process is not None and self._process.poll() is None:
            journal = Journal(self._spec.journal, self.generation)
            journal.note(Kind.RESTART)
            journal.close()
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """`kill`, and let nothing start any more."""
        with self._starting:
            self._closed = True
        self.kill()

    def stop(self) -> None:
        """End it in order; what still runs gets the grace period."""
        self.place = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(self._stop_patience)
            except subprocess.TimeoutExpired:
                self.kill()


def _environment(spec: Spec) -> dict[str, str]:
    """The user's environment, for the user's handler, without what would set the service."""
    settings = {variable(item.name) for item in fields(Settings)}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    return kept | {specs.VARIABLE: specs.encode(spec)}


def _place(process: subprocess.Popen[str]) -> Place | None:
    """Where the API listens, as soon as it says so; None if everything was killed before."""
    assert process.stderr is not None  # noqa: S101  it was asked for
    lines: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=_pass_on, args=(process.stderr, lines), daemon=True).start()
    said = ""
    end = time.monotonic() + START
    while True:
        try:
            line = lines.get(timeout=max(end - time.monotonic(), 0))
        except Empty:
            raise CannotProve(f"the service was not ready within {START:g} s {said}") from None
        if line is None:
            break
        if line.startswith(READY):
            address = urlsplit(line.removeprefix(READY).strip())
            return str(address.hostname), int(address.port or 0)
        said = line.strip() or said
    if process.wait() < 0:
        return None
    raise CannotProve(f"the service did not start: {said.removeprefix('unlost: ')}")


def _pass_on(source: IO[str], lines: SimpleQueue[str | None]) -> None:
    """Read to the end, so that the service never waits for a reader; None marks the end."""
    with source:
        for line in source:
            lines.put(line)
    lines.put(None)
