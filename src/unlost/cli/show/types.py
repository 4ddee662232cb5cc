"""What holds for types of tasks, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from unlost.cli.client.connection import read
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import counted, moment, one_line


class PauseSeen(msgspec.Struct):
    at: datetime
    by: str | None = None
    reason: str | None = None


class BreakerSeen(msgspec.Struct, rename="camel"):
    failure_share: float
    window_seconds: float
    minimum: int
    open_seconds: float
    probes: int
    excuse: bool = False


class TypeSeen(msgspec.Struct, rename="camel"):
    type: str
    pause: PauseSeen | None = None
    limit: int | None = None
    key_limit: int | None = None
    breaker: BreakerSeen | None = None
    circuit: str | None = None
    circuit_since: datetime | None = None
    opens_until: datetime | None = None
    rate_per_second: float | None = None
    key_rate_per_second: float | None = None
    pull: bool = False


class TypesSeen(msgspec.Struct):
    types: list[TypeSeen]


COLUMNS = Columns(
    ("type", "limit", "per key", "rate", "rate per key", "circuit", "breaker", "pull", "paused"),
    whole="type",
    spare=("breaker", "rate per key", "per key"),
)


def print_types(types: Iterable[TypeSeen]) -> None:
    """Print a table, one type a row."""
    table(COLUMNS, [(one.type, *_cells(one)) for one in types])


def tell(answer: bytes, as_json: bool) -> None:
    """Print what holds for a type now."""
    if as_json:
        raw(answer)
        return
    one = read(answer, TypeSeen)
    pairs = zip(COLUMNS.heads[1:], _cells(one), strict=True)
    told = "; ".join(f"{name} {text}" for name, text in pairs if text)
    print(one_line(f"{one.type}: {told or 'nothing is set'}"))


def _cells(one: TypeSeen) -> tuple[str, ...]:
    return (
        "" if one.limit is None else str(one.limit),
        "" if one.key_limit is None else str(one.key_limit),
        _rate(one.rate_per_second),
        _rate(one.key_rate_per_second),
        _circuit(one),
        _breaker(one.breaker),
        "by the API alone" if one.pull else "",
        _paused(one.pause),
    )


def _rate(a_second: float | None) -> str:
    return "" if a_second is None else f"{a_second:.10g}/s"


def _circuit(one: TypeSeen) -> str:
    name = (one.circuit or "").replace("_", " ")
    since = f" since {moment(one.circuit_since)}" if one.circuit_since else ""
    until = f" until {moment(one.opens_until)}" if one.opens_until else ""
    return f"{name}{since}{until}"


def _breaker(found: BreakerSeen | None) -> str:
    if found is None:
        return ""
    share, window = f"{found.failure_share * 100:g} %", f"{found.window_seconds:g} s"
    return (
        f"opens at {share} of {found.minimum} or more in {window}, for {found.open_seconds:g} s,"
        f" then {counted(found.probes, 'probe')}{', excused' if found.excuse else ''}"
    )


def _paused(found: PauseSeen | None) -> str:
    if found is None:
        return ""
    by = f" by {found.by}" if found.by else ""
    why = f": {found.reason}" if found.reason else ""
    return f"since {moment(found.at)}{by}{why}"
