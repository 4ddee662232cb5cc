"""`unlost audit`: check every promise against the records."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli.client.connection import HERE, Connection, Service, read
from unlost.cli.ledgers.opening import on_ledger
from unlost.cli.options import AsJson
from unlost.cli.show.audit import AuditSeen, check, print_audit
from unlost.cli.show.output import raw

if TYPE_CHECKING:
    from unlost.ledger.protocol import Ledger

PATIENCE = 3600
"""Seconds that an audit may take: it reads every record."""


def audit(
    *,
    ledger: Annotated[
        str | None, Parameter(metavar="URL", help="read this ledger's records, ask no service")
    ] = None,
    json: AsJson = False,
    connection: Connection = HERE,
) -> None:
    """Check every promise against the records; exit status 1 and the list if one is broken.

    It may run beside live traffic.
    """
    if ledger is None:
        with Service(connection) as service:
            answer = service.get("/audit", patience=PATIENCE)
    else:
        answer = _audited(ledger)
    found = read(answer, AuditSeen)
    if json:
        raw(answer)
    else:
        print_audit(found)
    check(found)


def _audited(url: str) -> bytes:
    import asyncio

    from unlost.audit import audit as checked
    from unlost.ledger.opening import InFile

    told = False

    async def waiting(seconds: float) -> None:
        nonlocal told
        if not told:
            why = "the sums do not agree; the counters may be behind: looking again for minutes"
            print(f"unlost: {why}", file=sys.stderr, flush=True)
            told = True
        await asyncio.sleep(seconds)

    async def run(ledger: Ledger) -> bytes:
        found = msgspec.json.encode(await checked(ledger, waiting))
        if isinstance(ledger, InFile):
            ledger.check_file()  # else it would be of tasks that a start does not find
        return found

    return on_ledger(url, run, reading=True)
