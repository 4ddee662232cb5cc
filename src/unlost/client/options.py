"""What calls can be given, by its name in Python, and its text in JSON and in queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, TypedDict

from unlost import jsontext


class TaskOptions(TypedDict, total=False):
    """Options of a task: the members of `POST /tasks`.  None leaves one out."""

    type: str | None
    priority: int | None
    delay_seconds: float | None
    run_at: datetime | str | None
    max_retries: int | None
    timeout_seconds: float | None
    key: str | None
    callback_url: str | None


class NewTask(TaskOptions, total=False):
    """A task of `submit_many`: what `submit` takes, as a dict.  It needs a `payload`."""

    payload: Mapping[str, object]
    task_id: str | None


class TaskFilters(TypedDict, total=False):
    """Which tasks a list has.  `include` names the big members that they have: `payload`,
    `result`, `attempts`, `traceback`, `why`."""

    state: str
    type: str
    id_prefix: str
    parent: str
    since: datetime | str
    until: datetime | str
    include: str | Iterable[str]


class DeadLetterFilters(TypedDict, total=False):
    """Which dead letters a list has.  `error` is a fingerprint or an error type."""

    type: str
    error: str
    include: str | Iterable[str]


class RedriveOptions(TypedDict, total=False):
    """Which dead letters to redrive (selectors mean *and*, at least one is needed), and how.

    `canary` (1) go first; it stops once more than `tolerate` (0; None: never) have died again, or
    the canary has not ended after `patience` (600) seconds.  `payload` replaces that of the one
    task in `task_ids`.
    """

    fingerprint: str | None
    type: str | None
    task_ids: Iterable[str] | None
    all: bool | None
    limit: int | None
    rate_per_second: float | None
    canary: int
    tolerate: int | None
    patience: float
    payload: Mapping[str, object] | None
    forget: Iterable[str] | None
    by: str | None
    reason: str | None


class ScheduleOptions(TypedDict, total=False):
    """What a schedule says: `cron` or `every` (seconds), and the options of its tasks.  None leaves
    one out."""

    cron: str | None
    every: int | None
    timezone: str | None
    type: str
    payload: Mapping[str, object]
    priority: int | None
    max_retries: int | None
    timeout_seconds: float | None
    key: str | None
    callback_url: str | None
    missed: str | None
    grace_seconds: float | None
    overlap: str | None
    paused: bool | None


class BreakerOptions(TypedDict, total=False):
    """When a circuit opens, and how it closes again."""

    failure_share: float
    window_seconds: float
    minimum: int
    open_seconds: float
    probes: int
    excuse: bool


class TypeOptions(TypedDict, total=False):
    """What to set anew for a type: None removes it, what is left out stays."""

    limit: int | None
    key_limit: int | None
    rate_per_second: float | None
    key_rate_per_second: float | None
    pull: bool
    breaker: BreakerOptions | None


class Said(TypedDict, total=False):
    """Who does something, and why: kept with what was done."""

    by: str | None
    reason: str | None


class RedriveSaid(Said, total=False):
    """The same, and which recorded steps to `forget`, so that they run again: their names, or True
    for all.  With a new payload it has to be said where there are steps."""

    forget: Iterable[str] | bool | None


_name = lru_cache(jsontext.encode)


@lru_cache
def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def members(given: Mapping[str, Any], *, nulls: bool = False) -> dict[str, object]:
    """Members as the service names them; those that are None are left out, unless `nulls`.

    Raises ValueError for a time without its zone.
    """
    return {
        _camel(name): _plain(value) for name, value in given.items() if nulls or value is not None
    }


def query(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The same as the parameters of a query."""
    return tuple((name, _text(value)) for name, value in members(given).items())


def body(given: Mapping[str, object]) -> bytes:
    """Members as a JSON text, each of which may have as many levels as a JSON text may.

    Raises ValueError for what JSON cannot hold.
    """
    try:
        return jsontext.encode(given).encode()
    except jsontext.NotEncodable:
        texts = [f"{_name(name)}:{jsontext.encode(value)}" for name, value in given.items()]
        return f"{{{','.join(texts)}}}".encode()


def _plain(value: object) -> object:
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return list(value)
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"a time must know its zone, unlike {value!r}")
    return value.isoformat()


def _text(value: object) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return ",".join(map(str, value))
