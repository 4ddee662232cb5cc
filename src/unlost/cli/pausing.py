"""`unlost pause`, `resume` and `pauses`: tasks of a type wait, and cost no attempt meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.ledgers import LedgerUrl, on_ledger
from unlost.cli.options import AsJson, By, Reason
from unlost.cli.output import moment, raw
from unlost.cli.redriving import check_words
from unlost.cli.tables import Columns, table
from unlost.task import SECOND

if TYPE_CHECKING:
    from unlost.control import Pause
    from unlost.ledger.protocol import Ledger

TypeName = Annotated[str, Parameter(name="TYPE", help="the handler's name")]

COLUMNS = Columns(("type", "since", "by", "reason"), whole="type", spare=("by", "since"))


class Paused(msgspec.Struct, frozen=True):
    """A pause as it is shown."""

    type: str
    at: datetime
    by: str | None
    reason: str | None


def pause(
    type_: TypeName,
    /,
    *,
    ledger: LedgerUrl,
    by: By = None,
    reason: Reason = None,
    json: AsJson = False,
) -> None:
    """Let no worker start a task of this type until it is resumed; what runs goes on.

    Where it is paused already, that pause stays.
    """
    bounds.type_name(type_)
    check_words(by, reason)
    on_ledger(ledger, lambda opened: opened.pause(type_, by, reason))
    _tell(type_, paused=True, as_json=json)


def resume(type_: TypeName, /, *, ledger: LedgerUrl, json: AsJson = False) -> None:
    """Let workers start tasks of this type again."""
    bounds.type_name(type_)
    on_ledger(ledger, lambda opened: opened.resume(type_))
    _tell(type_, paused=False, as_json=json)


def _tell(type_: str, *, paused: bool, as_json: bool) -> None:
    if as_json:
        raw(msgspec.json.encode({"type": type_, "paused": paused}))
    else:
        print(f"{type_} is {'' if paused else 'not '}paused")


def pauses(*, ledger: LedgerUrl, json: AsJson = False) -> None:
    """List the types that are paused, since when, by whom and why."""

    async def read(opened: Ledger) -> list[Pause]:
        return await opened.pauses()

    found = [
        Paused(one.type, datetime.fromtimestamp(one.at / SECOND, UTC), one.by, one.reason)
        for one in on_ledger(ledger, read)
    ]
    if json:
        raw(msgspec.json.encode({"pauses": found}))
    else:
        rows = [(one.type, moment(one.at), one.by or "", one.reason or "") for one in found]
        table(COLUMNS, rows)
