"""Roles of a test's server that may less than its superuser, and databases of theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg

from tests.cli.ledgers import furnish
from tests.conformance.stage import must_add_up
from tests.postgres.databases import empty
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres import PostgresLedger
from unlost.limits.control import Change
from unlost.telemetry.measures import Measures

STATEMENT = re.compile(r"(?:GRANT|ALTER) [^;()]+")
"""What a message tells somebody to do."""

MINE = (
    "GRANT USAGE ON SCHEMA unlost TO app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA unlost TO app",
    "GRANT USAGE ON SEQUENCE unlost.task_seq_seq TO app",
)
"""All that `app` needs beside tables that are there."""


class Tenant:
    """A database of the role `owner`, for a service with the role `app`; both are empty at first.

    Roles belong to a server, so they are the same each time, without what they had before.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self.superuser = empty(server, name)
        for role in ("owner", "app"):
            self.do(
                f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN END $$",
                f"ALTER ROLE {role} LOGIN PASSWORD '{server.password}'",
                f"ALTER ROLE {role} RESET ALL",
            )
        self.do(f"ALTER DATABASE {name} OWNER TO owner")

    @property
    def owner(self) -> str:
        """The URL with the role that owns the database."""
        return self._url("owner")

    @property
    def app(self) -> str:
        """The URL with the role that the service is to have."""
        return self._url("app")

    def _url(self, role: str) -> str:
        return self.superuser.replace("//unlost:", f"//{role}:")

    def do(self, *statements: str) -> None:
        """Run statements as the superuser."""
        self._run(self.superuser, statements)

    def do_as_owner(self, *statements: str) -> None:
        """Run statements as the database's owner."""
        self._run(self.owner, statements)

    def _run(self, url: str, statements: Sequence[str]) -> None:
        writes = "-c default_transaction_read_only=off"
        with psycopg.connect(url, autocommit=True, options=writes) as db:
            for sql in statements:
                db.execute(sql)

    def told(self, message: str) -> list[str]:
        """The statements that a message names."""
        return [one.strip() for one in STATEMENT.findall(message)]

    async def made(self) -> None:
        """Have the owner make the ledger."""
        await (await open_ledger(self.owner)).close()


async def use(url: str) -> None:
    """Do all that a service does with a ledger."""
    await furnish(url)
    ledger = await PostgresLedger.open(url)
    await ledger.ping()
    await ledger.pause("mail", "ann", None)
    await ledger.resume("mail")
    await ledger.change("mail", Change(limit=3, key_limit=1))
    await ledger.open_measures("process")
    await ledger.publish_measures("process", Measures())
    await ledger.close_measures("process", Measures())
    async with ledger.transitions():
        await ledger.due_in(None)
    await must_add_up(ledger)
    await ledger.close()
