"""One child process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from unlost.batches import BATCH
from unlost.pulling.board import Board
from unlost.settings import Settings
from unlost.supervisor.brief import (
    DOING,
    FAILED,
    LEAVING,
    PULSE,
    READY,
    RECORDING,
    SHOW,
    STOP,
    STUCK,
    WRONG,
    Brief,
    Ready,
    ServiceAt,
)
from unlost.telemetry.logs import Writer
from unlost.worker.running.output import Lines, printed

if TYPE_CHECKING:
    from unlost.supervisor.processes.forking import Forked

LOG_LINE = 1 << 20
"""Bytes that a line of the log may have; a payload is only in the monitor's, which is not here."""

CHUNK = 1 << 16
LAST_CHUNKS = 64


class Child:
    """A child process that was just started.

    `started` is set once it is ready (`ready_at`, by the loop's time), or never will be: then
    `failure` says why, and `is_wrong` whether a setting is to blame.  Until then `doing` says what
    it does.  `exited` is its exit status, negative for the signal that ended it; `leaving` says
    that it ends in order, and `put_down` that the supervisor killed it.  `board` shows what a
    worker of another service holds.
    """

    def __init__(  # noqa: PLR0913  all that one is given
        self,
        role: str,
        settings: Settings,
        writer: Writer,
        *,
        worker_id: str = "",
        alone: bool = False,
        listener: int | None = None,
        ledger_file: tuple[int, int] | None = None,
        service: ServiceAt | None = None,
        forked: Forked | None = None,
    ) -> None:
        self.role = role
        self.id = worker_id
        self.alone = alone
        self.started = asyncio.Event()
        self.ready: Ready | None = None
        self.ready_at: float | None = None
        self.doing = "starting Python"
        self.failure = ""
        self.is_wrong = False
        self.leaving = self.put_down = self.recording = False
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self.stuck: asyncio.Future[None] = self._loop.create_future()
        self.born = self.pulsed = self._loop.time()
        self._writer = writer
        self.board = None if service is None else Board.of(BATCH + 2 * settings.concurrency)
        log, voice = _Pipe(self._relay, LOG_LINE), _Pipe(self._hear, LOG_LINE)
        output = _Pipe(self._print)
        brief = Brief(
            os.getpid(), settings, log.inlet, voice.inlet, worker_id, alone, listener, ledger_file,
            service, None if self.board is None else self.board.fd,
        )  # fmt: skip
        self._process = _start(role, brief, output.inlet, forked)
        self.pid = self._process.pid
        for pipe in (log, voice, output):
            pipe.listen()
        self._ends_with_child = (log, voice)
        threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def _wait(self) -> None:
        status = self._process.wait()
        with contextlib.suppress(OSError):  # what its handlers started must not outlive it
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(RuntimeError):  # the supervisor has ended before
            self._loop.call_soon_threadsafe(self._gone, status)

    def _gone(self, status: int) -> None:
        for pipe in self._ends_with_child:
            pipe.finish()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self.ready is None and not self.failure:
            self.failure = f"the {self.role} process ended while it started, with status {status}"
        self.started.set()
        self.exited.set_result(status)

    def _relay(self, line: bytes) -> None:
        try:
            msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            self._print(line)
        else:
            self._writer.put(line + b"\n")

    def _print(self, line: bytes) -> None:
        printed(line, role=self.role, pid=self.pid)

    def _hear(self, line: bytes) -> None:
        self.pulsed = self._loop.time()
        if line.startswith(READY):
            self.ready = msgspec.json.decode(line.removeprefix(READY), type=Ready)
            self.ready_at = self.pulsed
            self.started.set()
        elif line.startswith(DOING):
            self.doing = line.removeprefix(DOING).decode("utf-8", "replace")
        elif line.startswith(FAILED):
            self.failure = line.removeprefix(FAILED).decode("utf-8", "replace")
        elif line == STUCK:
            if not self.stuck.done():
                self.stuck.set_result(None)
        elif line.startswith(WRONG):
            self.failure = line.removeprefix(WRONG).decode("utf-8", "replace")
            self.is_wrong = True
        elif line == RECORDING:
            self.recording = True
        elif line == LEAVING:
            self.leaving = True
        elif line != PULSE:
            self._print(line)

    def terminate(self) -> None:
        """Ask it to end in order."""
        if self.role == "worker":
            self._stop()
        if self.role != "worker" or self.ready is None:
            self._signal(signal.SIGTERM)

    def show(self) -> None:
        """Have it write into the log where it is."""
        self._signal(SHOW)

    def kill(self) -> None:
        """End it now.  One that has ended by itself was not put down."""
        if not self.exited.done():
            self.put_down = True
            self._signal(signal.SIGKILL)

    def _stop(self) -> None:
        _write(self._process, STOP)

    def _signal(self, number: signal.Signals) -> None:
        if not self.exited.done():
            self._process.send_signal(number)


def _start(
    role: str, brief: Brief, output: int, forked: Forked | None
) -> subprocess.Popen[bytes] | Forked:
    """Start a child, or tell one that is `forked` what it is.  It has a process group of its own:
    Ctrl-C is the supervisor's to act on."""
    every = (brief.log, brief.voice, brief.listener, brief.board)
    given = [fd for fd in every if fd is not None]
    process: subprocess.Popen[bytes] | Forked
    if forked is None:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "unlost.supervisor.child", role],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=given,
            process_group=0,
        )
    else:
        process = forked
        forked.become(role, [(output, 1), (output, 2), *((fd, fd) for fd in given)])
    _write(process, msgspec.json.encode(brief) + b"\n")
    return process


def _write(process: subprocess.Popen[bytes] | Forked, word: bytes) -> None:
    if process.stdin is not None and not process.stdin.closed:
        with contextlib.suppress(BrokenPipeError):  # it has ended already; others will see
            process.stdin.write(word)
            process.stdin.flush()


class _Pipe:
    """A pipe from a child, whose lines are given to `tell`."""

    def __init__(self, tell: Callable[[bytes], None], limit: int | None = None) -> None:
        self._outlet, self.inlet = os.pipe()
        os.set_blocking(self._outlet, False)
        self._tell = tell
        self._lines = Lines() if limit is None else Lines(limit)
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """Read from now on; the child has its end."""
        os.close(self.inlet)
        self._loop.add_reader(self._outlet, self._read)

    def _read(self) -> bool:
        try:
            data = os.read(self._outlet, CHUNK)
        except BlockingIOError:
            return False
        for line in self._lines.feed(data):
            self._tell(line)
        if not data:
            self._close()
        return bool(data)

    def finish(self) -> None:
        """Read what is there, and no more."""
        for _ in range(LAST_CHUNKS):
            if self._outlet < 0 or not self._read():
                break
        self._close()

    def _close(self) -> None:
        if self._outlet >= 0:
            self._loop.remove_reader(self._outlet)
            os.close(self._outlet)
            self._outlet = -1
