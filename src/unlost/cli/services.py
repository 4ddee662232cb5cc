"""`unlost serve`, `api` and `worker`: from what was given to their flags to a service that runs.

Nothing here needs the library of the command line, which would stay in the process with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from unlost.cli import plain
from unlost.cli.failures import Failed, WrongUsage
from unlost.settings import Settings, WrongSetting, flag, resolve

if TYPE_CHECKING:
    from unlost.supervisor.brief import ServiceAt

SHORTEST_LEASE: Final = 5.0
"""Seconds: a lease that a service gives is no shorter."""

ELSEWHERE: Final[Mapping[str, type]] = {"url": str, "api_key": str, "types": list}
"""The flags of workers that need no ledger."""


def plainly(name: str, words: Sequence[str]) -> Callable[[], int] | None:
    """What the service `name` is to do with these words; None where they are not written so
    plainly that they can be read without the library."""
    kinds = {**setting_kinds(), **(ELSEWHERE if name == "worker" else {})}
    given = plain.read(words, {flag(one): kind for one, kind in kinds.items()})
    if given is None:
        return None
    return partial(run, name, {one: given.get(flag(one)) for one in kinds})


def setting_kinds() -> dict[str, type]:
    """What the flag of each setting takes: nothing, one text, or any number of texts."""
    hints = get_type_hints(Settings)
    return {item.name: _kind(hints[item.name]) for item in fields(Settings)}


def _kind(hint: Any) -> type:
    return bool if hint is bool else list if hint == tuple[str, ...] else str


def run(name: str, given: Mapping[str, Any]) -> int:
    """Run a service with what was given, by setting; its exit status.  Raises WrongUsage, and
    Failed."""
    elsewhere = {one: given.get(one) for one in ELSEWHERE}
    if elsewhere["url"] is not None and given.get("ledger") is not None:
        raise WrongUsage("--ledger does not go with --url: the service has the ledger")
    try:
        settings = resolve(given, os.environ)
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    return SERVICES[name](settings, **elsewhere)


def _serve(settings: Settings, **_: Any) -> int:
    return _supervise(settings, frozenset({"api", "worker", *_relay(settings)}))


def _api(settings: Settings, **_: Any) -> int:
    return _supervise(settings, frozenset({"api"}))


def _worker(settings: Settings, **elsewhere: Any) -> int:
    service = _elsewhere(settings, **elsewhere)
    if service is not None:
        return _supervise(settings, frozenset({"worker"}), service)
    return _supervise(settings, frozenset({"worker", *_relay(settings)}))


SERVICES: Final[Mapping[str, Callable[..., int]]] = {
    "serve": _serve,
    "api": _api,
    "worker": _worker,
}


def _elsewhere(
    settings: Settings, url: str | None, api_key: str | None, types: list[str] | None
) -> ServiceAt | None:
    """The service whose attempts are to be run, if one is named.  Raises WrongUsage."""
    if url is None:
        if types:
            raise WrongUsage("--types goes with --url: what a ledger's workers serve, handlers say")
        return None
    from unlost.cli import bounds
    from unlost.client.address import Address
    from unlost.client.errors import UnlostError
    from unlost.supervisor.brief import ServiceAt

    if settings.outbox:
        raise WrongUsage("--outbox does not go with --url: `unlost outbox relay --url` relays it")
    if settings.lease < SHORTEST_LEASE:
        raise WrongUsage(f"--lease must be {SHORTEST_LEASE:g} or more with --url")
    key = os.environ.get("UNLOST_API_KEY", "") if api_key is None else api_key
    try:
        Address(url, key)
    except (ValueError, UnlostError) as error:
        raise WrongUsage(str(error)) from error
    names = [name for one in types or () for name in one.split(",") if name]
    for name in names:
        bounds.type_name(name)
    return ServiceAt(url, key, tuple(names) if names else None)


def _relay(settings: Settings) -> tuple[str, ...]:
    return ("outbox",) if settings.outbox else ()


def _supervise(settings: Settings, roles: frozenset[str], service: ServiceAt | None = None) -> int:
    from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit, NotALedger
    from unlost.supervisor.processes.forking import fork
    from unlost.supervisor.processes.starting import CannotStart
    from unlost.supervisor.run import run
    from unlost.supervisor.tree import first_roles

    forked = fork(len(first_roles(settings, roles)), settings, service)
    try:
        return run(settings, roles, service, forked)
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    except CannotStart as error:
        raise Failed(str(error)) from error
    except LedgerUnfit as error:  # which says what to do
        raise Failed(str(error)) from error
    except (LedgerUnavailable, NotALedger) as error:
        raise Failed(f"{error}; `unlost doctor` with the same settings says more") from error
