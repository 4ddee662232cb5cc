"""A terminal for a command, and what a person types there."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.conftest import Command

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The side of the terminal where the person is."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self._seen = b""
        self.process = process

    @property
    def text(self) -> str:
        """What was shown so far, without colours and moves."""
        return _ESCAPES.sub("", self._seen.decode("utf-8", "replace")).replace("\r\n", "\n")

    def is_restored(self) -> bool:
        """Whether the cursor is seen, and the screen the first one, after what was shown."""
        pairs = ((b"\x1b[?25l", b"\x1b[?25h"), (b"\x1b[?1049h", b"\x1b[?1049l"))
        return all(self._seen.rfind(off) <= self._seen.rfind(on) for off, on in pairs)

    def wait_for(self, text: str) -> None:
        """Wait until this has been shown."""
        while text not in self.text:
            assert self._read(), f"{text!r} was never shown: {self.text!r}"

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self._fd, text.encode())

    def close(self) -> int:
        """Wait for the command's end; its exit status."""
        while self._read():
            pass
        return self.process.wait(30)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other side is gone
            return False
        self._seen += data
        return bool(data)


@contextmanager
def at_terminal(command: Command, *words: str, columns: int = 100) -> Iterator[Terminal]:
    """Run a command at a terminal that is so wide."""
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "unlost", *words],
        cwd=command.folder,
        env=command.environment(TERM="xterm-256color", COLUMNS=str(columns), LINES="40"),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    try:
        with process:
            yield Terminal(outer, process)
    finally:
        process.kill()
        process.wait()
        os.close(outer)
