"""Reading the query of a call: each parameter known, given once, and of the right form."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import InvalidQuery, summary
from unlost.api.request.encoding import decode
from unlost.asked import times
from unlost.asked.checks import Wrong
from unlost.task import Micros

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_MOST_PARAMETERS: Final = 100


class Parameter(NamedTuple):
    """A parameter of a query: how its text is read, and how that is described.

    `read` raises `Wrong` for a text that is no such value.
    """

    name: str
    description: str
    schema: dict[str, Any]
    read: Callable[[str], Any]
    default: Any = None


def read(query: bytes, parameters: Collection[Parameter]) -> dict[str, Any]:
    """The value of every parameter, its default where it is not given.  Raises InvalidQuery."""
    values = {parameter.name: parameter.default for parameter in parameters}
    if not query:
        return values
    known = {parameter.name: parameter for parameter in parameters}
    faults: list[FieldError] = []
    seen: set[str] = set()
    for name, text in _pairs(query, faults):
        try:
            if name not in known:
                raise Wrong("is not a known parameter")
            if name in seen:
                raise Wrong("is given twice")
            seen.add(name)
            values[name] = known[name].read(text)
        except Wrong as wrong:
            faults.append(FieldError(str(wrong), parameter=name))
    if faults:
        raise InvalidQuery(summary(faults), errors=faults)
    return values


def _pairs(query: bytes, faults: list[FieldError]) -> Iterable[tuple[str, str]]:
    for pair in query.split(b"&", _MOST_PARAMETERS):
        if not pair:
            continue
        raw_name, _, raw_text = pair.replace(b"+", b" ").partition(b"=")
        name, text = decode(raw_name), decode(raw_text)
        if name is None or text is None:
            visible = raw_name.decode("ascii", "backslashreplace")
            faults.append(FieldError("is not percent-encoded UTF-8", parameter=visible))
        else:
            yield name, text


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number in digits."""

    def check(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise Wrong(f"must be a whole number from {low} to {high}")
        return int(text)

    return check


def number(low: float, high: float) -> Callable[[str], float]:
    """A number as in JSON."""

    def check(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise Wrong(f"must be a number from {low} to {high}")
        return float(text)

    return check


def one_of(values: Iterable[str]) -> Callable[[str], str]:
    """One of these words."""
    known = sorted(values)

    def check(text: str) -> str:
        if text not in known:
            raise Wrong(f"must be one of {', '.join(known)}")
        return text

    return check


def some_of(values: Iterable[str]) -> Callable[[str], frozenset[str]]:
    """Some of these words, with commas between."""
    known = sorted(values)

    def check(text: str) -> frozenset[str]:
        given = frozenset(text.split(","))
        if not given <= set(known):
            raise Wrong(f"must be some of {', '.join(known)}, with commas between")
        return given

    return check


def instant(text: str) -> Micros:
    """A time of RFC 3339; the plus of an offset may have come as a space, as it does unencoded."""
    try:
        return times.parse(re.sub(r" (?=[0-9]{2}:[0-9]{2}$)", "+", text)).micros
    except times.NotATime:
        raise Wrong("must be a time as in RFC 3339, with its offset") from None
