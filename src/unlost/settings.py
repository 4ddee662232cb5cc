"""Every setting, once: its name, default, meaning and bounds.

A setting is a flag (`--backoff-base`), an environment variable (`UNLOST_BACKOFF_BASE`), and for
port and ledger also what platforms set (`PORT`, `DATABASE_URL`).  A flag beats `UNLOST_…`, which
beats the platform's, which beats the default.  Durations are seconds.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from unlost.access.auth import Auth, auth_of
from unlost.access.browser import is_host
from unlost.access.browser import origin as origin_of_pages
from unlost.access.proxies import is_proxy
from unlost.policy import Backoff, Limits
from unlost.task import MAX_DELAY, MAX_EXCUSED, MAX_RETRIES, MAX_TIMEOUT
from unlost.telemetry.redaction import is_pointer
from unlost.webhooks.signature import is_secrets
from unlost.webhooks.target import BadTarget, Reach, is_target, read

TAKEN = (
    "attempts", "audit", "console", "dead-letters", "docs", "events", "livez", "metrics",
    "openapi.json", "readyz", "redrives", "schedule-times", "schedules", "stats", "tasks",
    "types", "workers",
)  # fmt: skip
"""How the service's own paths begin."""

NONE = "none"
"""The handler of a service that has none: others claim by the API."""

_ROOT_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")


class WrongSetting(ValueError):
    """A setting cannot be used.  The message is one line for the person who set it."""


def _setting(
    default: Any, meaning: str, check: Callable[[Any], bool], must: str, *, secret: bool = False
) -> Any:
    """`secret`: its value is never shown."""
    told = {"meaning": meaning, "check": check, "must": must, "secret": secret}
    return field(default=default, metadata=told, repr=not secret)


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: low <= value <= high


