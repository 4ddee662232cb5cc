"""`unlost doctor`: what a service would find here, and what it would do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from typing import Annotated

import msgspec

from unlost.cli.commands.doctor import configuration, machine
from unlost.cli.commands.doctor.configuration import Setting
from unlost.cli.commands.doctor.finding import Finding, Health
from unlost.cli.commands.serve import setting_parameters
from unlost.cli.failures import Failed
from unlost.cli.options import switch
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import counted

AsJson = Annotated[bool, switch("--json", "print what was found as JSON")]

SETTINGS = Columns(("setting", "value", "from"), whole="setting")
FINDINGS = Columns(("check", "", "found"), whole="check")


def doctor(*, json: AsJson = False, **given: str | None) -> None:
    """Check what a service would find here, and tell what `unlost serve` would do.

    Looks at the settings and where each comes from, the ledger, the clock, the disk, the handlers
    and the port. Takes the same settings as `unlost serve`. Makes no ledger, and prints no
    passwords. Exit status 1 if a check fails.
    """
    settings, sources, found = configuration.settings(given, os.environ)
    seen, findings = configuration.ledger(settings.ledger)
    found += [*findings, machine.clock()]
    if seen is not None and seen.path is not None:
        found += machine.disk(seen.path)
    found.append(configuration.handler(settings.handler, settings))
    port = machine.port(settings.host, settings.port)
    found.append(port)
    failed = [one for one in found if one.health is Health.FAIL]
    steps = configuration.would(settings, seen, bool(failed), port.health is Health.NOTE)
    if json:
        told = {"ok": not failed, "settings": sources, "checks": found, "wouldServe": steps}
        raw(msgspec.json.encode(told))
    else:
        _print(sources, found, steps)
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
    ]
)
doctor.__annotations__ = {}
