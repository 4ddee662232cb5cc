"""Texts as they can be shown.

Text from tasks is shown with its control characters escaped, so that it cannot steer a terminal.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime


def one_line(text: str) -> str:
    """`text` as one printable line."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """`text` with every control character but line feed and tab written as its escape."""
    return "".join(
        mark if mark.isprintable() or mark in "\n\t" else mark.encode("unicode_escape").decode()
        for mark in text.encode("utf-8", "backslashreplace").decode()
    )


_USER = re.compile(r"((?:^|//)[^/?#@\s:]*):(?!//).*@", re.DOTALL)  # also where a URL is mistyped
_SECRET = re.compile(r"([?&][^=&\s]*(?:pass|key|secret|token)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` with the passwords in its URLs made unreadable."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1:***@", text))


def counted(number: int, one: str) -> str:
    """A number of things in words, as in "2 tasks"; `one` is what one of them is called."""
    if number != 1:
        changes = one.endswith("y") and one[-2:-1] not in "aeiou"
        one = f"{one.removesuffix('y')}ies" if changes else f"{one}s"
    return f"{number} {one}"


def cell(text: str) -> str:
    """`text` as one printable line with its spaces kept: an id may hold two in a row."""
    return printable(text.replace("\n", " ").replace("\t", " "))


def moment(at: datetime | None) -> str:
    """A time to the millisecond, in UTC; nothing for None."""
    if at is None:
        return ""
    return at.astimezone(UTC).isoformat(" ", "milliseconds").replace("+00:00", "Z")
