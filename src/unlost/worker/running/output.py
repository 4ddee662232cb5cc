"""What handlers print becomes records of the log, line by line."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable

from unlost.telemetry import logs
from unlost.telemetry.logs import Log

PIECE = 16 * 1024
"""Bytes of a line that go in one record; a longer one is cut into pieces."""

log = Log("unlost.worker.output")


def printed(text: bytes, **members: object) -> None:
    """Log a line that a handler, or what it started, has printed."""
    shown = text.decode("utf-8", "replace").rstrip("\r")
    log.info("handler.output", extra={**members, "text": shown})


class Lines:
    """Cuts a stream of bytes into lines of at most `limit` bytes."""

    def __init__(self, limit: int = PIECE) -> None:
        self._limit = limit
        self._rest = b""
        self._grown = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines, and pieces of long ones, that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._grown = True
        pieces = [piece for text in whole for piece in self._pieces(text)]
        if len(self._rest) > self._limit:
            *full, self._rest = self._pieces(self._rest)
            pieces += full
        return pieces

    @property
    def empty(self) -> bool:
        """Whether there is no unfinished line."""
        return not self._rest

    def stale(self) -> list[bytes]:
        """The unfinished line, if it has not grown since the last call."""
        grown, self._grown = self._grown, False
        return [] if grown else self.rest()

    def rest(self) -> list[bytes]:
        """The unfinished line, as it is."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def _pieces(self, text: bytes) -> list[bytes]:
        pieces = []
        while len(text) > self._limit:
            end = self._limit
            while end > self._limit - 4 and text[end] & 0xC0 == 0x80:  # within a character
                end -= 1
            pieces.append(text[:end])
            text = text[end:]
        return [*pieces, text]


class Printed(io.TextIOBase):
    """A `sys.stdout` or `sys.stderr` whose lines are logged with the id of the task that runs.

    `raw` is the stream underneath, for who writes bytes.  In a process that was forked off this
    one what is printed goes there.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, stream: str, raw: io.FileIO, tell: Callable[..., None] = printed) -> None:
        super().__init__()
        self._stream = stream
        self._tell = tell
        self.buffer = raw
        self._lines: dict[str | None, Lines] = {}
        self._lock = threading.RLock()
        self._process = os.getpid()

    def write(self, text: str) -> int:
        """Log the lines that `text` completes."""
        if os.getpid() != self._process:
            logs.write_all(self.buffer.fileno(), text.encode("utf-8", "replace"))
            return len(text)
        task_id = logs.current_task.get()
        with self._lock:
            lines = self._lines.setdefault(task_id, Lines())
            for piece in lines.feed(text.encode("utf-8", "replace")):
                self._tell(piece, stream=self._stream)
        return len(text)

    def log_stale(self) -> None:
        """Log unfinished lines that have not grown since the last call."""
        self._log(Lines.stale)

    def log_rest(self) -> None:
        """Log unfinished lines: nothing more is printed."""
        self._log(Lines.rest)

    def _log(self, unfinished: Callable[[Lines], list[bytes]]) -> None:
        with self._lock:
            for task_id, lines in list(self._lines.items()):
                of_task = {} if task_id is None else {"taskId": task_id}
                for piece in unfinished(lines):
                    self._tell(piece, stream=self._stream, **of_task)
                if lines.empty:
                    del self._lines[task_id]

    def reconfigure(self, **_: object) -> None:
        """Do nothing: modules ask a text file for UTF-8 or for whole lines, as it is here."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self.buffer.fileno()
