"""An API key as an item and back.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from unlost.access.keys import Key, Secret, decoded, unreadable
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.stored.wire import Item

_NAMED: Final = "name#"


def place_of(name: str) -> schema.Key:
    """Where the key with this name is."""
    return schema.KEYS, _NAMED + name


def key_of(item: Mapping[str, Any]) -> Key:
    """The key in an item; those of the first release have the digest for their place."""
    if item["sk"].startswith(_NAMED):
        return decoded(item["sk"].removeprefix(_NAMED), item.get("key"))
    name = str(item.get("name"))
    try:
        return Key(name, frozenset(item["scopes"]), item["created_at"], (Secret(item["sk"]),))
    except (KeyError, TypeError):
        return unreadable(name)


def item_of(key: Key) -> Item:
    """The item that a key is."""
    pk, sk = place_of(key.name)
    return {"pk": pk, "sk": sk, "key": msgspec.json.encode(key).decode()}
