"""`unlost types`, `pause`, `resume`, `limit` and `breaker`: what holds for a type of tasks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.client.connection import read
from unlost.cli.failures import WrongUsage
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import AsJson, switch, whole, words
from unlost.cli.show.output import raw
from unlost.cli.show.types import TypesSeen, print_types, tell
from unlost.limits.control import MAX_LIMIT
from unlost.limits.rate import HIGHEST, LOWEST

TypeName = Annotated[str, Parameter(name="TYPE", help="the handler's name")]
By = Annotated[str | None, Parameter(help="who does it, shown while it is paused")]
Reason = Annotated[str | None, Parameter(help="why, shown while it is paused")]
LoggedBy = Annotated[str | None, Parameter(help="who does it, for the service's log")]
LoggedReason = Annotated[str | None, Parameter(help="why, for the service's log")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a circuit opens, and how it closes again."""

    failure_share: Annotated[
        float, Parameter(help="opens where this share of attempts fails, above 0 and at most 1")
    ] = 0.5
    window: Annotated[float, Parameter(help="of those that ended in so many seconds")] = 60.0
    minimum: Annotated[int, Parameter(converter=whole, help="once at least so many ended")] = 10
    open_: Annotated[float, Parameter(name="--open", help="seconds after which it tries again")] = (
        30.0
    )
    probes: Annotated[
        int, Parameter(converter=whole, help="how many must then succeed for it to close")
    ] = 1
    excuse: Annotated[
        bool, Parameter(negative="", help="failures that open it, and probes', spend no retry")
    ] = False

    def members(self) -> dict[str, object]:
        """As the service wants them.  Raises WrongUsage for what it would refuse."""
        from unlost.api.openapi.schemas import types as most

        if not 0 < self.failure_share <= 1:
            shown = f"{self.failure_share:g}"
            raise WrongUsage(f"--failure-share must be above 0 and at most 1, not {shown}")
        bounds.number("--window", self.window, most.SHORTEST_WINDOW, most.LONGEST_WINDOW)
        bounds.whole("--minimum", self.minimum, 1, most.MOST_ENDED)
        bounds.number("--open", self.open_, most.SHORTEST_OPEN, most.LONGEST_OPEN)
        bounds.whole("--probes", self.probes, 1, most.MOST_PROBES)
        return {
            "failureShare": self.failure_share,
            "windowSeconds": self.window,
            "minimum": self.minimum,
            "openSeconds": self.open_,
            "probes": self.probes,
            "excuse": self.excuse,
        }


USUAL = Rules()


def types(*, json: AsJson = False, place: Place = HERE) -> None:
    """List the types for which something is set: a pause, limits, rates, a breaker, pull."""
    with place.service(reading=True) as service:
        answer = service.get("/types")
    if json:
        raw(answer)
    else:
        print_types(read(answer, TypesSeen).types)


def pause(
    type_: TypeName,
    /,
    *,
    by: By = None,
    reason: Reason = None,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Let no worker start a task of this type until it is resumed; what runs goes on.

    Where it is paused already, that pause stays.
    """
    path = _path(type_, "/pause")
    body = msgspec.json.encode(words(by, reason))
    with place.service() as service:
        answer = service.post(path, body)
    tell(answer, json)


def resume(
    type_: TypeName,
    /,
    *,
    by: LoggedBy = None,
    reason: LoggedReason = None,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Let workers start tasks of this type again."""
    path = _path(type_, "/resume")
    body = msgspec.json.encode(words(by, reason))
    with place.service() as service:
        answer = service.post(path, body)
    tell(answer, json)


def limit(
    type_: TypeName,
    most: Annotated[
        str | None, Parameter(name="N", help="how many may run at once; none: any number")
    ] = None,
    /,
    *,
    per_key: Annotated[
        str | None,
        Parameter(metavar="N", help="how many of them with the same key; none: any number"),
    ] = None,
    rate: Annotated[
        str | None,
        Parameter(metavar="N", help="how many may start a second; none: any number"),
    ] = None,
    rate_per_key: Annotated[
        str | None,
        Parameter(metavar="N", help="how many of them with the same key; none: any number"),
    ] = None,
    pull: Annotated[
        bool | None,
        Parameter(help="whether only workers that claim by the API take them"),
    ] = None,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Limit how many tasks of this type run at once or start a second, in all and per key; and who
    takes them.

    What runs already goes on. What is not given stays as it is.
    """
    given: dict[str, object] = {
        name: _number(flag, text)
        for name, flag, text in (("limit", "N", most), ("keyLimit", "--per-key", per_key))
        if text is not None
    }
    rates = (
        ("ratePerSecond", "--rate", rate),
        ("keyRatePerSecond", "--rate-per-key", rate_per_key),
    )
    given |= {name: _rate(flag, text) for name, flag, text in rates if text is not None}
    if pull is not None:
        given["pull"] = pull
    if not given:
        raise WrongUsage(
            "say how many: a number or none, and the same for --per-key, --rate, --rate-per-key;"
            " or --pull, --no-pull"
        )
    _change(type_, given, json, place)


def breaker(
    type_: TypeName,
    /,
    *,
    rules: Rules = USUAL,
    off: Annotated[bool, switch("--off", "remove it")] = False,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Set this type's circuit breaker, closed: while most attempts fail, its tasks wait.

    Waiting costs no attempt. Tasks that were rejected do not count as failures.
    """
    if off and rules != USUAL:
        raise WrongUsage("--off goes alone")
    _change(type_, {"breaker": None if off else rules.members()}, json, place)


def _number(flag: str, text: str) -> int | None:
    """How many; None for none.  Raises WrongUsage."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise WrongUsage(f"{flag} must be 1 to {MAX_LIMIT}, or none, not {text!r}")
    return int(text)


def _rate(flag: str, text: str) -> float | None:
    """How many a second; None for none.  Raises WrongUsage."""
    if text == "none":
        return None
    with suppress(ValueError):
        if LOWEST <= (found := float(text)) <= HIGHEST:
            return found
    raise WrongUsage(f"{flag} must be {LOWEST} to {HIGHEST} a second, or none, not {text!r}")


def _change(type_: str, given: dict[str, object], as_json: bool, place: Place) -> None:
    path, body = _path(type_), msgspec.json.encode(given)
    with place.service() as service:
        tell(service.patch(path, body), as_json)


def _path(type_: str, suffix: str = "") -> str:
    """The path of a type.  Raises WrongUsage for what is none."""
    bounds.type_name(type_, "TYPE")
    name = quote(type_, safe="")
    if name in (".", ".."):  # which a client would take for a step in the path
        name = name.replace(".", "%2E")
    return f"/types/{name}{suffix}"
