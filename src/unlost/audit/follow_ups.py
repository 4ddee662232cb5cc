"""What follow-ups say of themselves, beside the records of their parents."""

from __future__ import annotations

from unlost import carried
from unlost.carried import Parent
from unlost.ledger.protocol import Tasks
from unlost.ledger.values import Part
from unlost.task import Outcome, Record, State


async def wrong(ledger: Tasks, record: Record) -> str | None:
    """What is wrong with a task as a follow-up: it is there if and only if its parent succeeded
    by the attempt that submitted it.  Raises LedgerUnavailable."""
    if carried.parent(record.carried) is None:  # nearly all
        return None
    parent = carried.read(record.carried).parent
    return None if parent is None else _wrong(parent, await ledger.get(parent.id, (Part.ATTEMPTS,)))


def _wrong(parent: Parent, record: Record | None) -> str | None:
    if record is None:
        return f"its parent, {parent.id}, is not there"
    if record.state is not State.SUCCEEDED:
        return f"its parent, {parent.id}, is {record.state}"
    good = [one.number for one in record.attempts if one.outcome is Outcome.SUCCEEDED]
    if record.purged_at is None and good != [parent.attempt]:
        return f"its parent, {parent.id}, did not succeed by attempt {parent.attempt}"
    return None
