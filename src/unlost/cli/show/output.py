"""How results look.

Text from tasks is shown with its control characters escaped, so that it cannot steer a terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

STYLES = {
    "succeeded": "green",
    "dead": "bold red",
    "failed": "red",
    "timed_out": "red",
    "lost": "magenta",
    "retrying": "yellow",
    "running": "cyan",
    "queued": "blue",
    "cancelled": "dim",
    "released": "dim",
    "ok": "green",
    "note": "yellow",
    "fail": "bold red",
}
"""How a state or an outcome is coloured on a terminal."""


def on_terminal() -> bool:
    """Whether a person sees what goes to stdout."""
    return sys.stdout.isatty()


def one_line(text: str) -> str:
    """`text` as one printable line."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """`text` with every control character but line feed and tab written as its escape."""
    return "".join(
        mark if mark.isprintable() or mark in "\n\t" else mark.encode("unicode_escape").decode()
        for mark in text.encode("utf-8", "backslashreplace").decode()
    )


_USER = re.compile(r"(://[^/?#@\s:]*):.*@", re.DOTALL)
_SECRET = re.compile(r"([?&][^=&\s]*(?:pass|key|secret|token)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` with the passwords in its URLs made unreadable."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1:***@", text))


def counted(number: int, one: str) -> str:
    """A number of things in words, as in "2 tasks"; `one` is what one of them is called."""
    if number != 1:
        one = f"{one.removesuffix('y')}ies" if one.endswith("y") else f"{one}s"
    return f"{number} {one}"


def cell(text: str) -> str:
    """`text` as one printable line with its spaces kept: an id may hold two in a row."""
    return printable(text.replace("\n", " ").replace("\t", " "))


def raw(text: bytes) -> None:
    """Write bytes to stdout as they are, and end the line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text if text.endswith(b"\n") else text + b"\n")
    sys.stdout.buffer.flush()


def moment(at: datetime | None) -> str:
    """A time to the millisecond, in UTC; nothing for None."""
    if at is None:
        return ""
    return at.astimezone(UTC).isoformat(" ", "milliseconds").replace("+00:00", "Z")


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, the values aligned; no line for an empty one."""
    shown = [(name, cell(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name.ljust(width)}  {value}")
