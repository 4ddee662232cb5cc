"""Whether a failure tells of a program that a signal to stop has ended: pure.

Who stops a service may signal every process there is (Heroku, systemd as it comes), the programs
that handlers started among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from signal import SIGINT, SIGTERM

CODES = frozenset(
    code for number in (int(SIGTERM), int(SIGINT)) for code in (-number, 128 + number)
)
"""Exit statuses of a program that was told to stop: as Python has them, and as shells do."""

_ATTRIBUTES = ("returncode", "exitcode", "exit_code", "exit_status")

_TEXT = re.compile(
    r"(?<![\w.-])(?:-15|-2|143|130)(?!\w|\.\d)|\bSIG(?:TERM|INT)\b|terminated abruptly"
)

_MOST = 50
"""Exceptions of a chain that are looked at."""


def signalled(error: BaseException) -> bool:
    """Whether SIGTERM or SIGINT ended a program, as this or what led to it says.

    Exit statuses count, whatever the attribute's usual name; texts only where there are none.
    """
    try:
        chain = list(_chain(error))
        codes = [code for one in chain for code in _codes(one)]
        if codes:
            return not CODES.isdisjoint(codes)
        return any(_TEXT.search(str(one)) for one in chain)
    except Exception:  # noqa: BLE001  the user's own exception classes take part
        return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, its causes and contexts, and those in groups; each once."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left and len(seen) < _MOST:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [one.__context__, one.__cause__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions


def _codes(error: BaseException) -> Iterator[int]:
    found = [getattr(error, name, None) for name in _ATTRIBUTES]
    if isinstance(error, SystemExit):
        found.append(error.code)
    return (code for code in found if isinstance(code, int) and not isinstance(code, bool))
