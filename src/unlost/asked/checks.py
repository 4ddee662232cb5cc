"""Checking values that clients and handlers write.

A check takes a value in the normal form of `jsontext` and returns what it stands for, or raises
`Wrong` with what it must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, TypeGuard, cast

from unlost import jsontext
from unlost.asked import times
from unlost.task import MAX_ID, MAX_KEY, MAX_TYPE, RESERVED, SECOND, Micros
from unlost.times import LATEST
from unlost.webhooks import target
from unlost.webhooks.target import BadTarget, Reach


class Wrong(ValueError):
    """The value cannot be used; the message says what it must be."""


def name(longest: int) -> Callable[[object], str]:
    """A string of 1 to so many characters, none of them a control character."""
    pattern = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{longest}}}")

    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise Wrong(f"must be a string of 1 to {longest} characters, none a control character")
        return value

    return check


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

type_name = name(MAX_TYPE)
key = name(MAX_KEY)
_any_id = name(MAX_ID)


def task_id(value: object) -> str:
    """An id that a task may have."""
    found = _any_id(value)
    if found in {".", ".."}:
        raise Wrong("must not be . or .., which mean something else in a path")
    return found


def are_task_ids(values: Sequence[object]) -> TypeGuard[Sequence[str]]:
    """Whether `task_id` takes all of these, in little time for each."""
    if set(map(type, values)) != {str}:
        return False
    names = cast("Sequence[str]", values)
    return (
        min(map(len, names)) > 0
        and max(map(len, names)) <= MAX_ID
        and not _CONTROL.search("".join(names))
        and {".", ".."}.isdisjoint(names)
    )


def submitted_type(value: object) -> str:
    """The type of a task that a client submits."""
    if isinstance(value, str) and value.startswith(RESERVED):
        raise Wrong(f"must not begin with {RESERVED}: such types are the service's own")
    return type_name(value)


def url(reach: Reach | None) -> Callable[[object], str]:
    """A URL that webhooks may go to; None: there are none here."""

    def check(value: object) -> str:
        if reach is None:
            raise Wrong("needs a service that sends webhooks: this one has no --webhook-secret")
        if not isinstance(value, str):
            raise Wrong("must be a string, an absolute URL")
        try:
            return target.read(value, reach).url
        except BadTarget as wrong:
            raise Wrong(str(wrong)) from None

    return check


def text(shortest: int, longest: int) -> Callable[[object], str]:
    """A string of so many characters."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise Wrong(f"must be a string of {shortest} to {longest} characters")
        return value

    return check


def json_object(value: object) -> dict[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Wrong("must be a JSON object")
    return value


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong("must be true or false")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    """A whole number, however it is spelled (2.0, 1e2)."""

    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise Wrong(f"must be a whole number from {low} to {high}")
        return value

    return check


def number(
    low: Decimal | int, high: Decimal | int, *, above: bool = False
) -> Callable[[object], Decimal]:
    """A number from `low` (or, with `above`, from just above it) to `high`, by exact value."""
    start = f"above {low} and at most" if above else f"from {low} to"

    def check(value: object) -> Decimal:
        exact = jsontext.decimal_of(value)
        if exact is None or not low <= exact <= high or (above and exact == low):
            raise Wrong(f"must be a number {start} {high}")
        return exact

    return check


def micros(seconds: Decimal) -> Micros:
    """Seconds as microseconds, cut."""
    return int(seconds * SECOND)


def instant(value: object) -> times.Instant:
    """A time of RFC 3339 in the years that a task may be put off to."""
    try:
        if isinstance(value, str):
            found = times.parse(value)
            if 0 <= found.micros <= LATEST:
                return found
    except times.NotATime:
        pass
    raise Wrong("must be a time as in RFC 3339, with its offset, from 1970 to 9999")
