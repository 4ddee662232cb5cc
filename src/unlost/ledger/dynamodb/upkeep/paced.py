"""Work that a rate holds up, beyond the turns that are given: each sweep hints as much of it as
gets a turn until after the next sweep, so that a rate is kept however much waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.indexes import existing, first_entries
from unlost.ledger.dynamodb.controls import pacing, slots
from unlost.ledger.dynamodb.hints.next_due import ALL
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import DUE
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.limits.control import Control
from unlost.task import SECOND, Micros

AT_ONCE: Final = 100
"""Records that are read in one step."""

ON_ITS_WAY: Final = 60 * SECOND
"""How long after a turn its message may still come."""


async def hint_paced(calls: Calls, tell: Telling, controls: Iterable[Control], now: Micros) -> int:
    """Hint tasks of these types, as many as get a turn soon and have none; how many.

    Of each shard the first `ALL` that wait are looked at.
    """
    paced = [one for one in controls if one.paced]
    entries = [] if not paced else await first_entries(calls, DUE, ALL)
    hinted = 0
    for control in paced:
        mine = [one for one in entries if one["type"] == control.type and int(one["due"]) <= now]
        room = await slots.read_for(calls, control, None, now) if mine else None
        if room is not None and room.when(None) is not None:  # else it waits for slots
            mine.sort(key=lambda entry: (-entry["priority"], entry["due"]))
            hinted += await _hint(calls, tell, control, mine, now)
    return hinted


async def _hint(
    calls: Calls, tell: Telling, control: Control, entries: Sequence[Item], now: Micros
) -> int:
    marks = {entry["pk"]: schema.marked(entry["at"]) for entry in entries}
    left = await pacing.turns_left(calls, control, marks.values(), now)

    def fits(entry: Item) -> bool:
        return all(left.get(one, 1) > 0 for one in {None, marks[entry["pk"]]})

    hinted = 0
    for at in range(0, len(entries), AT_ONCE):
        if left.get(None, 1) < 1:
            break
        some = [entry for entry in entries[at : at + AT_ONCE] if fits(entry)]
        tasks = await existing(calls, some)
        for entry in some:
            stored = tasks.get(entry["pk"])
            if stored is None or not fits(entry) or not _without_turn(stored, now):
                continue
            for one in left.keys() & {None, marks[entry["pk"]]}:
                left[one] -= 1
            tell.due(stored.task_id, stored.type, stored.due or now, marks[entry["pk"]])
            hinted += 1
    return hinted


def _without_turn(stored: Stored, now: Micros) -> bool:
    waits = stored.claimable and (stored.due or 0) <= now
    return waits and (stored.turn is None or stored.turn + ON_ITS_WAY <= now)
