"""API keys (`Key`), one row each; there are few."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import apsw
import msgspec

from unlost.access.keys import Key, decoded, revoked, rotated, used
from unlost.ledger.protocol import UnknownKey
from unlost.ledger.sqlite.connection.rows import rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.task import Micros


def keys(db: apsw.Connection) -> list[Key]:
    """All keys that ever were, by name."""
    return [decoded(*row) for row in rows(db, "SELECT name, key FROM api_key ORDER BY name")]


def add(transaction: Transaction, key: Key) -> Key | None:
    """Keep a new key, unless one has its name or its secret: that one."""
    for known in keys(transaction.db):
        if known.name == key.name or known.has(key.secrets[0].digest):
            return known
    text = msgspec.json.encode(key).decode()
    transaction.db.execute("INSERT INTO api_key (name, key) VALUES (?, ?)", (key.name, text))
    return None


def rotate(transaction: Transaction, name: str, digest: str, until: Micros) -> Key:
    """Let this hash take the place of the key's.  Raises UnknownKey."""
    return _change(transaction, name, lambda key: rotated(key, digest, until), revoked_too=False)


def revoke(transaction: Transaction, name: str, at: Micros) -> Key:
    """Let the key be known no more.  Raises UnknownKey."""
    return _change(transaction, name, lambda key: revoked(key, at))


def note_use(transaction: Transaction, moments: Mapping[str, Micros]) -> None:
    """Note when keys were last used."""
    for key in keys(transaction.db):
        if key.name in moments:
            _keep(transaction, used(key, moments[key.name]))


def _change(
    transaction: Transaction, name: str, new: Callable[[Key], Key], *, revoked_too: bool = True
) -> Key:
    for known in keys(transaction.db):
        if known.name == name and (revoked_too or known.revoked_at is None):
            _keep(transaction, key := new(known))
            return key
    raise UnknownKey(name)


def _keep(transaction: Transaction, key: Key) -> None:
    text = msgspec.json.encode(key).decode()
    transaction.db.execute("UPDATE api_key SET key = ? WHERE name = ?", (text, key.name))
