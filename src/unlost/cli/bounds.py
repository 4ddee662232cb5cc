"""What a service would refuse anyway, told as wrong usage before one is asked.

Each check raises WrongUsage; None was not given, and is right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from unlost.asked.times import NotATime, parse
from unlost.cli.failures import WrongUsage
from unlost.task import MAX_TYPE, State

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and the bytes of a command line that were no UTF-8."""


def whole(flag: str, value: int | None, low: int, high: int) -> None:
    """A whole number from `low` to `high`."""
    if value is not None and not low <= value <= high:
        raise WrongUsage(f"{flag} must be {low} to {high}, not {value}")


def number(flag: str, value: float, low: float, high: float) -> None:
    """A number from `low` to `high`."""
    if not low <= value <= high:
        raise WrongUsage(f"{flag} must be {low:g} to {high:g}, not {value:g}")


def file(name: str) -> None:
    """A file, or - for standard input: what only looks like a flag is none of ours."""
    if name.startswith("-") and name != "-":
        raise WrongUsage(f"Unknown option: {name}")


def text(flag: str, value: str | None, longest: int, shortest: int = 0) -> None:
    """A text of so many characters."""
    if value is not None and not shortest <= len(value) <= longest:
        raise WrongUsage(f"{flag} must have {shortest} to {longest} characters, not {len(value)}")


def name(flag: str, value: str | None, longest: int) -> None:
    """A text of 1 to so many characters, none of them a control character."""
    text(flag, value, longest, shortest=1)
    if value is not None and _CONTROL.search(value):
        raise WrongUsage(f"{flag} must be text without control characters")


def type_name(value: str | None, flag: str = "--type") -> None:
    """What a type may be."""
    name(flag, value, MAX_TYPE)


def state(value: str | None) -> None:
    """What `--state` may be."""
    one_of("--state", value, [one.value for one in State])


def one_of(flag: str, value: str | None, known: Sequence[str]) -> None:
    """One of these words."""
    if value is not None and value not in known:
        raise WrongUsage(f"{flag} must be {', '.join(known[:-1])} or {known[-1]}, not {value!r}")


def instant(flag: str, value: str | None) -> None:
    """A time of RFC 3339."""
    if value is None:
        return
    try:
        parse(value)
    except NotATime:
        raise WrongUsage(f"{flag} must be like 2030-01-31T12:00:00Z, not {value!r}") from None
