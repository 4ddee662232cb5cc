"""What follow-ups say of themselves, and parents of them, beside the records of each other."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from unlost import carried
from unlost.carried import Parent
from unlost.ledger.protocol import Tasks
from unlost.ledger.values import Entry, Part, Query
from unlost.task import Outcome, Record, State

MOST: Final = 100
"""Follow-ups that are looked at together."""


async def wrong(ledger: Tasks, record: Record) -> str | None:
    """What is wrong with a task as a follow-up: it is there if and only if its parent succeeded
    by the attempt that submitted it.  Raises LedgerUnavailable."""
    if carried.parent(record.carried) is None:  # nearly all
        return None
    parent = carried.read(record.carried).parent
    return None if parent is None else _wrong(parent, await ledger.get(parent.id, (Part.ATTEMPTS,)))


async def missing(ledger: Tasks, entry: Entry) -> str | None:
    """What is wrong with a task as a parent: all the tasks are there that its success has brought.
    Raises LedgerUnavailable."""
    if entry.brought is None:  # nearly all
        return None
    task_id, state = entry.record.task_id, entry.record.state
    if state is not State.SUCCEEDED:
        return f"{entry.brought} tasks followed from it, and it is {state}"
    query, found = Query(parent=task_id, limit=MOST), 0
    while found < entry.brought:
        page = await ledger.page(query)
        found += len(page.records)
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    if found < entry.brought:
        return f"{entry.brought} tasks followed from it, {found} are there"
    return None


def _wrong(parent: Parent, record: Record | None) -> str | None:
    if record is None:
        return f"its parent, {parent.id}, is not there"
    if record.state is not State.SUCCEEDED:
        return f"its parent, {parent.id}, is {record.state}"
    good = [one.number for one in record.attempts if one.outcome is Outcome.SUCCEEDED]
    if record.purged_at is None and good != [parent.attempt]:
        return f"its parent, {parent.id}, did not succeed by attempt {parent.attempt}"
    return None