def _above(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: low < value <= high


def _each(check: Callable[[str], object]) -> Callable[[tuple[str, ...]], bool]:
    return lambda values: all(map(check, values))


def _text(value: str) -> bool:
    return bool(value) and value.isprintable()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a service is told.  Checked by `resolve`."""

    ledger: str = _setting("sqlite:///unlost.db", "where the ledger is", _text, "must be a URL")
    handler: str = _setting(
        "", "MODULE:NAME of the handlers; none: no handlers here; left out: the simulated one",
        lambda value: value in ("", NONE) or (value.count(":") == 1 and all(value.split(":"))),
        "must be MODULE:NAME, or none",
    )  # fmt: skip
    host: str = _setting("127.0.0.1", "the address to listen on", _text, "must be an address")
    auth: str = _setting(
        "", "keys or none: whether calls need an API key; left out, none on a loopback address "
        "that nothing else is set for, else keys",
        lambda value: value in ("", "keys", "none"), "must be keys or none",
    )  # fmt: skip
    port: int = _setting(
        8080, "the port to listen on; 0 takes a free one", _between(0, 65535), "must be 0 to 65535"
    )
    keep_alive: float = _setting(
        130.0, "seconds for which a connection without calls is kept; longer than a proxy keeps it",
        _above(0, 86_400), "must be above 0 and at most 86400",
    )  # fmt: skip
    root_path: str = _setting(
        "", "the path below which a proxy shows the service, such as /unlost",
        lambda value: _ROOT_PATH.fullmatch(value) is not None
        and value.split("/")[1:2] not in [[name] for name in TAKEN],
        "must be a path such as /unlost, without a / at its end, that is none of the service's own",
    )  # fmt: skip
    allowed_host: tuple[str, ...] = _setting(
        (), "HOST[:PORT] under which the service is called; may be repeated", _each(is_host),
        "must be a host, with or without a port",
    )  # fmt: skip
    cors_origin: tuple[str, ...] = _setting(
        (), "an origin, such as https://app.example, whose pages may call; may be repeated",
        _each(origin_of_pages), "must be an origin such as https://app.example",
    )  # fmt: skip
    forwarded_allow_ips: tuple[str, ...] = _setting(
        (), "addresses or networks of the proxies whose X-Forwarded-… headers are believed, "
        "with commas; * is everybody",
        _each(is_proxy), "must be addresses or networks, or *",
    )  # fmt: skip
    max_connections: int = _setting(
        2_000, "connections at once; waits and streams may hold half of them, claims that "
        "wait a quarter",
        _between(10, 1_000_000), "must be 10 to 1000000",
    )  # fmt: skip
    min_free: float = _setting(
        200.0, "MiB free on the disk of an SQLite ledger below which submits are refused; 0: none",
        _between(0, 1_000_000_000), "must be 0 to 1000000000",
    )  # fmt: skip
    max_outstanding: int | None = _setting(
        None, "tasks that may be outstanding before new ones are refused (429); any number if not "
        "given", _between(1, 10**15), "must be 1 or more",
    )  # fmt: skip
    workers: int = _setting(
        min(4, os.cpu_count() or 1), "worker processes", _between(1, 256), "must be 1 to 256"
    )
    concurrency: int = _setting(
        32, "attempts at once in a worker", _between(1, 10_000), "must be 1 to 10000"
    )
    transactions: int = _setting(
        4, "task.transaction() of a worker's handlers that may be open at once; others wait",
        _between(1, 1_000), "must be 1 to 1000",
    )  # fmt: skip
    failure_rate: float = _setting(
        0.3, "share of attempts that the simulated handler fails", _between(0, 1), "must be 0 to 1"
    )
    max_retries: int = _setting(
        2, "attempts after the first", _between(0, MAX_RETRIES), f"must be 0 to {MAX_RETRIES}"
    )
    max_excused: int = _setting(
        100, "failures of a task that may be excused after each submit or redrive; then they spend "
        "retries", _between(0, MAX_EXCUSED), f"must be 0 to {MAX_EXCUSED}",
    )  # fmt: skip
    backoff_base: float = _setting(
        1.0, "seconds, the longest wait before the first retry", _between(0, MAX_DELAY),
        f"must be 0 to {MAX_DELAY}",
    )  # fmt: skip
    backoff_cap: float = _setting(
        900.0, "seconds, the longest wait before any retry", _between(0, MAX_DELAY),
        f"must be 0 to {MAX_DELAY}",
    )  # fmt: skip
    attempt_timeout: float = _setting(
        300.0, "seconds that an attempt may take", _above(0, MAX_TIMEOUT),
        f"must be above 0 and at most {MAX_TIMEOUT}",
    )  # fmt: skip
    lease: float = _setting(
        15.0, "seconds without a sign of life after which a worker is taken for lost",
        _between(1, MAX_TIMEOUT), f"must be 1 to {MAX_TIMEOUT}",
    )  # fmt: skip
    grace: float = _setting(
        25.0, "seconds that running attempts get when the service stops", _between(0, MAX_TIMEOUT),
        f"must be 0 to {MAX_TIMEOUT}",
    )  # fmt: skip
    start_timeout: float = _setting(
        120.0, "seconds that a process may take to start; handlers are imported then",
        _between(1, MAX_TIMEOUT), f"must be 1 to {MAX_TIMEOUT}",
    )  # fmt: skip
    retain: float | None = _setting(
        None, "seconds after which finished tasks lose payload and attempts; never by default",
        _between(0, 100 * MAX_DELAY), "must be 0 or more",
    )  # fmt: skip
    seed: int | None = _setting(
        None, "makes simulated outcomes and waits reproducible", lambda _: True, ""
    )

    webhook_secret: str = _setting(
        "", "whsec_… that signs webhooks, which are off without; several with spaces between",
        lambda value: value == "" or is_secrets(value),
        "must be whsec_ and the base64 of 24 to 64 bytes, or several of these with spaces between",
        secret=True,
    )  # fmt: skip
    webhook_url: str = _setting(
        "", "where to tell of the ends of tasks that name no callbackUrl",
        lambda value: value == "" or is_target(value),
        "must be an absolute URL, https://HOST/…, without user and fragment", secret=True,
    )  # fmt: skip
    webhook_events: str = _setting(
        "succeeded,dead", "which ends of tasks --webhook-url is told of",
        lambda value: set(value.split(",")) <= {"succeeded", "dead"},
        "must be succeeded, dead, or both with a comma",
    )  # fmt: skip
    webhook_allow_private: bool = _setting(
        False, "webhooks may go to private addresses, and over http", lambda _: True, ""
    )

    @property
    def webhook_reach(self) -> Reach:
        return Reach.ANY if self.webhook_allow_private else Reach.PUBLIC

    @property
    def callbacks(self) -> Reach | None:
        """How far the URLs may lead that tasks name; None: they may name none."""
        return self.webhook_reach if self.webhook_secret else None

    @property
    def access(self) -> Auth:
        """Whether calls need a key."""
        beyond = (self.root_path, self.allowed_host, self.forwarded_allow_ips, self.cors_origin)
        return auth_of(self.auth, self.host, proxied=any(beyond))

    redact: tuple[str, ...] = _setting(
        (), "JSON pointers, as /card/number or /lines/*/price, to what is not shown of payloads "
        "and results, with commas",
        _each(is_pointer), "must be JSON pointers such as /card/number",
    )  # fmt: skip
    outbox: str = _setting(
        "", "the database of an application whose outbox is relayed, sqlite:///… or postgresql://…",
        lambda value: value == "" or value.partition("://")[0] in
        ("sqlite", "postgres", "postgresql"),
        "must be like sqlite:///app.db or postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        secret=True,
    )  # fmt: skip
    otel: bool = _setting(
        False, "send traces by OpenTelemetry, to where the variables OTEL_… say",
        lambda _: True, "",
    )  # fmt: skip

    @property
    def works(self) -> bool:
        """Whether there is anything that workers here may run: handlers, or webhooks' delivery."""
        return self.handler != NONE or bool(self.webhook_secret)

    @property
    def within(self) -> Settings:
        """The same for calls that come from this process itself: no page, no proxy, no key."""
        return replace(
            self, auth="none", root_path="", allowed_host=(), cors_origin=(), forwarded_allow_ips=()
        )

    @property
    def backoff(self) -> Backoff:
        return Backoff(self.backoff_base, self.backoff_cap)

    @property
    def limits(self) -> Limits:
        return Limits(self.max_retries, self.attempt_timeout)


PLATFORM = {"port": "PORT", "ledger": "DATABASE_URL"}


def flag(name: str) -> str:
    """The command line's name of a setting."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment's name of a setting."""
    return "UNLOST_" + name.upper()


def resolve(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """The settings that hold.  `flags` has values (typed or text) for those that were given;
    None counts as not given.  Raises WrongSetting."""
    names = [item.name for item in fields(Settings)]
    settings = Settings(**{name: value_of(name, flags, environ) for name in names})
    check_together(settings)
    return settings


def value_of(name: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> Any:
    """One setting as it holds, whatever the others are.  Raises WrongSetting."""
    [item] = [item for item in fields(Settings) if item.name == name]
    source, given = _given(name, flags, environ)
    if given is None:
        return item.default
    value = _convert(source, given, get_type_hints(Settings)[name])
    if not item.metadata["check"](value):
        shown = "" if item.metadata["secret"] else f", not {_shown(value)!r}"
        raise WrongSetting(f"{source} {item.metadata['must']}{shown}")
    return value


def _shown(value: object) -> object:
    return ", ".join(value) if isinstance(value, tuple) else value


def check_together(settings: Settings) -> None:
    """Raise WrongSetting where settings do not go together."""
    if not settings.webhook_url:
        return
    source = flag("webhook_url")
    try:
        read(settings.webhook_url, settings.webhook_reach)
    except BadTarget as wrong:
        unless = f", unless {flag('webhook_allow_private')} is given"
        raise WrongSetting(f"{source} {wrong}{unless}") from None
    if not settings.webhook_secret:
        raise WrongSetting(f"{source} needs {flag('webhook_secret')}, to sign what is sent")


def origin(name: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """Where a setting comes from: its flag, a variable, or "default"."""
    return _given(name, flags, environ)[0] or "default"


def _given(
    name: str, flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[str, object | None]:
    if flags.get(name) is not None:
        return flag(name), flags[name]
    for key in (variable(name), PLATFORM.get(name, "")):
        if environ.get(key):
            return key, environ[key]
    return "", None


def _convert(source: str, given: Any, hint: Any) -> Any:
    """`given` as the setting's type; text comes from the environment or the command line."""
    if hint is str:
        return str(given)
    if hint is bool:
        return _switch(source, given)
    if hint == tuple[str, ...]:
        texts = [given] if isinstance(given, str) else given
        return tuple(name for text in texts for name in re.split(r"[, \t]+", text) if name)
    kind = int if hint in (int, int | None) else float
    try:
        value = kind(str(given))
    except (ValueError, OverflowError):
        word = "a whole number" if kind is int else "a number"
        raise WrongSetting(f"{source} must be {word}, not {given!r}") from None
    if not math.isfinite(value):
        raise WrongSetting(f"{source} must be a finite number, not {given!r}")
    return value


_SWITCH = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


def _switch(source: str, given: object) -> bool:
    value = _SWITCH.get(str(given).lower())
    if value is None:
        raise WrongSetting(f"{source} must be true or false, not {given!r}")
    return value
