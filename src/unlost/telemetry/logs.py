"""Logs: one JSON object a line.

    {"at": "2026-01-31T12:00:00.123Z", "level": "info", "event": "worker.ready", ...}

`Log` is where the service tells its events; what others give `logging` comes beside them.
Writing never blocks an event loop: lines wait in a bounded queue for a thread.  Only one process
of a tree writes the log, its supervisor; the others hand it their lines (see `supervisor`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

WAITING_LINES = 10_000
FLUSH_SECONDS = 2.0

_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}

_LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}

current_task: ContextVar[str | None] = ContextVar("current_task", default=None)
"""The id of the task whose handler runs in this context."""


def line(record: logging.LogRecord, always: Mapping[str, object]) -> bytes:
    """A record of a library or handler as a line: the event `log`."""
    members = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    said = {"logger": record.name, "message": record.getMessage()}
    error = record.exc_info[1] if record.exc_info else None
    level = record.levelname.lower()
    return _line(record.created, level, "log", {**always, **said}, members, error)


def event_line(
    level: int,
    event: str,
    always: Mapping[str, object],
    members: Mapping[str, object],
    error: BaseException | None,
) -> bytes:
    """An event of ours as a line, at this moment."""
    return _line(_now() / 1e9, _LEVELS[level], event, always, members, error)


def _line(
    at: float,
    level: str,
    event: str,
    always: Mapping[str, object],
    members: Mapping[str, object],
    error: BaseException | None,
) -> bytes:
    head: dict[str, object] = {"at": timestamp(at), "level": level, "event": event, **always}
    task_id = current_task.get()
    if task_id is not None:
        head["taskId"] = task_id
    head |= members
    if error is not None:
        head["error"] = _error(error)
    return encode(head)


def _now(clock: Callable[[], int] = time.time_ns) -> int:
    """Nanoseconds since the epoch, by the clock there was before any module could replace it."""
    return clock()


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(members: Mapping[str, object]) -> bytes:
    """A line of the log, its newline included; what JSON cannot hold is shown as text."""
    try:
        return _in_one_line(msgspec.json.encode(members, enc_hook=repr)) + b"\n"
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError):
        text = json.dumps({name: repr(value) for name, value in members.items()})
        return text.encode() + b"\n"


def _in_one_line(text: bytes) -> bytes:
    """JSON whose strings have no character left that readers, `str.splitlines` for one, take for
    the end of a line."""
    if text.isascii():
        return text
    for mark in "\u0085\u2028\u2029":
        text = text.replace(mark.encode(), rf"\u{ord(mark):04x}".encode())
    return text


def _error(error: BaseException) -> dict[str, str]:
    told = "".join(traceback.format_exception(error))
    return {"type": type(error).__qualname__, "message": str(error), "traceback": told}


def human(text: bytes) -> bytes:
    """A line of the log for a person's eyes."""
    members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    at, level, event = (_plain(members.pop(name, None)) for name in ("at", "level", "event"))
    rest = " ".join(f"{name}={_plain(value)}" for name, value in members.items())
    return f"{at[11:23]} {level:7} {event} {rest}".rstrip().encode() + b"\n"


def _plain(value: msgspec.Raw | None) -> str:
    text = bytes(value or b'""').decode()
    word = msgspec.json.decode(text) if text.startswith('"') else text
    return word if word and str(word).isprintable() and " " not in word else text


