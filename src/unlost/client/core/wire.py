"""What goes to a service and what comes back, without how: values only."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True):
    """A request.  Its answer may take `waits` seconds longer than any other's."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = "application/json"
    waits: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    """An answer; `retry_after` and `date` are the headers of these names, as they came."""

    status: int
    body: bytes = b""
    retry_after: str = ""
    date: str = ""


class NoAnswer(msgspec.Struct, frozen=True):
    """None came; what was asked for may have been done all the same.  `wait` are the seconds for
    which nothing is to be asked again, where that is known."""

    why: str
    wait: float = 0.0


def words(error: Exception) -> str:
    """What an error of the network says, without its number."""
    text = str(error)
    if numbers := re.findall(r"\[Errno (\d+)\] Connect call failed", text):
        # asyncio says which addresses, but not why
        return ", ".join(dict.fromkeys(os.strerror(int(one)) for one in numbers))
    return re.sub(r"^\[Errno -?\d+\] ", "", text)


class Pause(msgspec.Struct, frozen=True):
    """Seconds in which nothing is to be sent."""

    seconds: float


Reply = Answer | NoAnswer
Steps = Generator[Request | Pause, Reply, T]
"""What a call does, step by step: it yields requests, and is sent their replies, and pauses, after
which it is sent NOTHING."""

NOTHING = NoAnswer("nothing was asked")
