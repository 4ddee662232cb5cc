"""Where a command looks and acts: a service, or the ledger itself without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli.client.connection import Connection, Service
from unlost.cli.ledgers.opening import on_ledger

if TYPE_CHECKING:
    from unlost.ledger.protocol import Ledger


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place(Connection):
    """A service; or, where one is named, a ledger."""

    ledger: Annotated[
        str | None, Parameter(metavar="URL", help="work on this ledger, ask no service")
    ] = None

    def answer(
        self,
        by_service: Callable[[Service], bytes],
        by_ledger: Callable[[Ledger], Awaitable[msgspec.Struct]],
        *,
        reading: bool = False,
    ) -> bytes:
        """What the service answers, or the same from the ledger, as JSON."""
        if self.ledger is None:
            with Service(self) as service:
                return by_service(service)
        return msgspec.json.encode(on_ledger(self.ledger, by_ledger, reading=reading))


HERE = Place()