class Writer:
    """Writes whole lines to a descriptor from a thread of its own.

    In a process that was forked off this one it writes nothing.
    """

    def __init__(self, fd: int, *, for_people: bool = False) -> None:
        self._fd = fd
        self._for_people = for_people
        self._waiting: deque[tuple[bytes, asyncio.Future[None] | None]] = deque()
        self._dropped = 0
        self._closing = False
        self._process = os.getpid()
        self._work = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="unlost-log", daemon=True)
        self._thread.start()

    def put(self, text: bytes) -> None:
        """Have a line written.  Never blocks: where too many wait, it is dropped and counted."""
        if os.getpid() != self._process:
            return  # the thread that writes is not here, and who held the lock may not be, either
        with self._work:
            if len(self._waiting) >= WAITING_LINES:
                self._dropped += 1
                return
            self._waiting.append((text, None))
            self._work.notify()

    async def write(self, text: bytes) -> None:
        """Write a line and return when it is written.  Never dropped.  Raises OSError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._work:
            self._waiting.append((text, done))
            self._work.notify()
        await done

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Write what waits, for at most so many seconds, and stop."""
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._waiting and not self._closing:
                    self._work.wait()
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting, deque()
                dropped, self._dropped = self._dropped, 0
            if dropped:
                batch.append((_lines_dropped(dropped), None))
            for text, done in batch:
                self._write_one(text, done)

    def _write_one(self, text: bytes, done: asyncio.Future[None] | None) -> None:
        fault = None
        try:
            write_all(self._fd, human(text) if self._for_people else text)
        except OSError as error:  # nobody reads any more
            fault = error
            with self._work:
                self._dropped += 1
        if done is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                done.get_loop().call_soon_threadsafe(_answer, done, fault)


def _lines_dropped(count: int) -> bytes:
    return event_line(logging.WARNING, "log.dropped", {}, {"lines": count}, None)


def _answer(done: asyncio.Future[None], fault: OSError | None) -> None:
    if done.done():
        return
    if fault is None:
        done.set_result(None)
    else:
        done.set_exception(fault)


def write_all(fd: int, text: bytes) -> None:
    """Write every byte, also where the descriptor does not block.  Raises OSError."""
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])


class LogHandler(logging.Handler):
    """Gives every record to a writer, with `always` among its members."""

    def __init__(self, writer: Writer, always: Mapping[str, object]) -> None:
        super().__init__()
        self._writer = writer
        self._always = always

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.put(line(record, self._always))
        except Exception:  # noqa: BLE001  logging's own rule: a bad record must not fail its caller
            self.handleError(record)


Sink = Callable[[int, str, Mapping[str, object], BaseException | None], None]
"""What takes an event: its level, its name, its members, and the error that goes with it."""

_sink: Sink | None = None


class Log:
    """Where a part of the service tells what happens: `log.info("x", extra={"a": 1})`.

    In the processes of a service an event goes straight to their log.  `logging` has no part in
    that: what it does is for users' modules to set, which silence it, and print what goes through
    it.  Elsewhere, as in a command, an event is a record of `logging`.  Nothing here raises.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Tell what only a developer wants to know."""
        self._tell(logging.DEBUG, event, extra)

    def info(self, event: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Tell what is as it should be."""
        self._tell(logging.INFO, event, extra)

    def warning(
        self, event: str, *, extra: Mapping[str, object] | None = None, exc_info: bool = False
    ) -> None:
        """Tell what somebody should look at, with the exception that is handled if `exc_info`."""
        self._tell(logging.WARNING, event, extra, sys.exception() if exc_info else None)

    def error(self, event: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Tell what has failed."""
        self._tell(logging.ERROR, event, extra)

    def exception(self, event: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Tell what has failed, with the exception that is handled."""
        self._tell(logging.ERROR, event, extra, sys.exception())

    def _tell(
        self,
        level: int,
        event: str,
        extra: Mapping[str, object] | None,
        error: BaseException | None = None,
    ) -> None:
        try:
            if _sink is not None:
                _sink(level, event, extra or {}, error)
            else:
                logging.getLogger(self._name).log(level, event, extra=extra, exc_info=error)
        except Exception:  # noqa: BLE001, S110  what follows matters more than a line
            pass


def send_events(sink: Sink | None) -> None:
    """Have this process's events go there from now on; None: to `logging`."""
    global _sink  # noqa: PLW0603  a process has one log
    _sink = sink


def setup(writer: Writer, **always: object) -> None:
    """Send this process's logs to `writer`: ours from level info on, others' as they are set."""
    logging.getLogger().handlers[:] = [LogHandler(writer, always)]

    def put(
        level: int, event: str, members: Mapping[str, object], error: BaseException | None
    ) -> None:
        if level >= logging.INFO:
            writer.put(event_line(level, event, always, members, error))

    send_events(put)


def leave_logging() -> None:
    """Take what `setup` gave `logging` away from it: this process has no log any more."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, LogHandler)]:
        root.removeHandler(handler)
