"""Where a command looks and acts: a service, or the ledger itself without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from unlost.cli.client.connection import Connection, Service


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place(Connection):
    """A service; or, where one is named, a ledger."""

    ledger: Annotated[
        str | None, Parameter(metavar="URL", help="work on this ledger, ask no service")
    ] = None

    def service(self, *, reading: bool = False) -> Service:
        """The service, or what answers like one on the ledger.  Raises WrongUsage, Failed.

        `reading`: it is only looked at.
        """
        if self.ledger is None:
            return Service(self)
        from unlost.cli.ledgers.direct import Direct

        return Service(Connection(), Direct(self.ledger, reading=reading))


HERE = Place()
