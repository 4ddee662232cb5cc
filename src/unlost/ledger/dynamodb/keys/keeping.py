"""API keys (`Key`), one item each; there are few.

One of the first release (see `stored.key`) gets its new place with its first change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from unlost.access.keys import Key, revoked, rotated, used
from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put, Write
from unlost.ledger.dynamodb.schema import KEYS
from unlost.ledger.dynamodb.stored.key import item_of, key_of
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import LedgerUnavailable, UnknownKey
from unlost.task import Micros

TRIES: Final = 10


async def _found(calls: Calls) -> list[tuple[Item, Key]]:
    return [(item, key_of(item)) async for items in calls.walk(KEYS) for item in items]


async def keys(calls: Calls) -> list[Key]:
    """All keys that ever were, by name."""
    return sorted((key for _, key in await _found(calls)), key=lambda key: key.name)


async def add(calls: Calls, key: Key) -> Key | None:
    """Keep a new key, unless one has its name or its secret: that one."""
    for _ in range(TRIES):
        for _, known in await _found(calls):
            if known.name == key.name or known.has(key.secrets[0].digest):
                return known
        try:
            await calls.write(Put(item_of(key), only_new=True))
        except Clash:
            continue
        return None
    raise LedgerUnavailable(f"others make a key named {key.name} all the time")


async def rotate(calls: Calls, name: str, digest: str, until: Micros) -> Key:
    """Let this hash take the place of the key's.  Raises UnknownKey."""
    return await _change(calls, name, lambda key: rotated(key, digest, until), revoked_too=False)


async def revoke(calls: Calls, name: str, at: Micros) -> Key:
    """Let the key be known no more.  Raises UnknownKey."""
    return await _change(calls, name, lambda key: revoked(key, at))


async def note_use(calls: Calls, moments: Mapping[str, Micros]) -> None:
    """Note when keys were last used."""
    for name in {key.name for _, key in await _found(calls)} & moments.keys():
        at = moments[name]
        await _change(calls, name, lambda key, at=at: used(key, at))  # type: ignore[misc]


async def _change(
    calls: Calls, name: str, new: Callable[[Key], Key], *, revoked_too: bool = True
) -> Key:
    for _ in range(TRIES):
        named = [(item, key) for item, key in await _found(calls) if key.name == name]
        if not named or not (revoked_too or named[0][1].revoked_at is None):
            raise UnknownKey(name)
        (item, old), key = named[0], new(named[0][1])
        if key == old:
            return key
        try:
            await calls.write_together(_writes(item, key))
        except Clash:
            continue
        return key
    raise LedgerUnavailable(f"others change the key {name} all the time")


def _writes(old: Item, new: Key) -> Sequence[Write]:
    item = item_of(new)
    if old["sk"] == item["sk"]:
        return [Change(old, item)]
    return [Put(item, only_new=True), Delete((old["pk"], old["sk"]))]
