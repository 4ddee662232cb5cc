"""API keys (`Key`), one row each; there are few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from unlost.access.keys import Key, decoded, revoked, rotated, used
from unlost.ledger.postgres.connection.transaction import Transaction, cannot_be
from unlost.ledger.protocol import UnknownKey
from unlost.task import Micros

KEYS: Final = "SELECT name, key FROM unlost.api_key ORDER BY name"

# Whoever adds or changes one waits for the others: a name and a secret are given once.
LOCK: Final = "LOCK TABLE unlost.api_key IN SHARE ROW EXCLUSIVE MODE"

ADD: Final = "INSERT INTO unlost.api_key (name, key) VALUES (%(name)s, %(key)s)"
KEEP: Final = "UPDATE unlost.api_key SET key = %(key)s WHERE name = %(name)s"


async def keys(transaction: Transaction) -> list[Key]:
    """All keys that ever were, by name."""
    return [decoded(*row) for row in await transaction.last(KEYS)]


async def _locked(transaction: Transaction) -> list[Key]:
    await transaction.do(LOCK)
    return [decoded(*row) for row in await transaction.rows(KEYS)]


async def add(transaction: Transaction, key: Key) -> Key | None:
    """Keep a new key, unless one has its name or its secret: that one."""
    if cannot_be(key.name):
        raise ValueError("the name of a key cannot have a NUL character in it")
    for known in await _locked(transaction):
        if known.name == key.name or known.has(key.secrets[0].digest):
            return known
    await _send(transaction, ADD, key)
    return None


async def rotate(transaction: Transaction, name: str, digest: str, until: Micros) -> Key:
    """Let this hash take the place of the key's.  Raises UnknownKey."""
    return await _change(
        transaction, name, lambda key: rotated(key, digest, until), revoked_too=False
    )


async def revoke(transaction: Transaction, name: str, at: Micros) -> Key:
    """Let the key be known no more.  Raises UnknownKey."""
    return await _change(transaction, name, lambda key: revoked(key, at))


async def note_use(transaction: Transaction, moments: Mapping[str, Micros]) -> None:
    """Note when keys were last used."""
    for key in await _locked(transaction):
        if key.name in moments:
            await _send(transaction, KEEP, used(key, moments[key.name]))


async def _change(
    transaction: Transaction, name: str, new: Callable[[Key], Key], *, revoked_too: bool = True
) -> Key:
    for known in await _locked(transaction):
        if known.name == name and (revoked_too or known.revoked_at is None):
            key = new(known)
            await _send(transaction, KEEP, key)
            return key
    raise UnknownKey(name)


async def _send(transaction: Transaction, sql: str, key: Key) -> None:
    await transaction.do(sql, {"name": key.name, "key": msgspec.json.encode(key).decode()})
