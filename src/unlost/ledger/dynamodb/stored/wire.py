"""Items as DynamoDB's API carries them, and as plain Python values.  Pure.

Plain are str, int, bytes, bool, and lists and dicts of these.  None is never stored: an absent
attribute is None.  Numbers are whole; a float is kept as text by whoever has one, since
DynamoDB's decimals hold neither all floats nor their exact values.
"""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def wire(value: Any) -> dict[str, Any]:
    """A plain value with its DynamoDB type.  Raises TypeError for what has none."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(int(value))}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, dict):
        return {"M": wired(value)}
    if isinstance(value, (list, tuple)):
        return {"L": [wire(one) for one in value]}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def wired(item: Item) -> dict[str, Any]:
    """An item for the API; what is None is left out."""
    return {name: wire(value) for name, value in item.items() if value is not None}


def plain(value: dict[str, Any]) -> Any:
    """The plain value of a typed one."""
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "M":
        return unwired(content)
    if kind == "L":
        return [plain(one) for one in content]
    return None if kind == "NULL" else content


def unwired(item: dict[str, Any]) -> Item:
    """A plain item from the API's."""
    return {name: plain(value) for name, value in item.items()}
