"""What is printed: names with values, and the service's own text."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from unlost.cli.text import cell

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


def raw(text: bytes) -> None:
    """Write bytes to stdout as they are, and end the line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text if text.endswith(b"\n") else text + b"\n")
    sys.stdout.buffer.flush()


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, the values aligned; no line for an empty one."""
    shown = [(name, cell(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name.ljust(width)}  {value}")


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n{text}\n{'─' * len(text)}")
