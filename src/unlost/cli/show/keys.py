"""API keys, listed without themselves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from unlost.access.keys import Key
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import moment
from unlost.task import SECOND, Micros

COLUMNS = Columns(
    ("name", "scopes", "types", "rate", "made", "last used", "end"),
    whole="name",
    spare=("made", "rate", "types"),
)


class KeySeen(msgspec.Struct, rename="camel"):
    """A key as it is shown.  `types` and `rate` are null where nothing bounds it."""

    name: str
    scopes: list[str]
    types: list[str] | None
    rate: float | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


def seen(key: Key) -> KeySeen:
    """The key as JSON shows it."""
    return KeySeen(
        key.name,
        sorted(key.scopes),
        None if key.types is None else list(key.types),
        key.rate,
        _time(key.created_at),
        None if key.used_at is None else _time(key.used_at),
        None if key.expires_at is None else _time(key.expires_at),
        None if key.revoked_at is None else _time(key.revoked_at),
    )


def keys_table(keys: Iterable[Key]) -> None:
    """Print the keys."""
    table(COLUMNS, map(_row, map(seen, keys)))


def _row(key: KeySeen) -> tuple[str, ...]:
    end = moment(key.expires_at)
    if key.revoked_at is not None:
        end = f"revoked {moment(key.revoked_at)}"
    return (
        key.name,
        ",".join(key.scopes),
        "" if key.types is None else ",".join(key.types),
        "" if key.rate is None else f"{key.rate:g}/s",
        moment(key.created_at),
        "" if key.last_used_at is None else key.last_used_at.strftime("%Y-%m-%d %H:00Z"),
        end,
    )


def _time(at: Micros) -> datetime:
    return datetime.fromtimestamp(at / SECOND, UTC)
