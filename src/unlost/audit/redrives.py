"""What the records say of redrives, beside what the redrives say of themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from unlost.ledger.protocol import Redrives
from unlost.ledger.values import RedriveQuery
from unlost.redrive import Redrive
from unlost.task import TERMINAL, Event, Record, State

PAGE = 500
"""Redrives that are read at once."""

Fates = Counter[tuple[str, State | None]]
"""How many letters of a redrive have ended so; None: they have not."""

_FATES = {Event.REDRIVE: State.DEAD, Event.DISCARD: State.DEAD, Event.CANCEL: State.CANCELLED}
"""What had become of a letter where this was done to it next."""


def fates(record: Record) -> Iterator[tuple[str, State | None]]:
    """For each redrive that took this task, what has become of it since."""
    now = record.state if record.state in TERMINAL else None
    followed = (*record.history[1:], None)
    for act, after in zip(record.history, followed, strict=bool(record.history)):
        if act.redrive is not None:
            yield act.redrive, now if after is None else _FATES[after.event]


async def known(ledger: Redrives) -> dict[str, Redrive]:
    """All redrives as they are now, by id.  Raises LedgerUnavailable."""
    found: dict[str, Redrive] = {}
    query = RedriveQuery(limit=PAGE)
    while page := await ledger.list_redrives(query):
        found |= {one.id: one for one in page}
        query = RedriveQuery(limit=PAGE, after=(page[-1].started_at, page[-1].id))
    return found


def wrong(before: Mapping[str, Redrive], seen: Fates, after: Mapping[str, Redrive]) -> list[str]:
    """What does not add up.

    What was seen, was seen after `before` and before `after`: it lies between what the two say,
    where those that were under way may have ended in any way by then.
    """
    found = []
    for name, then in before.items():
        now = after.get(name)
        if now is not None:
            found += [f"redrive {name}: {what}" for what in _of_one(then, seen, now)]
    return found


def _of_one(then: Redrive, seen: Fates, now: Redrive) -> Iterator[str]:
    for name, figure in (("under way", now.under_way), ("left", now.left or 0), ("gone", now.gone)):
        if figure < 0:
            yield f"{figure} are {name}"
    if now.state.value == "done" and (now.left or now.under_way):
        yield f"it is done, and {now.left} are left, {now.under_way} under way"
    ends = {
        State.SUCCEEDED: (then.succeeded, now.succeeded),
        State.DEAD: (then.died_again, now.died_again),
        State.CANCELLED: (then.cancelled, now.cancelled),
    }
    redriven = seen[now.id, None] + sum(seen[now.id, end] for end in ends)
    if not then.redriven <= redriven <= now.redriven:
        yield f"{now.redriven} are counted as redriven, {redriven} histories name it"
    for end, (least, most) in ends.items():
        if not least <= seen[now.id, end] <= most + now.under_way:
            yield f"{most} are counted as {end.value} since, {seen[now.id, end]} are"
