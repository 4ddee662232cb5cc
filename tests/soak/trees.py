"""Process trees that are started again whenever they end, and the harm that is done to them.

Harm is done only through handles of our own: a supervisor that was started here, or a process
that is its child now.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.process.service import READY, until
from unlost.settings import flag

HERE = Path(__file__).parent
MARK = "SOAK"
"""The environment variable by which every process of one soak is known."""

CANNOT_START = ("ended while it started, with status -9", "Address already in use")


class Tree:
    """One supervisor with its children, started again by `keep` as an init system does.

    Each start has files of its own for stdout and stderr, `NAME-N.out` and `NAME-N.err`.  Handlers
    are found below `path`.
    """

    def __init__(
        self, name: str, role: str, folder: Path, mark: str, *, path: Path = HERE, **settings: Any
    ) -> None:
        self.name = name
        self.outputs: list[Path] = []
        self.odd_ends: list[str] = []
        self._folder = folder
        self._mark = mark
        self._path = path
        self._command = [sys.executable, "-m", "unlost", role]
        self._command += [part for key, value in settings.items() for part in _given(key, value)]
        self._process = self._start()
        self._stopping = False

    def _start(self) -> subprocess.Popen[bytes]:
        path = self._folder / f"{self.name}-{len(self.outputs)}"
        self.outputs.append(path.with_suffix(".out"))
        with path.with_suffix(".out").open("wb") as out, path.with_suffix(".err").open("wb") as err:
            return subprocess.Popen(
                self._command,
                stdout=out,
                stderr=err,
                cwd=self._folder,
                env=os.environ
                | {
                    "PYTHONPATH": str(self._path),
                    "EFFECTS": str(self._folder / "effects"),
                    MARK: self._mark,
                },
            )

    async def keep(self) -> None:
        """Start it again whenever it ends, until `stop`."""
        while not self._stopping:
            if self._process.poll() is None:
                await asyncio.sleep(0.02)
                continue
            self._look_at_end(self._process.returncode)
            self._process = self._start()

    def _look_at_end(self, status: int) -> None:
        """It ends in order, or killed, or because it cannot start: without the child we killed, or
        beside the children of a supervisor that we killed, which end within seconds."""
        killed_child = status == 1 and any(why in self.said() for why in CANNOT_START)
        if status not in (0, -signal.SIGKILL, -signal.SIGTERM) and not killed_child:
            self.odd_ends.append(f"{status}: {self.said()}")

    async def ready(self) -> None:
        """Return once it says that it is ready."""
        await until(lambda: self.said().startswith(READY), within=60)

    def said(self) -> str:
        """What the supervisor that runs now has said on stderr."""
        return self.outputs[-1].with_suffix(".err").read_text()

    def supervisor(self) -> psutil.Process | None:
        """The supervisor, if it runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._process.poll() is None:
                return psutil.Process(self._process.pid)
        return None

    def children(self, role: str) -> list[psutil.Process]:
        """The supervisor's children of a role ("api", "worker") that run."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor = self.supervisor()
            for child in supervisor.children() if supervisor else ():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if child.cmdline()[-1:] == [role]:
                        found.append(child)
        return found

    async def stop(self) -> int:
        """End it in order; its exit status."""
        self._stopping = True
        self._process.send_signal(signal.SIGTERM)
        await until(lambda: self._process.poll() is not None, within=60)
        return self._process.wait()

    def end(self) -> None:
        """End it now, whatever it does."""
        self._stopping = True
        self._process.kill()
        self._process.wait()


def _given(name: str, value: object) -> tuple[str, str]:
    return flag(name), str(value)


def new_mark() -> str:
    return secrets.token_hex(8)


def marked(mark: str) -> list[psutil.Process]:
    """All living processes that were started by those of this soak, however indirectly."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and process.environ().get(MARK) == mark:
                found.append(process)
    return found


class Harm:
    """Does to trees what a schedule says, and counts what was done."""

    SCHEDULE = (
        *["kill worker"] * 10, *["kill api"] * 4, *["kill supervisor"] * 4, "kill all",
        *["pause tree"] * 3, *["pause supervisor"] * 3, *["pause worker"] * 2, "pause api",
        *["restart supervisor"] * 2,
    )  # fmt: skip
    """What is done, and how often, in so many ticks; in another order each time."""

    PAUSED = 4
    """Ticks for which a process is paused: longer than a lease."""

    def __init__(self, trees: list[Tree], random: Random) -> None:
        self.done: Counter[str] = Counter()
        self._trees = trees
        self._random = random
        self._left: list[str] = []
        self._paused: list[tuple[int, psutil.Process]] = []
        self._tick = 0

    def next(self) -> bool:
        """Do the next thing on the schedule that there is a process for; whether there was one.

        Which process, or processes, is chosen by chance.
        """
        self._tick += 1
        self._resume(self._tick)
        if not self._left:
            self._left = self._random.sample(self.SCHEDULE, len(self.SCHEDULE))
        for what in self._left:
            verb, _, kind = what.partition(" ")
            victims = self._victims(kind)
            if any(victims):
                break
        else:
            return False
        self._left.remove(what)
        self.done[what] += 1
        for victim in self._random.choice(victims):
            with contextlib.suppress(psutil.NoSuchProcess):
                self._act(verb, victim)
        return True

    def _victims(self, kind: str) -> list[list[psutil.Process]]:
        """The processes of a kind: those that it is done to together."""
        if kind in ("api", "worker"):
            return [[child] for tree in self._trees for child in tree.children(kind)]
        whole = [
            [supervisor, *tree.children("api"), *tree.children("worker")]
            for tree in self._trees
            if (supervisor := tree.supervisor())
        ]
        if kind == "tree":
            return whole
        supervisors = [supervisor for supervisor, *_ in whole]
        return [supervisors] if kind == "all" else [[one] for one in supervisors]

    def _act(self, verb: str, victim: psutil.Process) -> None:
        if verb == "kill":
            victim.kill()
        elif verb == "restart":
            victim.terminate()
        else:
            victim.suspend()
            self._paused.append((self._tick + self.PAUSED, victim))

    def _resume(self, tick: float) -> None:
        for due, process in reversed(self._paused):  # children before those who would kill them
            if due <= tick:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        self._paused = [one for one in self._paused if one[0] > tick]

    def stop(self) -> None:
        """Do no more: whoever is paused goes on."""
        self._resume(float("inf"))
