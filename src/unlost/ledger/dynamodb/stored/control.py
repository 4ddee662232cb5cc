"""What is set for a type, as an item and back.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.limits.breaker import Breaker, Circuit
from unlost.limits.control import Control, Pause

_breaker = msgspec.json.Decoder(Breaker).decode
_circuit = msgspec.json.Decoder(Circuit).decode


def control_of(item: Mapping[str, Any]) -> Control:
    """The control in an item."""
    name, since = item["sk"], item.get("since")
    breaker, circuit = item.get("breaker"), item.get("circuit")
    return Control(
        name,
        None if since is None else Pause(name, since, item.get("by"), item.get("reason")),
        item.get("limit"),
        item.get("key_limit"),
        None if breaker is None else _breaker(breaker),
        Circuit() if circuit is None else _circuit(circuit),
        _number(item.get("rate")),
        _number(item.get("key_rate")),
        item.get("pull", False),
    )


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def item_of(control: Control) -> Item:
    """The item that a control is; None stands for no attribute."""
    pk, sk = schema.control_key(control.type)
    pause, breaker = control.pause, control.breaker
    return {
        "pk": pk,
        "sk": sk,
        "since": None if pause is None else pause.at,
        "by": None if pause is None else pause.by,
        "reason": None if pause is None else pause.reason,
        "limit": control.limit,
        "key_limit": control.key_limit,
        "breaker": None if breaker is None else msgspec.json.encode(breaker).decode(),
        "circuit": None if breaker is None else msgspec.json.encode(control.circuit).decode(),
        "rate": None if control.rate is None else str(control.rate),
        "key_rate": None if control.key_rate is None else str(control.key_rate),
        "pull": control.pull or None,
    }
