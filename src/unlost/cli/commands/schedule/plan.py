"""What `unlost schedule set` is told, as the service wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from unlost import jsontext
from unlost.cli import bounds
from unlost.cli.failures import WrongUsage
from unlost.cli.options import given, switch, whole
from unlost.jsontext import NotJson
from unlost.schedule.schedule import MAX_GRACE
from unlost.task import MAX_KEY, MAX_PRIORITY, MAX_RETRIES, MAX_TIMEOUT

_LONGEST_SHOWN = 200


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Plan:
    """When it is due, and what is submitted then."""

    cron: Annotated[
        str | None, Parameter(help="five fields, or @hourly, @daily, @weekly, @monthly, @yearly")
    ] = None
    every: Annotated[
        int | None,
        Parameter(
            converter=whole, help="seconds, in place of --cron: at their multiples since 1970"
        ),
    ] = None
    timezone: Annotated[
        str | None, Parameter(help="whose clock, as Europe/Berlin", show_default="UTC")
    ] = None
    type_: Annotated[str | None, Parameter(name="--type", help="the handler's name; required")] = (
        None
    )
    payload: Annotated[str, Parameter(help="a JSON object, or @FILE that holds it")] = "{}"
    priority: Annotated[
        int | None, Parameter(converter=whole, help="-100 to 100", allow_leading_hyphen=True)
    ] = None
    max_retries: Annotated[int | None, Parameter(converter=whole, help="0 to 100")] = None
    timeout: Annotated[float | None, Parameter(help="seconds of an attempt")] = None
    key: Annotated[str | None, Parameter(help="whose they are, for limits by key")] = None
    callback_url: Annotated[str | None, Parameter(help="who is told of their ends")] = None
    missed: Annotated[
        Literal["last", "skip", "all"] | None,
        Parameter(help="what is made of times that nobody was there for", show_default="last"),
    ] = None
    grace: Annotated[
        float | None,
        Parameter(help="seconds after which a time is missed", show_default="60; on AWS 300"),
    ] = None
    overlap: Annotated[
        Literal["allow", "skip"] | None,
        Parameter(help="whether it may run beside its last task", show_default="allow"),
    ] = None
    paused: Annotated[bool, switch("--paused", "it makes no tasks until it is resumed")] = False

    def body(self) -> bytes:
        """Raises WrongUsage for what a service would refuse anyway."""
        faults = [*self._times(), *self._task()]
        if faults:
            raise WrongUsage("; ".join(faults))
        members = given(
            cron=self.cron,
            every=self.every,
            timezone=self.timezone,
            type=self.type_,
            priority=self.priority,
            maxRetries=self.max_retries,
            timeoutSeconds=self.timeout,
            key=self.key,
            callbackUrl=self.callback_url,
            missed=self.missed,
            graceSeconds=self.grace,
            overlap=self.overlap,
            paused=True if self.paused else None,
        )
        return msgspec.json.encode(members | {"payload": msgspec.Raw(_payload(self.payload))})

    def _times(self) -> Iterator[str]:
        """What is wrong with its times."""
        from unlost.schedule.times import BadTimes, parse

        if (self.cron is None) == (self.every is None):
            yield "say when: either --cron or --every"
            return
        try:
            parse(given(cron=self.cron, every=self.every, timezone=self.timezone))
        except BadTimes as wrong:
            yield from (f"--{fault.member} {fault.reason}" for fault in wrong.faults)

    def _task(self) -> Iterator[str]:
        """What is wrong with the rest."""
        if self.type_ is None:
            yield "say what is submitted: --type"
        if self.missed == "all" and self.overlap == "skip":
            yield "--overlap cannot be skip where --missed is all"
        checks: tuple[Callable[[], None], ...] = (
            lambda: bounds.type_name(self.type_),
            lambda: bounds.whole("--priority", self.priority, -MAX_PRIORITY, MAX_PRIORITY),
            lambda: bounds.whole("--max-retries", self.max_retries, 0, MAX_RETRIES),
            lambda: bounds.number(
                "--timeout", 1 if self.timeout is None else self.timeout, 1e-6, MAX_TIMEOUT
            ),
            lambda: bounds.number("--grace", self.grace or 0, 0, MAX_GRACE),
            lambda: bounds.name("--key", self.key, MAX_KEY),
        )
        for check in checks:
            try:
                check()
            except WrongUsage as wrong:
                yield str(wrong)


USUAL = Plan()


def _payload(text: str) -> bytes:
    """A JSON object as it is written.  Raises WrongUsage."""
    try:
        raw = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        if not isinstance(jsontext.parse(raw), dict):
            raise NotJson("it must be an object")
    except (OSError, UnicodeEncodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise WrongUsage(f"--payload {text[:_LONGEST_SHOWN]} cannot be read: {why}") from None
    except NotJson as error:
        raise WrongUsage(f"--payload is no JSON object: {error}") from None
    return raw.strip()
