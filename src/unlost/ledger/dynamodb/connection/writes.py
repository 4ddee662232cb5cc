"""Writes as values, and the requests that they become.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from unlost.ledger.dynamodb.schema import Key
from unlost.ledger.dynamodb.stored.wire import Item, wire, wired


class Put(msgspec.Struct, frozen=True):
    """Store a whole item; with `only_new`, only where there is none (and it gets an `op`)."""

    item: Item
    only_new: bool = False


class Change(msgspec.Struct, frozen=True):
    """Make `old`, as it was read, into `new`: sends what differs, conditional on old's `op`.

    Attributes that are equal are not sent, so that indexes on them are not written.
    """

    old: Item
    new: Item


class Delete(msgspec.Struct, frozen=True):
    """Remove an item; with `op`, only while it is that version."""

    key: Key
    op: str | None = None


class Add(msgspec.Struct, frozen=True):
    """Add to numbers of an item, and set others of its values, whatever it is now."""

    key: Key
    numbers: Mapping[str, int]
    values: Item = {}


class Absent(msgspec.Struct, frozen=True):
    """Write nothing, but let a transaction be only where there is no such item."""

    key: Key


class Same(msgspec.Struct, frozen=True):
    """Write nothing, but let a transaction be only while an item is that version."""

    key: Key
    op: str


Write = Put | Change | Delete | Add

KEYS = ("pk", "sk")
IF_NONE = "attribute_not_exists(pk)"
IF_VERSION = "#op = :seen_op"


def versioned(write: Write | Absent | Same) -> bool:
    """Whether the item carries the write's `op`, by which the write is known again."""
    return isinstance(write, Change) or (isinstance(write, Put) and write.only_new)


def request(write: Write | Absent | Same, op: str) -> tuple[str, dict[str, Any]]:
    """The kind of a write (as transactions name it) and its arguments, without the table."""
    if isinstance(write, Put):
        return "Put", _put(write, op)
    if isinstance(write, Change):
        return "Update", _change(write, op)
    if isinstance(write, Delete):
        return "Delete", _delete(write)
    if isinstance(write, Absent):
        return "ConditionCheck", _absent(write)
    if isinstance(write, Same):
        return "ConditionCheck", _delete(Delete(write.key, write.op))
    return "Update", _add(write)


def wire_key(key: Key) -> dict[str, Any]:
    """A key for the API."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _put(write: Put, op: str) -> dict[str, Any]:
    if not write.only_new:
        return {"Item": wired(write.item)}
    return {
        "Item": wired({**write.item, "op": op}),
        "ConditionExpression": IF_NONE,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _change(write: Change, op: str) -> dict[str, Any]:
    old, new = write.old, {**write.new, "op": op}
    sets = {
        name: value
        for name, value in new.items()
        if name not in KEYS and value is not None and value != old.get(name)
    }
    removed = [name for name, value in old.items() if value is not None and new.get(name) is None]
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    if removed:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
    return {
        "Key": wire_key((old["pk"], old["sk"])),
        "UpdateExpression": expression,
        "ConditionExpression": IF_VERSION,
        "ExpressionAttributeNames": {f"#{name}": name for name in (*sets, *removed)},
        "ExpressionAttributeValues": {
            ":seen_op": {"S": old["op"]},
            **{f":{name}": wire(value) for name, value in sets.items()},
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _delete(write: Delete) -> dict[str, Any]:
    if write.op is None:
        return {"Key": wire_key(write.key)}
    return {
        "Key": wire_key(write.key),
        "ConditionExpression": IF_VERSION,
        "ExpressionAttributeNames": {"#op": "op"},
        "ExpressionAttributeValues": {":seen_op": {"S": write.op}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _absent(write: Absent) -> dict[str, Any]:
    return {
        "Key": wire_key(write.key),
        "ConditionExpression": IF_NONE,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _add(write: Add) -> dict[str, Any]:
    clauses = []
    if write.numbers:
        clauses.append("ADD " + ", ".join(f"#{name} :{name}" for name in write.numbers))
    if write.values:
        clauses.append("SET " + ", ".join(f"#{name} = :{name}" for name in write.values))
    both = {**write.numbers, **write.values}
    return {
        "Key": wire_key(write.key),
        "UpdateExpression": " ".join(clauses),
        "ExpressionAttributeNames": {f"#{name}": name for name in both},
        "ExpressionAttributeValues": {f":{name}": wire(value) for name, value in both.items()},
    }
