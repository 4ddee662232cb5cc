"""Checking the members of a JSON object, all of them, so that a client learns every fault at once.

A check takes a value in the normal form of `jsontext` and returns what it stands for, or raises
`Wrong` with what it must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeVar

from unlost import jsontext
from unlost.api import times
from unlost.api.openapi.schemas.acts import MAX_REASON
from unlost.api.openapi.schemas.fields import OWN_ID
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import invalid, pointer
from unlost.task import MAX_ID, MAX_KEY, MAX_TYPE, RESERVED, SECOND, Micros
from unlost.times import LATEST
from unlost.webhooks import target
from unlost.webhooks.target import BadTarget, Reach

T = TypeVar("T")
D = TypeVar("D")

_MOST_FAULTS: Final = 100


class Wrong(ValueError):
    """The value cannot be used; the message says what it must be."""


class Members:
    """The members of one object: read each that is known, then `finish`.

    Raises Invalid at once if `tree` is no object.
    """

    def __init__(self, tree: object) -> None:
        if not isinstance(tree, dict):
            raise invalid([FieldError("the body must be a JSON object", pointer())])
        self.tree: dict[str, object] = tree
        self._at: tuple[str, ...] = ()
        self._known: set[str] = set()
        self._inner: list[Members] = []
        self._faults: list[FieldError] = []

    def optional(self, name: str, check: Callable[[object], T], default: D) -> T | D:
        """The member's meaning; `default` if it is absent or wrong."""
        self._known.add(name)
        if name not in self.tree:
            return default
        try:
            return check(self.tree[name])
        except Wrong as wrong:
            self.fault(name, str(wrong))
            return default

    def required(self, name: str, check: Callable[[object], T], default: D) -> T | D:
        """The same for a member that must be there; `finish` will not let the default pass."""
        if name not in self.tree:
            self.fault(name, "is missing")
        return self.optional(name, check, default)

    def fault(self, name: str | None, detail: str) -> None:
        """Note what is wrong with a member, or (None) with the object."""
        names = self._at if name is None else (*self._at, name)
        self._faults.append(FieldError(detail, pointer(*names)))

    def within(self, name: str) -> Members:
        """The members of a member that is an object; `finish` covers them."""
        inner = Members(self.tree[name])
        inner._at, inner._faults = (*self._at, name), self._faults
        self._inner.append(inner)
        return inner

    def finish(self) -> None:
        """Raise Invalid if any member was wrong or is unknown."""
        self._note_unknown()
        for inner in self._inner:
            inner._note_unknown()
        if self._faults:
            raise invalid(self._faults)

    def _note_unknown(self) -> None:
        unknown = self.tree.keys() - self._known
        if unknown:
            for name in sorted(unknown)[:_MOST_FAULTS]:
                self.fault(name, "is not a known member")


def name(longest: int) -> Callable[[object], str]:
    """A string of 1 to so many characters, none of them a control character."""
    pattern = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{longest}}}")

    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise Wrong(f"must be a string of 1 to {longest} characters, none a control character")
        return value

    return check


type_name = name(MAX_TYPE)
key = name(MAX_KEY)
_any_id = name(MAX_ID)


def task_id(value: object) -> str:
    """An id that a task may have."""
    found = _any_id(value)
    if found in {".", ".."}:
        raise Wrong("must not be . or .., which mean something else in a path")
    return found


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


reason = text(0, MAX_REASON)

_OWN_ID = re.compile(OWN_ID)


def own_id(value: object) -> str:
    """An id that clients give to their calls."""
    if not isinstance(value, str) or not _OWN_ID.fullmatch(value):
        raise Wrong("must be a string of 1 to 200 of A-Z a-z 0-9 . _ - :")
    return value


def path_id(value: object) -> str:
    """The same for what has a path of its own."""
    found = own_id(value)
    if found in {".", ".."}:
        raise Wrong("must not be . or .., which mean something else in a path")
    return found


def json_object(value: object) -> dict[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Wrong("must be a JSON object")
    return value


def or_null(check: Callable[[object], T]) -> Callable[[object], T | None]:
    """The same, or null."""

    def check_or_null(value: object) -> T | None:
        return None if value is None else check(value)

    return check_or_null


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
