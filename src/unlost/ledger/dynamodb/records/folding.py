"""Folding: what the changes that a stream tells of add to the sums.  Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from unlost.ledger.dynamodb.schema import TASK
from unlost.ledger.values import MINUTE
from unlost.task import TERMINAL, Micros, State

MARK = 8
"""Bytes that tell the changes of a minute apart."""

ITEMS_AT_ONCE = 90
"""Items that one transaction writes at most; DynamoDB takes 100."""
CHANGES_AT_ONCE = 10_000
"""Changes that one transaction counts, so that its notes stay far below 400 KB."""

ACCEPTED, SETTLED = "accepted", "settled"


class Stand(msgspec.Struct, frozen=True, gc=False):
    """So much of a task's record as is counted."""

    state: State
    submitted_at: Micros
    updated_at: Micros


class Change(msgspec.Struct, frozen=True, gc=False):
    """What happened to one task's record, `new` if there was none before.

    `name` is its own among all changes: sequence numbers are a shard's, event ids the world's.
    `minute` is that of its creation.  None stands for no record, or for one that cannot be read,
    as it may be after somebody's own edit.
    """

    name: str
    minute: int
    new: bool
    before: Stand | None
    after: Stand | None

    @property
    def mark(self) -> bytes:
        """What tells it apart among the changes of its minute."""
        return hashlib.blake2b(self.name.encode(), digest_size=MARK).digest()

    @property
    def items(self) -> set[str]:
        """What counting it may write, beside a total."""
        touched = {f"seen {self.minute}"}
        if self.after is not None:
            times = (self.after.submitted_at, self.after.updated_at)
            touched |= {f"minute {at // MINUTE}" for at in times}
        return touched


class Sums(msgspec.Struct, frozen=True):
    """What is to be added: to the totals, and to minutes (numbered from the epoch)."""

    totals: Counter[str]
    minutes: dict[int, Counter[str]]


def changes(records: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The changes of tasks among the stream's records, as Lambda or GetRecords hands them out.

    What leaves a task in its state counts nothing, and is left out.
    """
    return [change for record in records if (change := _change(record)) is not None]


def _change(record: Mapping[str, Any]) -> Change | None:
    told = record["dynamodb"]
    if told["Keys"]["sk"]["S"] != TASK:
        return None
    before, after = _stand(told.get("OldImage")), _stand(told.get("NewImage"))
    if before is not None and after is not None and before.state is after.state:
        return None
    created = told["ApproximateCreationDateTime"]
    seconds = created.timestamp() if isinstance(created, datetime) else created
    new = "OldImage" not in told
    name = f"{record.get('eventID', '')}#{told['SequenceNumber']}"
    return Change(name, int(seconds // 60), new, before, after)


def _stand(image: Mapping[str, Any] | None) -> Stand | None:
    if image is None:
        return None
    try:
        times = (int(image[name]["N"]) for name in ("submitted_at", "updated_at"))
        return Stand(State(image["state"]["S"]), *times)
    except (KeyError, ValueError):
        return None


def fold(changes: Iterable[Change]) -> Sums:
    """What these changes add, each of them once.

    A record that vanishes leaves its state and stays accepted: so it shows as lost.
    """
    sums = Sums(Counter(), {})
    for change in changes:
        if change.before is not None:
            sums.totals[change.before.state] -= 1
        if change.after is not None:
            sums.totals[change.after.state] += 1
            if change.new:
                _count(sums, ACCEPTED, change.after.submitted_at)
            if change.after.state in TERMINAL:
                _count(sums, SETTLED, change.after.updated_at)
    return sums


def _count(sums: Sums, what: str, at: Micros) -> None:
    sums.totals[what] += 1
    sums.minutes.setdefault(at // MINUTE, Counter())[what] += 1


def parts(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Cut into what one transaction can hold: not too many minutes, nor changes."""
    part: list[Change] = []
    items: set[str] = set()
    for change in changes:
        if len(items | change.items) > ITEMS_AT_ONCE or len(part) == CHANGES_AT_ONCE:
            yield part
            part, items = [], set()
        part.append(change)
        items |= change.items
    if part:
        yield part
