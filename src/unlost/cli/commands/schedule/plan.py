"""What `unlost schedule set` is told, as the service wants it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from unlost import jsontext
from unlost.cli import bounds
from unlost.cli.failures import WrongUsage
from unlost.cli.options import given, switch
from unlost.jsontext import NotJson
from unlost.task import MAX_KEY, MAX_PRIORITY, MAX_RETRIES

_LONGEST_SHOWN = 200


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Plan:
    """When it is due, and what is submitted then."""

    cron: Annotated[
        str | None, Parameter(help="five fields, or @hourly, @daily, @weekly, @monthly, @yearly")
    ] = None
    every: Annotated[
        int | None, Parameter(help="seconds, in place of --cron: at their multiples since 1970")
    ] = None
    timezone: Annotated[
        str | None, Parameter(help="whose clock, as Europe/Berlin", show_default="UTC")
    ] = None
    type_: Annotated[str | None, Parameter(name="--type", help="the handler's name")] = None
    payload: Annotated[str, Parameter(help="a JSON object, or @FILE that holds it")] = "{}"
    priority: Annotated[int | None, Parameter(help="-100 to 100", allow_leading_hyphen=True)] = None
    max_retries: Annotated[int | None, Parameter(help="0 to 100")] = None
    timeout: Annotated[float | None, Parameter(help="seconds of an attempt")] = None
    key: Annotated[str | None, Parameter(help="whose they are, for limits by key")] = None
    callback_url: Annotated[str | None, Parameter(help="who is told of their ends")] = None
    missed: Annotated[
        Literal["last", "skip", "all"] | None,
        Parameter(help="what is made of times that nobody was there for", show_default="last"),
    ] = None
    grace: Annotated[
        float | None, Parameter(help="seconds after which a time is missed", show_default="60")
    ] = None
    overlap: Annotated[
        Literal["allow", "skip"] | None,
        Parameter(help="whether it may run beside its last task", show_default="allow"),
    ] = None
    paused: Annotated[bool, switch("--paused", "it makes no tasks until it is resumed")] = False

    def body(self) -> bytes:
        """Raises WrongUsage for what a service would refuse anyway."""
        if (self.cron is None) == (self.every is None):
            raise WrongUsage("say when: either --cron or --every")
        if self.type_ is None:
            raise WrongUsage("say what is submitted: --type")
        bounds.type_name(self.type_)
        bounds.whole("--priority", self.priority, -MAX_PRIORITY, MAX_PRIORITY)
        bounds.whole("--max-retries", self.max_retries, 0, MAX_RETRIES)
        bounds.name("--key", self.key, MAX_KEY)
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
