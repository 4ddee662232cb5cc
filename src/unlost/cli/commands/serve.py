"""`unlost serve`, `api`, `worker`: run a service, whole or one role of it.

Their flags are made from `settings.Settings`, so that no setting is written twice.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.failures import Failed, WrongUsage
from unlost.settings import PLATFORM, Settings, WrongSetting, flag, resolve, variable

if TYPE_CHECKING:
    from unlost.supervisor.brief import ServiceAt


def _serve(settings: Settings) -> int:
    """API, workers, monitor and console in one process tree.

    Listens on http://127.0.0.1:8080 and keeps its ledger in ./unlost.db unless told otherwise;
    the line `unlost is listening on …` on stderr says that it is ready. SIGTERM or Ctrl-C drains
    and exits 0. Each flag is also an environment variable; a flag beats it.
    """
    return _supervise(settings, frozenset({"api", "worker", *_relay(settings)}))


def _api(settings: Settings) -> int:
    """The API and the console alone, for several machines on one ledger.

    Takes the same settings as `unlost serve`.
    """
    return _supervise(settings, frozenset({"api"}))


def _worker(settings: Settings, **elsewhere: Any) -> int:
    """Workers alone, with the monitor and the sweep, for several machines on one ledger.

    Takes the same settings as `unlost serve`. With --url it needs no ledger: it runs the attempts
    of the service there by its API, with a key of the scope work (and submit, where handlers
    submit tasks). Then the monitor and the sweep are that service's.
    """
    service = _elsewhere(settings, **elsewhere)
    if service is not None:
        return _supervise(settings, frozenset({"worker"}), service)
    return _supervise(settings, frozenset({"worker", *_relay(settings)}))


SHORTEST_LEASE = 5.0
"""Seconds: a lease that a service gives is no shorter."""


def _elsewhere(
    settings: Settings, url: str | None, api_key: str | None, types: list[str] | None
) -> ServiceAt | None:
    """The service whose attempts are to be run, if one is named.  Raises WrongUsage."""
    from unlost.client.address import Address
    from unlost.client.errors import UnlostError
    from unlost.supervisor.brief import ServiceAt

    if url is None:
        if types:
            raise WrongUsage("--types goes with --url: what a ledger's workers serve, handlers say")
        return None
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


def _elsewhere_parameters() -> list[inspect.Parameter]:
    """The flags of workers that need no ledger."""
    flags: tuple[tuple[str, str, Any], ...] = (
        ("url", "the service whose attempts are run, by its API; no ledger is opened then", str),
        ("api_key", "the service's key for --url; @FILE reads it [env var: UNLOST_API_KEY]", str),
        ("types", "with --url, the types to serve, with commas; else all named ones", list[str]),
    )  # fmt: skip
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                kind | None, Parameter(name=flag(name), help=meaning, metavar="STR", negative=())
            ],
        )
        for name, meaning, kind in flags
    ]


def _relay(settings: Settings) -> tuple[str, ...]:
    return ("outbox",) if settings.outbox else ()


def _supervise(settings: Settings, roles: frozenset[str], service: ServiceAt | None = None) -> int:
    from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit, NotALedger
    from unlost.supervisor.run import run
    from unlost.supervisor.tree import CannotStart

    try:
        return run(settings, roles, service)
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    except CannotStart as error:
        raise Failed(str(error)) from error
    except LedgerUnfit as error:  # which says what to do
        raise Failed(str(error)) from error
    except (LedgerUnavailable, NotALedger) as error:
        raise Failed(f"{error}; `unlost doctor` with the same settings says more") from error


def _mirrored(
    name: str, command: Callable[..., int], more: Sequence[inspect.Parameter] = ()
) -> Callable[..., int]:
    """`command` with one flag per setting, and `more` of its own; raises WrongUsage where a
    setting cannot be used."""

    def run(**given: str | bool | list[str] | None) -> int:
        own = {one.name: given.pop(one.name, None) for one in more}
        if own.get("url") is not None and given.get("ledger") is not None:
            raise WrongUsage("--ledger does not go with --url: the service has the ledger")
        try:
            settings = resolve(given, os.environ)
        except WrongSetting as error:
            raise WrongUsage(str(error)) from error
        return command(settings, **own)

    run.__name__ = name
    run.__doc__ = command.__doc__
    run.__annotations__ = {}
    run.__signature__ = inspect.Signature([*setting_parameters(), *more])  # type: ignore[attr-defined]
    return run


def setting_parameters() -> list[inspect.Parameter]:
    """A flag for every setting, as the parameters of a command."""
    hints = get_type_hints(Settings)
    return [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _given_as(hints[item.name]) | None,
                _documented(item, hints[item.name]),
            ],
        )
        for item in fields(Settings)
    ]


def _given_as(hint: Any) -> Any:
    """The type of a flag's value on the command line."""
    return bool if hint is bool else list[str] if hint == tuple[str, ...] else str


def _documented(item: Field[Any], hint: Any) -> Parameter:
    """The flag of one setting.  Its value stays text: `resolve` alone decides what is right."""
    variables = ", ".join(filter(None, (variable(item.name), PLATFORM.get(item.name))))
    default = "" if item.default in (None, "", ()) else f" [default: {item.default}]"
    metavar = (
        "STR" if hint in (str, tuple[str, ...]) else "INT" if hint in (int, int | None) else "FLOAT"
    )
    return Parameter(
        name=flag(item.name),
        help=f"{item.metadata['meaning']} [env var: {variables}]{default}",
        metavar=None if hint is bool else metavar,
        negative=(),
        allow_leading_hyphen=True,
    )


serve = _mirrored("serve", _serve)
api = _mirrored("api", _api)
worker = _mirrored("worker", _worker, _elsewhere_parameters())
