"""`unlost doctor`: what a service would find here, and what it would do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli.client.connection import Connection, Service
from unlost.cli.commands.doctor import between, configuration, machine
from unlost.cli.commands.doctor.access import access
from unlost.cli.commands.doctor.configuration import Setting
from unlost.cli.commands.doctor.finding import Finding, Health
from unlost.cli.commands.serve import setting_parameters
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.options import switch
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import counted
from unlost.settings import flag

AsJson = Annotated[bool, switch("--json", "print what was found as JSON")]
Url = Annotated[
    str | None,
    Parameter(help="check what lies between here and the service at this address instead"),
]
ApiKey = Annotated[
    str,
    Parameter(env_var="UNLOST_API_KEY", help="that service's API key", show_default=False),
]

SETTINGS = Columns(("setting", "value", "from"), whole="setting")
FINDINGS = Columns(("check", "", "found"), whole="check")


def doctor(
    *, json: AsJson = False, url: Url = None, api_key: ApiKey = "", **given: str | None
) -> None:
    """Check what a service would find here, and tell what `unlost serve` would do.

    Looks at the settings and where each comes from, the ledger, who could get in, the clock, the
    time zones, the disk, the limit of open files, the handlers and the port. Takes the same
    settings as `unlost serve`. Makes no ledger, and prints no passwords. Exit status 1 if a check
    fails. With --url, asks a service through whatever lies between, such as a proxy, and tells what
    does not come through; nothing is stored.
    """
    if url is not None:
        _from_afar(url, api_key, given, json=json)
        return
    settings, sources, found = configuration.settings(given, os.environ)
    seen, findings = configuration.ledger(settings.ledger)
    found += [*findings, machine.clock(), machine.zones()]
    if seen is not None and seen.path is not None:
        found += machine.disk(seen.path, min_free=settings.min_free)
    found.append(access(settings, seen))
    found.append(machine.open_files(settings.max_connections))
    found.append(configuration.handler(settings.handler, settings))
    if settings.outbox:
        from unlost.cli.commands.doctor.outboxes import outbox

        found.append(outbox(settings.outbox))
    port = machine.port(settings.host, settings.port)
    found.append(port)
    failed = any(one.health is Health.FAIL for one in found)
    steps = configuration.would(settings, seen, failed, port.health is Health.NOTE)
    if json:
        told = {"ok": not failed, "settings": sources, "checks": found, "wouldServe": steps}
        raw(msgspec.json.encode(told))
    else:
        _print(sources, found, steps)
    _judge(found)


def _from_afar(url: str, api_key: str, given: Mapping[str, str | None], *, json: bool) -> None:
    """Ask the service at `url`.  Raises WrongUsage for settings, which are not looked at then."""
    if beside := [name for name, value in given.items() if value is not None]:
        raise WrongUsage(f"--url goes without settings: {flag(beside[0])} is one")
    with Service(Connection(url=url, api_key=api_key)) as service:
        found = list(between.checks(service))
        if json:
            ok = all(one.health is not Health.FAIL for one in found)
            raw(msgspec.json.encode({"ok": ok, "url": service.shown, "checks": found}))
        else:
            table(FINDINGS, [(one.check, one.health.value, one.detail) for one in found])
    _judge(found)


def _judge(found: Iterable[Finding]) -> None:
    """Raise Failed if one is a failure."""
    failed = [one for one in found if one.health is Health.FAIL]
    if failed:
        checks = ", ".join(dict.fromkeys(one.check for one in failed))
        raise Failed(f"{counted(len(failed), 'check')} failed: {checks}")


def _print(sources: Iterable[Setting], found: Iterable[Finding], steps: Iterable[str]) -> None:
    table(
        SETTINGS,
        [(one.name, "" if one.value is None else str(one.value), one.source) for one in sources],
    )
    print()
    table(FINDINGS, [(one.check, one.health.value, one.detail) for one in found])
    print("\n`unlost serve` would")
    for step in steps:
        print(f"- {step}")


doctor.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        *setting_parameters(),
        inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
        inspect.Parameter("url", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Url),
        inspect.Parameter("api_key", inspect.Parameter.KEYWORD_ONLY, default="", annotation=ApiKey),
    ]
)
doctor.__annotations__ = {}
