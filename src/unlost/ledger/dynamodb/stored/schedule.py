"""Schedules and their ticks as items and back.  Pure.

The payload is an item of its own, which a tick leaves alone; `payload_of` says in both which step
brought it, so that who reads one after the other knows that they belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.schema import Key
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.schedule.schedule import Move, Schedule, Tick
from unlost.schedule.stored import read, written

PK: Final = "schedules"
NUMBER: Final[Key] = ("config", "schedules")
_TICK: Final = "tick#"

_ticks = msgspec.json.Decoder(list[Tick]).decode


def key(schedule_id: str) -> Key:
    """Where a schedule is."""
    return PK, schedule_id


def beside(schedule_id: str) -> str:
    """The pk of its payload and its ticks."""
    return f"schedule#{schedule_id}"


def payload_key(schedule_id: str) -> Key:
    """Where its payload is."""
    return beside(schedule_id), "payload"


def item_of(move: Move, shards: int, payload_of: int) -> Item:
    """The schedule as a step leaves it."""
    new = move.schedule
    pk, sk = key(new.id)
    place: dict[str, Any] = {"o": None, "at": None}
    if new.next is not None:
        shard = schema.shard(new.id, shards)
        at = f"{schema.moment(new.next)}#{new.id}"
        place = {"o": schema.partition(schema.SCHEDULED, shard), "at": at}
    return {
        "pk": pk, "sk": sk, "schedule": written(new), "revision": new.revision,
        "payload_of": payload_of, **place,
    }  # fmt: skip


def payload_item(move: Move) -> Item:
    """The payload that a step brings."""
    pk, sk = payload_key(move.schedule.id)
    payload = move.schedule.plan.payload
    return {"pk": pk, "sk": sk, "payload": payload, "payload_of": move.schedule.revision}


def schedule_of(item: Item, payload: Item | None) -> Schedule | None:
    """The schedule; None where this is not its payload."""
    if payload is None or payload["payload_of"] != item["payload_of"]:
        return None
    return read(item["schedule"], payload["payload"])


def bare_of(item: Item) -> Schedule:
    """The schedule without its payload."""
    return read(item["schedule"], "")


def ticks_item(move: Move) -> Item:
    """The ticks of a step."""
    numbers = [number for number, _ in move.numbered]
    text = msgspec.json.encode(move.ticks).decode()
    sk = f"{_TICK}{numbers[0]:012}"
    return {"pk": beside(move.schedule.id), "sk": sk, "ticks": text, "last": numbers[-1]}


def ticks_of(item: Item) -> Sequence[Tick]:
    """The ticks in an item."""
    return _ticks(item["ticks"])


def tick_span(up_to: int | None = None) -> dict[str, str]:
    """Where the ticks are, up to a number, as `Calls.page` is asked for them."""
    high = f"{_TICK}{schema.LAST}" if up_to is None else f"{_TICK}{up_to:012}"
    return {"low": _TICK, "high": high}
