"""Redrives as items and back.  Pure.

Which items there are says `schema`.  A redrive is kept as JSON, since positions among the dead
letters are numbers larger than DynamoDB counts with; what may be large is cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.values import RedrivePlace
from unlost.redrive import Named, Position, Redrive
from unlost.task import Micros

PIECE = 75_000
"""Characters in one item of what may be large: 300 KB at most, of the 400 that an item may have."""

_redrive = msgspec.json.Decoder(Redrive).decode
_named = msgspec.json.Decoder(Named).decode


class Kept(msgspec.Struct, frozen=True):
    """A redrive as its item has it."""

    item: Item
    redrive: Redrive


def kept(item: Item) -> Kept:
    """The redrive in its item."""
    return Kept(item, _redrive(item["redrive"]))


def item_of(redrive: Redrive) -> Item:
    """The item of a redrive."""
    pk, sk = schema.redrive_key(redrive.id)
    return {"pk": pk, "sk": sk, "redrive": msgspec.json.encode(redrive).decode()}


def listed(redrive: Redrive) -> Item:
    """Its entry in the list of all."""
    state = redrive.state.value
    return {
        "pk": schema.REDRIVES,
        "sk": place(redrive.started_at, redrive.id),
        "state": state,
        "open": redrive.open,
    }


def pieces_of(redrive_id: str, named: Named) -> list[Item]:
    """The items of what it was begun with that may be large; none where there is nothing."""
    if named == Named():
        return []
    pk, _ = schema.redrive_key(redrive_id)
    text = msgspec.json.encode(named).decode()
    cut = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    return [{"pk": pk, "sk": f"named#{number}", "text": one} for number, one in enumerate(cut)]


def way_item(redrive_id: str, task_id: str, redrive_count: int) -> Item:
    """That a letter is under way since the redrive of it that has this number."""
    pk, _ = schema.redrive_key(redrive_id)
    return {"pk": pk, "sk": f"w#{task_id}", "redrive_count": redrive_count}


def way_of(item: Item) -> tuple[str, int]:
    """The letter that is under way, and the redrive that it is on."""
    return item["sk"].removeprefix("w#"), int(item["redrive_count"])


def named_of(items: Iterable[Item]) -> Named:
    """What the pieces are of."""
    ordered = sorted(items, key=lambda item: int(item["sk"].removeprefix("named#")))
    text = "".join(item["text"] for item in ordered)
    return _named(text.encode()) if text else Named()


def listed_id(item: Item) -> str:
    """The redrive that an entry of a list is about."""
    return str(item["sk"]).partition("#")[2]


def listed_place(item: Item) -> RedrivePlace:
    """Where the redrive stands that an entry of a list is about."""
    started_at, _, redrive_id = str(item["sk"]).partition("#")
    return int(started_at), redrive_id


def mark(position: Position) -> str:
    """A position as it stands in the index of dead letters.

    One that came from another ledger breaks ties by a number: it stands before all letters of its
    moment, or behind them.
    """
    died_at, tie = position
    if isinstance(tie, int):
        tie = "" if tie <= 0 else schema.LAST
    return f"{schema.moment(died_at)}#{tie}"


def position(at: str) -> Position:
    """The position of an entry of that index."""
    moment, _, tie = at.partition("#")
    return int(moment), tie


def place(started_at: Micros, redrive_id: str) -> str:
    """Where a redrive stands in the lists: by its start, then by its id."""
    return f"{schema.moment(started_at)}#{redrive_id}"
