"""From a database's URL to its outbox."""

from __future__ import annotations

from unlost.ledger.opening import sqlite_path
from unlost.outbox.store import Outbox
from unlost.settings import WrongSetting

SCHEMES = ("postgres", "postgresql", "sqlite")


def open_outbox(url: str) -> Outbox:
    """The outbox in the database that `url` names, connected to when it is first used.

    Raises WrongSetting for a URL that names none.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise WrongSetting(
            "an outbox's database must be like sqlite:///app.db or"
            " postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    if scheme == "sqlite":
        from unlost.outbox.sqlite import SqliteOutbox  # noqa: PLC0415 - only what is used

        return SqliteOutbox(sqlite_path(rest))
    try:
        from unlost.outbox.postgres import PostgresOutbox  # noqa: PLC0415 - only what is used
    except ImportError as missing:
        raise WrongSetting(f"postgresql:// needs unlost[postgres]: {missing}") from None
    return PostgresOutbox(url)
